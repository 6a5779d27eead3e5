#include "shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    tenths_private = 3,
    percent_replies = 20,
    percent_new_threads = 30,
    recent_roots = 50,
    draws_each_max = 64 /* of a member: then the channel stays smaller */
};
static const double size_power = 0.85, share_power = 1.15;

void numbers_add(struct numbers *n, uint32_t v)
{
    if (n->len == n->cap) {
        n->cap = MAX(8u, n->cap * 2);
        n->p = realloc(n->p, n->cap * sizeof *n->p);
        ASSERT(n->p != NULL);
    }
    n->p[n->len++] = v;
}

/* 0 <= x < 1 */
static double unit(struct rand_src *r)
{
    return (double)(rand_u64(r) >> 11) * 0x1p-53;
}

/* 0..n-1; the density falls with the square root. */
static uint32_t draw_low(struct rand_src *r, uint32_t n)
{
    double x = unit(r);
    return (uint32_t)(x * x * n);
}

static void draw_members(struct shape *s, struct shape_channel *c, uint32_t wanted, uint8_t *in)
{
    memset(in, 0, s->users);
    for (uint64_t draws = (uint64_t)wanted * draws_each_max; draws > 0 && c->members.len < wanted;
         draws--) {
        uint32_t u = draw_low(&s->rand, s->users);
        if (in[u])
            continue;
        in[u] = 1;
        numbers_add(&c->members, u);
    }
    s->memberships += c->members.len;
}

void shape_init(struct shape *s, uint32_t users, uint32_t channels, uint64_t seed)
{
    ASSERT(users >= shape_members_min && channels > 0);
    *s = (struct shape){.channels_len = channels, .users = users};
    s->channels = calloc(channels, sizeof *s->channels);
    uint8_t *in = calloc(users, 1);
    ASSERT(s->channels != NULL && in != NULL);
    rand_init_seeded(&s->rand, seed);
    double shares = 0;
    for (uint32_t i = 0; i < channels; i++) {
        struct shape_channel *c = &s->channels[i];
        uint32_t size = (uint32_t)(users / 2.0 / pow(i + 1, size_power));
        draw_members(s, c, MAX(size, (uint32_t)shape_members_min), in);
        c->private = i % 10 >= 10 - tenths_private;
        shares += pow(i + 1, -share_power);
        c->share_end = shares;
    }
    for (uint32_t i = 0; i < channels; i++)
        s->channels[i].share_end /= shares;
    free(in);
}

uint32_t shape_channel(struct shape *s)
{
    double x = unit(&s->rand);
    uint32_t low = 0, high = s->channels_len - 1; /* shares may end a bit below 1 */
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (x < s->channels[mid].share_end)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

uint32_t shape_member(struct shape *s, const struct shape_channel *c)
{
    return c->members.p[draw_low(&s->rand, c->members.len)];
}

uint32_t shape_parent(struct shape *s, const struct shape_channel *c, const uint32_t *replies)
{
    if (c->roots.len == 0 || rand_below(&s->rand, 100) >= percent_replies)
        return UINT32_MAX;
    if (c->parents.len > 0 && rand_below(&s->rand, 100) >= percent_new_threads) {
        uint32_t parent = c->parents.p[rand_below(&s->rand, c->parents.len)];
        if (replies[parent] < shape_thread_max)
            return parent;
    }
    uint32_t back = (uint32_t)rand_below(&s->rand, MIN(c->roots.len, (uint32_t)recent_roots));
    return c->roots.p[c->roots.len - 1 - back];
}
