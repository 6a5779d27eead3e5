#include "ring/gate.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/rand.h"

/* Channels and workspaces by 32 bits of their hash: two that have the same are taken for one. */
static const uint32_t who_nobody = 0, who_several = UINT32_MAX;

static uint32_t who_of(uint64_t id)
{
    uint32_t who = (uint32_t)(mix64(id) >> 32);
    return who == who_nobody || who == who_several ? 1 : who;
}

static uint32_t both(uint32_t a, uint32_t b)
{
    if (a == who_nobody || a == b)
        return b;
    return b == who_nobody ? a : who_several;
}

struct gate_views *gate_views_new(uint32_t len)
{
    size_t bytes = sizeof(struct gate_views) + len * sizeof(struct gate_view);
    struct gate_views *v = aligned_alloc(_Alignof(struct gate_views), bytes);
    if (v == NULL)
        return NULL;
    memset(v, 0, bytes);
    v->len = len;
    return v;
}

void gate_init(struct gate *g, const struct gate_conf *conf)
{
    ASSERT(conf->team_window > 0 && conf->channel_window > 0);
    ASSERT(conf->views == NULL || conf->self < conf->views->len);
    g->conf = *conf;
}

/* ---- who posts and calls at present ---- */

static void note(struct gate *g, enum gate_kind kind, uint64_t id)
{
    if (id != ID_NONE)
        g->who[kind].fresh = both(g->who[kind].fresh, who_of(id));
}

static uint32_t of_others(const struct gate *g, enum gate_kind kind)
{
    uint32_t who = who_nobody;
    for (uint32_t i = 0; i < g->conf.views->len; i++) {
        if (i == g->conf.self)
            continue;
        uint64_t word = __atomic_load_n(&g->conf.views->of[i].words[kind], __ATOMIC_RELAXED);
        if (g->epoch - (uint32_t)(word >> 32) + 1 <= 2) /* its clock may be a turn ahead */
            who = both(who, (uint32_t)word);
    }
    return who;
}

static bool are_several(struct gate *g, enum gate_kind kind, bool begins, bool follows)
{
    if (begins) {
        g->who[kind].before = follows ? g->who[kind].now : who_nobody;
        g->who[kind].now = who_nobody;
    }
    g->who[kind].now = both(g->who[kind].now, g->who[kind].fresh);
    g->who[kind].fresh = who_nobody;
    uint32_t who = both(g->who[kind].now, g->who[kind].before);
    if (g->conf.views == NULL)
        return who == who_several;
    uint64_t *own = &g->conf.views->of[g->conf.self].words[kind];
    uint64_t word = (uint64_t)g->epoch << 32 | who;
    if (*own != word) /* the line stays with its readers as long as nothing is new */
        __atomic_store_n(own, word, __ATOMIC_RELAXED);
    return both(who, of_others(g, kind)) == who_several;
}

void gate_turn(struct gate *g, uint64_t mono_us)
{
    uint32_t epoch = (uint32_t)(mono_us >> gate_epoch_us_log2);
    bool begins = epoch != g->epoch, follows = epoch == g->epoch + 1;
    g->epoch = epoch;
    for (enum gate_kind kind = 0; kind < GATE_KINDS; kind++)
        g->several[kind] = are_several(g, kind, begins, follows);
}

/* ---- shares ---- */

static struct gate_share *share_of(struct gate_share *shares, uint64_t id, actor_id dst)
{
    return id == ID_NONE ? NULL : &shares[mix64(mix64(id) + dst) % gate_buckets];
}

void gate_aim(struct gate *g, struct gate_item *i, actor_id dst, uint64_t cid, uint64_t team,
              bool decides)
{
    ASSERT(!gate_waits(i));
    i->dst = dst;
    i->decides = decides;
    i->over = false;
    i->channel = share_of(g->channels, cid, dst);
    i->team = share_of(g->teams, team, dst);
    note(g, GATE_CALLER, team);
    if (decides) {
        note(g, GATE_TEAM, team);
        note(g, GATE_CHANNEL, cid);
    }
}

static bool has_window(const struct gate *g, const struct gate_item *i)
{
    return g->several[i->decides ? GATE_TEAM : GATE_CALLER];
}

static uint32_t out_of(const struct gate_share *s)
{
    return s == NULL ? 0 : s->out;
}

static uint32_t waits_of(const struct gate_share *s)
{
    return s == NULL ? 0 : s->waits;
}

/* What is left of the window of its workspace to it. */
static bool over_team(const struct gate *g, const struct gate_item *i)
{
    uint32_t window = g->conf.team_window;
    uint32_t kept = out_of(i->channel) == 0 ? 0 : MIN(MAX(window / 8, 1), window - 1);
    return out_of(i->team) > 0 && out_of(i->team) + kept >= window;
}

static bool over_share(const struct gate *g, const struct gate_item *i, uint32_t credits)
{
    uint32_t in_channel = out_of(i->channel);
    if (has_window(g, i) && over_team(g, i))
        return true;
    if (in_channel == 0)
        return false;
    return in_channel >= (uint64_t)gate_crowd * credits ||
           (i->decides && g->several[GATE_CHANNEL] && in_channel >= g->conf.channel_window);
}

bool gate_open(const struct gate *g, struct gate_item *i, uint32_t credits)
{
    i->over = waits_of(i->channel) > 0 || (has_window(g, i) && waits_of(i->team) > 0) ||
              over_share(g, i, credits);
    return !i->over && credits > 0 && !g->lines[i->dst].dry;
}

bool gate_has_room(const struct gate_item *i, uint32_t left)
{
    uint32_t own = MAX(waits_of(i->channel), waits_of(i->team));
    return left > 0 && (own == 0 || own < (uint64_t)gate_crowd * left);
}

void gate_sent(struct gate_item *i)
{
    if (i->channel != NULL)
        i->channel->out++;
    if (i->team != NULL)
        i->team->out++;
}

void gate_back(struct gate_item *i)
{
    if (i->channel != NULL)
        i->channel->out--;
    if (i->team != NULL)
        i->team->out--;
}

/* ---- lines ---- */

static void count_waiting(struct gate *g, const struct gate_item *i, uint32_t n)
{
    g->waiting += n;
    if (i->channel != NULL)
        i->channel->waits += n;
    if (i->team != NULL)
        i->team->waits += n;
}

void gate_put(struct gate *g, struct gate_item *i)
{
    struct gate_line *line = &g->lines[i->dst];
    if (line->first == NULL)
        line->last = &line->first;
    i->next = NULL;
    i->link = line->last;
    *line->last = i;
    line->last = &i->next;
    line->dry |= !i->over;
    count_waiting(g, i, 1);
}

void gate_leave(struct gate *g, struct gate_item *i)
{
    struct gate_line *line = &g->lines[i->dst];
    *i->link = i->next;
    if (i->next != NULL)
        i->next->link = i->link;
    else
        line->last = i->link;
    if (line->at == i)
        line->at = i->next;
    i->link = NULL;
    line->dry &= line->first != NULL;
    count_waiting(g, i, UINT32_MAX); /* one less */
}

void gate_scan(struct gate *g, actor_id dst)
{
    g->lines[dst].at = g->lines[dst].first;
    g->lines[dst].dry = false;
}

struct gate_item *gate_next(struct gate *g, actor_id dst, uint32_t credits)
{
    struct gate_line *line = &g->lines[dst];
    while (credits > 0 && line->at != NULL && over_share(g, line->at, credits))
        line->at = line->at->next;
    struct gate_item *i = line->at;
    line->dry |= credits == 0 && i != NULL;
    return credits == 0 ? NULL : i;
}
