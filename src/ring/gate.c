#include "ring/gate.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/rand.h"

/* Workspaces by 32 bits of their hash: two that have the same are taken for one. */
static const uint32_t who_nobody = 0, who_several = UINT32_MAX;

static uint32_t who_of(uint64_t team)
{
    uint32_t who = (uint32_t)(mix64(team) >> 32);
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
    ASSERT(conf->window > 0 && (conf->views == NULL || conf->self < conf->views->len));
    g->conf = *conf;
}

/* ---- who calls at present ---- */

static uint32_t of_others(const struct gate *g)
{
    uint32_t who = who_nobody;
    for (uint32_t i = 0; i < g->conf.views->len; i++) {
        if (i == g->conf.self)
            continue;
        uint64_t word = __atomic_load_n(&g->conf.views->of[i].word, __ATOMIC_RELAXED);
        if (g->epoch - (uint32_t)(word >> 32) + 1 <= 2) /* its clock may be a turn ahead */
            who = both(who, (uint32_t)word);
    }
    return who;
}

void gate_turn(struct gate *g, uint64_t mono_us)
{
    uint32_t epoch = (uint32_t)(mono_us >> gate_epoch_us_log2);
    if (epoch != g->epoch) {
        g->before = epoch == g->epoch + 1 ? g->now : who_nobody;
        g->now = who_nobody;
        g->epoch = epoch;
    }
    g->now = both(g->now, g->fresh);
    g->fresh = who_nobody;
    uint32_t who = both(g->now, g->before);
    if (g->conf.views != NULL) {
        uint64_t *own = &g->conf.views->of[g->conf.self].word;
        uint64_t word = (uint64_t)epoch << 32 | who;
        if (*own != word) /* the line stays with its readers as long as nothing is new */
            __atomic_store_n(own, word, __ATOMIC_RELAXED);
        who = both(who, of_others(g));
    }
    g->several = who == who_several;
}

/* ---- shares ---- */

void gate_aim(struct gate *g, struct gate_item *i, actor_id dst, uint64_t cid, uint64_t team)
{
    ASSERT(!gate_waits(i));
    i->dst = dst;
    i->crowded = false;
    i->channel = cid == ID_NONE ? NULL : &g->channels[mix64(cid) % gate_buckets];
    i->team = NULL;
    if (team == ID_NONE)
        return;
    i->team = &g->teams[mix64(mix64(team) + dst) % gate_buckets];
    g->fresh = both(g->fresh, who_of(team));
}

/* Who has nothing under way is over no share, so that none is ever zero. */
static bool over_share(const struct gate *g, const struct gate_item *i, uint32_t credits)
{
    uint32_t in_channel = i->channel == NULL ? 0 : i->channel->out;
    if (g->several && i->team != NULL) {
        uint32_t kept = in_channel == 0 ? 0 : MAX(g->conf.window / 8, 1);
        if (i->team->out + kept >= g->conf.window)
            return true;
    }
    return in_channel > 0 && in_channel >= (uint64_t)gate_crowd * credits;
}

bool gate_open(const struct gate *g, struct gate_item *i, uint32_t credits)
{
    bool behind = (i->channel != NULL && i->channel->waits > 0) ||
                  (g->several && i->team != NULL && i->team->waits > 0);
    i->crowded = behind || over_share(g, i, credits);
    return !i->crowded && credits > 0 && g->plain[i->dst].first == NULL;
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

static struct gate_line *line_of(struct gate *g, const struct gate_item *i)
{
    return i->crowded ? &g->crowded[i->dst] : &g->plain[i->dst];
}

static void count_waiting(struct gate *g, const struct gate_item *i, uint32_t n)
{
    g->waiting += n;
    if (!i->crowded)
        return;
    g->crowded_len += n;
    if (i->channel != NULL)
        i->channel->waits += n;
    if (i->team != NULL)
        i->team->waits += n;
}

void gate_put(struct gate *g, struct gate_item *i)
{
    struct gate_line *line = line_of(g, i);
    if (line->first == NULL)
        line->last = &line->first;
    i->next = NULL;
    i->link = line->last;
    *line->last = i;
    line->last = &i->next;
    count_waiting(g, i, 1);
}

void gate_leave(struct gate *g, struct gate_item *i)
{
    *i->link = i->next;
    if (i->next != NULL)
        i->next->link = i->link;
    else
        line_of(g, i)->last = i->link;
    i->link = NULL;
    count_waiting(g, i, UINT32_MAX); /* one less */
    i->crowded = false;
}

static struct gate_item *first_of_crowds(const struct gate *g, actor_id dst, uint32_t credits)
{
    struct gate_item *i = g->crowded[dst].first;
    while (i != NULL && over_share(g, i, credits))
        i = i->next;
    return i;
}

struct gate_item *gate_next(const struct gate *g, actor_id dst, uint32_t credits, bool crowds_first)
{
    if (credits == 0)
        return NULL;
    struct gate_item *plain = g->plain[dst].first;
    struct gate_item *i = crowds_first || plain == NULL ? first_of_crowds(g, dst, credits) : plain;
    return i != NULL ? i : plain;
}
