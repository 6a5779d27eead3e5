#include "trace.h"

#include <stdio.h>

#include "base/rand.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"
#include "fanout/fanout_msg.h"
#include "hist/hist_msg.h"
#include "search/search_msg.h"
#include "store/log.h"

static const char *const class_names[CLASS_COUNT] = {"control", "request", "answer", "event"};

/* The type is an enum of the room that serves it: the receiver of a request, the sender of an
 * answer. */
static const char *type_name(enum actor_kind room, uint16_t type)
{
    static const char *const chan[] = {
        [CHAN_POST] = "CHAN_POST",     [CHAN_JOIN] = "CHAN_JOIN",       [CHAN_LEAVE] = "CHAN_LEAVE",
        [CHAN_INVITE] = "CHAN_INVITE", [CHAN_CREATED] = "CHAN_CREATED", [CHAN_SUB] = "CHAN_SUB",
        [CHAN_IDLE] = "CHAN_IDLE",     [CHAN_CHANGE] = "CHAN_CHANGE",   [CHAN_INFO] = "CHAN_INFO",
        [CHAN_SHOW] = "CHAN_SHOW",     [CHAN_TYPING] = "CHAN_TYPING"};
    static const char *const hist[] = {
        [HIST_HISTORY] = "HIST_HISTORY", [HIST_MESSAGE] = "HIST_MESSAGE",
        [HIST_INFO] = "HIST_INFO",       [HIST_MEMBERS] = "HIST_MEMBERS",
        [HIST_LIST] = "HIST_LIST",       [HIST_MEMBERSHIPS] = "HIST_MEMBERSHIPS",
        [HIST_LOAD] = "HIST_LOAD"};
    static const char *const dir[] = {[DIR_TEAM_ADD] = "DIR_TEAM_ADD",
                                      [DIR_USER_ADD] = "DIR_USER_ADD",
                                      [DIR_USER_DISABLE] = "DIR_USER_DISABLE",
                                      [DIR_TOKEN_ISSUE] = "DIR_TOKEN_ISSUE",
                                      [DIR_TOKEN_REVOKE] = "DIR_TOKEN_REVOKE",
                                      [DIR_CHANNEL_CREATE] = "DIR_CHANNEL_CREATE",
                                      [DIR_REVOKE] = "DIR_REVOKE",
                                      [DIR_REVOKED] = "DIR_REVOKED"};
    static const char *const fan[] = {
        [FAN_EVENT] = "FAN_EVENT",   [FAN_SUB_OK] = "FAN_SUB_OK",
        [FAN_JOINED] = "FAN_JOINED", [FAN_LEFT] = "FAN_LEFT",
        [FAN_GAP] = "FAN_GAP",       [FAN_REVALIDATE] = "FAN_REVALIDATE",
        [FAN_TICKET] = "FAN_TICKET"};
    static const char *const search[] = {[SEARCH_DIRTY] = "SEARCH_DIRTY",
                                         [SEARCH_MESSAGES] = "SEARCH_MESSAGES",
                                         [SEARCH_REBUILD] = "SEARCH_REBUILD"};
    const char *name = NULL;
    if (type == FRAME_HOME)
        return "FRAME_HOME";
    switch (room) {
    case ACTOR_CHAN:
        name = type < ARRAY_LEN(chan) ? chan[type] : NULL;
        break;
    case ACTOR_HIST:
        name = type < ARRAY_LEN(hist) ? hist[type] : NULL;
        break;
    case ACTOR_DIR:
        name = type < ARRAY_LEN(dir) ? dir[type] : NULL;
        break;
    case ACTOR_FANOUT:
        name = type < ARRAY_LEN(fan) ? fan[type] : NULL;
        break;
    case ACTOR_LOG:
        name = type == LOG_APPEND ? "LOG_APPEND" : NULL;
        break;
    case ACTOR_SEARCH:
        name = type < ARRAY_LEN(search) ? search[type] : NULL;
        break;
    case ACTOR_ACCEPTOR:
    case ACTOR_ADMIN:
    case ACTOR_LOGIN:
    case ACTOR_MEDIA:
    case ACTOR_KINDS:
        break;
    }
    return name == NULL ? "?" : name;
}

static enum actor_kind room_of(const struct trace *t, const struct trace_entry *e,
                               enum ring_class class)
{
    if (class == CLASS_ANSWER)
        return t->actor_kind(t->ctx, e->a);
    return class == CLASS_CONTROL ? ACTOR_DIR : t->actor_kind(t->ctx, e->b);
}

static void print(const struct trace *t, const struct trace_entry *e)
{
    unsigned long long at = e->at_us, x = e->x, y = e->y;
    fprintf(stderr, "%10llu.%06llu  ", at / 1000000, at % 1000000);
    switch (e->kind) {
    case TRACE_CELL: {
        enum ring_class class = (enum ring_class)(e->n >> 28);
        uint16_t type = (uint16_t)e->n;
        fprintf(stderr, "%s -> %s  %s %s  cid=%llu req=%llx", t->actor_name(t->ctx, e->a),
                t->actor_name(t->ctx, e->b), class_names[class],
                type_name(room_of(t, e, class), type), x, y & 0xffffffffffffu);
        if (y >> 48 != 0)
            fprintf(stderr, " err=%s", err_code_name((enum err)(y >> 48)));
        break;
    }
    case TRACE_NET:
        fprintf(stderr, "net     conn %u: %s %u", e->a, e->what, e->n);
        break;
    case TRACE_CLIENT:
        fprintf(stderr, "client  %u: %s #%u  %llu %llu", e->a, e->what, e->n, x, y);
        break;
    case TRACE_STORE:
        fprintf(stderr, "store   %s  %llu %llu", e->what, x, y);
        break;
    case TRACE_WORLD:
        fprintf(stderr, "world   %s  %llu %llu", e->what, x, y);
        break;
    }
    fputc('\n', stderr);
}

void trace_add(struct trace *t, struct trace_entry e)
{
    t->hash = mix64(t->hash ^ e.at_us ^ (uint64_t)e.kind << 56 ^ (uint64_t)e.a << 40 ^
                    (uint64_t)e.b << 24 ^ e.n);
    /* req may be an address: the requester's own business, and different in each process. */
    uint64_t y = e.kind == TRACE_CELL ? e.y >> 48 : e.y;
    t->hash = mix64(t->hash + e.x * 3 + y * 5);
    t->entries[t->len++ % trace_entries_max] = e;
    if (t->live)
        print(t, &e);
}

void trace_print(const struct trace *t, uint64_t n)
{
    uint64_t have = MIN(t->len, (uint64_t)trace_entries_max);
    for (uint64_t i = t->len - MIN(n, have); i < t->len; i++)
        print(t, &t->entries[i % trace_entries_max]);
}
