/* stages.c - what a request has passed and when: marked as it goes, counted once it is over. */
#include "api/internal.h"
#include "base/probe.h"
#include "chan/chan_msg.h"

_Static_assert((int)slow_id_len == (int)id_hex_len, "the table keeps whole request ids");

static void mark_at(struct request *r, enum stage s, uint64_t us)
{
    uint64_t since_us = us > r->started_us ? us - r->started_us : 0;
    r->at_us[s] = (uint32_t)MIN(since_us, (uint64_t)UINT32_MAX);
    r->passed |= 1u << s;
}

void stage_mark(struct request *r, enum stage s)
{
    mark_at(r, s, r->a->t->mono_us);
}

static bool passed(const struct request *r, enum stage s)
{
    return (r->passed >> s & 1) != 0;
}

void stages_take_post(struct request *r)
{
    const struct chan_post *p = r->post;
    if (p == NULL)
        return;
    if (p->stepped_us != 0)
        mark_at(r, STAGE_STEPPED, p->stepped_us);
    if (p->batched_us != 0)
        mark_at(r, STAGE_BATCHED, p->batched_us);
    if (p->durable_us != 0)
        mark_at(r, STAGE_DURABLE, p->durable_us);
}

/* Each loop stamps with the time at which its turn began, so a later stage may bear an earlier
 * time; then it took nothing. took_us: since the stage passed before. */
static void make_rising(struct request *r, uint32_t took_us[STAGE_COUNT])
{
    uint32_t last_us = 0;
    for (int s = 0; s < STAGE_COUNT; s++) {
        if (passed(r, (enum stage)s))
            r->at_us[s] = MAX(r->at_us[s], last_us);
        else
            r->at_us[s] = last_us;
        took_us[s] = r->at_us[s] - last_us;
        last_us = r->at_us[s];
    }
}

/* Stored posts only, so that all of the histograms are about the same requests. */
static void count_post(struct metrics *m, const uint32_t took_us[STAGE_COUNT])
{
    metric_hist(m, METRIC_HIST_POST_PARSED_US, took_us[STAGE_PARSED]);
    metric_hist(m, METRIC_HIST_POST_QUEUED_US, took_us[STAGE_QUEUED]);
    metric_hist(m, METRIC_HIST_POST_STEPPED_US, took_us[STAGE_STEPPED]);
    metric_hist(m, METRIC_HIST_POST_BATCHED_US, took_us[STAGE_BATCHED]);
    metric_hist(m, METRIC_HIST_POST_DURABLE_US, took_us[STAGE_DURABLE]);
    metric_hist(m, METRIC_HIST_POST_ANSWERED_US, took_us[STAGE_ANSWERED]);
    metric_hist(m, METRIC_HIST_POST_SENT_US, took_us[STAGE_SENT]);
}

static void note_slow(const struct request *r, uint32_t own_us)
{
    struct slow_entry *e = slow_offer(&r->a->slow, own_us, r->a->t->mono_us);
    if (LIKELY(e == NULL))
        return;
    e->method = r->method != NULL ? r->method->name : SV("");
    memcpy(e->request_id, r->id, sizeof e->request_id);
    e->team = r->who.team;
    e->uid = r->who.uid;
    e->cid = r->out.cid;
    e->wall_us = r->a->t->wall_us;
    memcpy(e->at_us, r->at_us, sizeof e->at_us);
    e->passed = r->passed;
    e->status = r->status;
    e->err = r->err;
}

void stages_done(struct request *r)
{
    const uint32_t all = (1u << STAGE_COUNT) - 1;
    uint32_t took_us[STAGE_COUNT];
    if (!passed(r, STAGE_PARSED) || !passed(r, STAGE_ANSWERED))
        return; /* never whole: the time was the client's */
    r->passed |= 1u << STAGE_ACCEPTED;
    make_rising(r, took_us);
    if (r->passed == all && r->err == ERR_OK)
        count_post(r->a->t->metrics, took_us);
    note_slow(r, r->at_us[STAGE_ANSWERED] - r->at_us[STAGE_PARSED]);
    PROBE_READS(took_us);
    PROBE(sent, r->handle, r->id, r->passed, took_us, r->status);
}
