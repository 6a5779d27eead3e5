#include "server/wiring.h"

/* Who asks whom. Each request edge brings an answer edge the other way. */
static const struct {
    enum actor_kind from, to;
} requests[] = {
    {ACTOR_ACCEPTOR, ACTOR_CHAN},   {ACTOR_ACCEPTOR, ACTOR_HIST},  {ACTOR_ACCEPTOR, ACTOR_DIR},
    {ACTOR_ACCEPTOR, ACTOR_FANOUT}, {ACTOR_FANOUT, ACTOR_CHAN},    {ACTOR_FANOUT, ACTOR_HIST},
    {ACTOR_CHAN, ACTOR_HIST},       {ACTOR_CHAN, ACTOR_LOG},       {ACTOR_DIR, ACTOR_LOG},
    {ACTOR_DIR, ACTOR_CHAN},        {ACTOR_ADMIN, ACTOR_DIR},      {ACTOR_ADMIN, ACTOR_CHAN},
    {ACTOR_ADMIN, ACTOR_HIST},      {ACTOR_ADMIN, ACTOR_ACCEPTOR}, {ACTOR_ADMIN, ACTOR_SEARCH},
    {ACTOR_ACCEPTOR, ACTOR_SEARCH}, {ACTOR_SEARCH, ACTOR_LOG},     {ACTOR_ACCEPTOR, ACTOR_LOGIN},
    {ACTOR_ADMIN, ACTOR_LOGIN},     {ACTOR_ACCEPTOR, ACTOR_MEDIA}, {ACTOR_MEDIA, ACTOR_LOG},
    {ACTOR_ADMIN, ACTOR_MEDIA},
};

/* Who tells whom, without an answer. frames: what comes home needs an answer edge of that size. */
static const struct {
    enum actor_kind from, to;
    enum ring_class class;
    bool frames;
} tells[] = {
    {ACTOR_CHAN, ACTOR_FANOUT, CLASS_EVENT, true},
    {ACTOR_DIR, ACTOR_FANOUT, CLASS_EVENT, true},
    {ACTOR_FANOUT, ACTOR_CHAN, CLASS_EVENT, false},
    {ACTOR_CHAN, ACTOR_SEARCH, CLASS_EVENT, false},
    {ACTOR_DIR, ACTOR_ACCEPTOR, CLASS_CONTROL, false},
    {ACTOR_DIR, ACTOR_FANOUT, CLASS_CONTROL, false},
    {ACTOR_ACCEPTOR, ACTOR_DIR, CLASS_CONTROL, false},
    {ACTOR_FANOUT, ACTOR_DIR, CLASS_CONTROL, false},
};

static uint32_t pow2_at_least(uint64_t n)
{
    uint32_t p = 2;
    while (p < n)
        p *= 2;
    return p;
}

const char *wiring_kind_name(enum actor_kind kind)
{
    static const char *const names[ACTOR_KINDS] = {
        [ACTOR_ACCEPTOR] = "acceptor", [ACTOR_CHAN] = "chan",     [ACTOR_LOG] = "log",
        [ACTOR_HIST] = "hist",         [ACTOR_FANOUT] = "fanout", [ACTOR_DIR] = "dir",
        [ACTOR_ADMIN] = "admin",       [ACTOR_SEARCH] = "search", [ACTOR_LOGIN] = "login",
        [ACTOR_MEDIA] = "media"};
    return names[kind];
}

/* Between the same pair an answer edge may be asked for twice (answers and frames): the first one
 * made must do. */
static uint32_t answer_size(const struct conf *c, enum actor_kind from, enum actor_kind to)
{
    uint64_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        if (requests[i].from == to && requests[i].to == from)
            n += c->ring_request_cells;
    }
    for (size_t i = 0; i < ARRAY_LEN(tells); i++) {
        if (tells[i].frames && tells[i].from == to && tells[i].to == from)
            n += c->ring_frames + 1;
    }
    return n == 0 ? 0 : pow2_at_least(n + 1);
}

uint32_t wiring_edge_size(const struct conf *c, enum actor_kind from, enum actor_kind to,
                          enum ring_class class)
{
    if (class == CLASS_ANSWER)
        return answer_size(c, from, to);
    if (class == CLASS_REQUEST) {
        for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
            if (requests[i].from == from && requests[i].to == to)
                return (uint32_t)c->ring_request_cells;
        }
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(tells); i++) {
        if (tells[i].from != from || tells[i].to != to || tells[i].class != class)
            continue;
        if (class == CLASS_CONTROL)
            return (uint32_t)c->ring_control_cells;
        /* FAN_SUB_OK travels here too, one per credit of the fanout. */
        return pow2_at_least(c->ring_event_cells + (to == ACTOR_FANOUT && from == ACTOR_CHAN
                                                        ? c->ring_request_cells
                                                        : 0));
    }
    return 0;
}

const struct wiring_stage wiring_stages[wiring_stages_len] = {
    {"acceptors", {ACTOR_ACCEPTOR}, 1, 40},
    {"fanouts", {ACTOR_FANOUT}, 1, 80},
    {"directory", {ACTOR_ADMIN, ACTOR_DIR}, 2, 85},
    {"chans", {ACTOR_CHAN, ACTOR_SEARCH, ACTOR_MEDIA}, 3, 95},
    {"log", {ACTOR_LOGIN, ACTOR_HIST, ACTOR_LOG}, 3, 100},
};
