/* reacted.c - which messages a user has reacted to: a row of the user's for each, in the batch of
 * the reaction, as long as one of the user's reactions is there. Source: Slack reactions.list. */
#include "base/mutant.h"
#include "chan/internal.h"
#include "chan/reactions.h"

enum {
    reacted_value_max = 16,
    /* Of a message that is deleted: reactions whose users' rows go with it. Those of users behind
     * them stay, and whoever reads the list passes by what is gone: a batch is bounded. */
    gone_max = 1024
};

size_t reacted_room(void)
{
    return row_room(reacted_value_max);
}

size_t reacted_gone_room(const struct row_message *before)
{
    return MIN((size_t)gone_max, before->reactions.len) * row_room(0);
}

static void put(struct chan_shard *s, const struct chan *c, uint64_t ts_us, uint64_t uid)
{
    struct key k;
    struct row_reacted row = {.kind = c->info.kind};
    key_reacted(&k, uid, ts_us, c->cid);
    row_reacted_encode(commit_put(s->open, CF_USER, &k, reacted_value_max), &k, &row);
    batch_put_end(&s->open->b);
}

static void away(struct chan_shard *s, const struct chan *c, uint64_t ts_us, uint64_t uid)
{
    struct key k;
    key_reacted(&k, uid, ts_us, c->cid);
    batch_delete(&s->open->b, CF_USER, &k);
}

void reacted_put(struct chan_shard *s, const struct chan *c, const struct row_message *before,
                 const struct row_message *now, uint64_t uid)
{
    bool was = reactions_of(before->reactions, uid) > 0, is = reactions_of(now->reactions, uid) > 0;
    if (!was && MUTANT(REACTION_NOT_LISTED, is, false))
        put(s, c, now->ts_us, uid);
    if (was && MUTANT(UNREACT_STAYS_LISTED, !is, false))
        away(s, c, now->ts_us, uid);
}

void reacted_gone(struct chan_shard *s, const struct chan *c, const struct row_message *before)
{
    uint64_t uids[gone_max];
    uint32_t n = reactions_users(before->reactions, uids, gone_max);
    for (uint32_t i = 0; i < n; i++)
        away(s, c, before->ts_us, uids[i]);
}
