#include "plan.h"

#include "chan/chan.h"

enum { signing_one_in = 40 };

const char *fault_name(enum fault f)
{
    static const char *const names[FAULT_COUNT] = {
#define FAULT(id, name, what) [FAULT_##id] = name,
#include "fault.def"
#undef FAULT
    };
    return names[f];
}

/* A power of two from 2 to max, small ones as likely as large ones. */
static uint64_t pow2(struct rng *r, uint64_t max)
{
    uint64_t n = 2;
    while (n < max && !rng_one_in(r, 4))
        n *= 2;
    return n;
}

static void shrink(struct conf *c, struct rng *r)
{
    c->ring_request_cells = pow2(r, 1024);
    c->ring_event_cells = pow2(r, 1024);
    c->ring_control_cells = pow2(r, 64);
    c->ring_frames = pow2(r, 1024);
    c->chan_channels_max = rng_range(r, 2, 12);
    c->chan_parked_max = rng_skewed(r, 2, 64);
    c->api_channel_window = rng_skewed(r, 1, 64);
    c->api_workspace_window = rng_skewed(r, 1, 64);
    c->http_parked_max = rng_skewed(r, 1, 64);
    c->http_pipeline_max = rng_range(r, 1, 8);
    c->http_conns_max = rng_range(r, 4, 40);
    c->http_arenas_bytes_max = rng_one_in(r, 3) ? rng_range(r, 4, 40) * 65536 : 268435456;
    c->ws_conns_max = rng_range(r, 2, 24);
    c->ws_tickets_max = rng_range(r, 2, 16);
    c->ws_requests_max = rng_range(r, 1, 8);
    c->ws_subscriptions_max = rng_one_in(r, 3) ? rng_range(r, 2, 12) : 4096;
    c->ws_queue_soft_bytes = rng_skewed(r, 1024, 8192);
    c->ws_queue_hard_bytes = c->ws_queue_soft_bytes + rng_skewed(r, 1024, 16384);
    c->ws_queue_total_bytes = rng_range(r, 8192, 262144);
    c->store_batch_bytes_max = rng_one_in(r, 2) ? 4096 : 65536;
    c->store_batch_requests_max = rng_range(r, 1, 32);
    c->hist_recent_bytes = rng_range(r, 0, 4) * 16384; /* none, or a channel or a few */
    c->ws_replay_bytes = rng_one_in(r, 4) ? 0 : rng_skewed(r, 512, 65536);
    c->search_batch_words = rng_range(r, 256, 2048);
    c->search_queue_max = rng_range(r, 1, 8);
}

static void choose_faults(struct plan *p, struct rng *r, uint32_t without)
{
    for (uint32_t f = 0; f < FAULT_COUNT; f++) {
        if (rng_below(r, 100) < 55)
            p->faults |= 1u << f;
    }
    if (rng_one_in(r, 8))
        p->faults = 0; /* a calm day must work as well */
    p->faults &= ~without;
}

void plan_actors(struct plan *p, struct rng *r)
{
    p->conf.threads_acceptors = rng_range(r, 1, 3);
    p->conf.threads_chans = rng_range(r, 1, 3);
    p->conf.threads_hists = rng_range(r, 1, 2);
    p->conf.threads_fanouts = rng_range(r, 1, 3);
    p->conf.threads_acceptor_with_chan = rng_one_in(r, 4);
}

void plan_make(struct plan *p, uint64_t seed, uint64_t ops, uint32_t without)
{
    struct rng r = rng_make(seed, 1);
    *p = (struct plan){.seed = seed, .ops = ops};
    conf_defaults(&p->conf);
    choose_faults(p, &r, without);
    plan_actors(p, &r);
    /* Large enough never to be full here; the defaults are for more than one process a millisecond.
     */
    p->conf.ring_request_cells = 256;
    p->conf.ring_event_cells = p->conf.ring_frames = 1024;
    p->conf.chan_channels_max = p->conf.chan_parked_max = 1024;
    p->conf.http_conns_max = p->conf.ws_conns_max = 256;
    p->conf.ws_tickets_max = 1024;
    struct rng small = rng_make(seed, 2);
    struct conf whole = p->conf;
    shrink(&p->conf, &small);
    if (!plan_has(p, FAULT_SMALL))
        p->conf = whole;
    p->conf.api_rate_posts_per_s = p->conf.api_rate_factor = 1000000;
    if (rng_one_in(&r, 6))
        p->conf.api_rate_posts_per_s = rng_range(&r, 5, 200);
    p->clients = (uint32_t)rng_range(&r, 3, plan_clients_max);
    p->users = (uint32_t)rng_range(&r, 3, plan_users_max);
    p->channels = (uint32_t)rng_range(&r, 2, plan_channels_start);
    static const uint64_t thinks_us[] = {0, 200, 5000, 200000, 3000000};
    p->think_us = thinks_us[rng_below(&r, ARRAY_LEN(thinks_us))];
    static const uint64_t syncs_us[] = {0, 100, 1000, 8000, 40000};
    p->sync_us = syncs_us[rng_below(&r, ARRAY_LEN(syncs_us))];
    p->crash_steps = rng_range(&r, 2000, 40000);
    p->history_percent = (uint32_t)rng_range(&r, 2, 25);
    p->member_percent = (uint32_t)rng_range(&r, 1, 20);
    p->rtm_percent = (uint32_t)rng_range(&r, 5, 40);
    p->unkeyed_percent = (uint32_t)rng_range(&r, 0, 20);
    p->change_percent = (uint32_t)rng_range(&r, 0, 60);
    p->duplicate_percent = (uint32_t)rng_range(&r, 0, 25);
    p->half_close_percent = (uint32_t)rng_range(&r, 0, 8);
    p->conf.search_delay_ms = rng_skewed(&r, 1, 1000);
    struct rng passwords = rng_make(seed, 3);
    if (rng_one_in(&passwords, signing_one_in))
        p->passwords = (uint32_t)rng_range(&passwords, 1, 2);
    struct rng channels = rng_make(seed, 4);
    p->channel_percent = (uint32_t)rng_range(&channels, 5, 40);
    p->pins_max = chan_pins_max;
    if (plan_has(p, FAULT_SMALL)) /* nobody pins a hundred */
        p->pins_max = (uint32_t)rng_range(&channels, 2, 6);
    struct rng hang_ups = rng_make(seed, 5);
    static const uint32_t one_in[] = {10, 40, 200, 2000};
    p->hang_up_one_in = one_in[rng_below(&hang_ups, ARRAY_LEN(one_in))];
    p->signer = (uint8_t)rng_below(&passwords, MIN(p->users, p->clients));
}
