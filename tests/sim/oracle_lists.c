/* oracle_lists.c - rows beside messages that say again, from another side, what messages say: which
 * of them a user has reacted to, and who follows their threads. After each whole batch both agree.
 */
#include "world.h"

void oracle_on_reacted(struct world *w, const struct row *r)
{
    struct row_reacted row;
    uint64_t ts_us, cid;
    key_reacted_parts(r->key, &ts_us, &cid);
    struct omsg *m = oracle_by_ts(&w->oracle, cid, ts_us);
    uint8_t u = oracle_user(&w->oracle, oracle_be64(r->key, 2));
    const struct ochan *c = oracle_chan(&w->oracle, cid);
    if (m == NULL || c == NULL || u == plan_users_max)
        violation(w, "lists_equal_messages", "a list has a message that is not there");
    if (r->op == ROW_PUT &&
        (row_reacted_decode(&row, r->key, r->value) != ERR_OK || row.kind != c->kind))
        violation(w, "rows_whole", "a list's row cannot be read, or is of another kind of channel");
    m->listed = r->op == ROW_PUT ? m->listed | 1u << u : m->listed & ~(1u << u);
    m->lists_touched = true;
}

/* Nobody says that he follows or leaves a thread: only replies make rows. */
void oracle_on_follow(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct row_follow row;
    uint64_t cid = oracle_be64(r->key, 2);
    struct omsg *m = oracle_by_ts(o, cid, oracle_be64(r->key, 11));
    uint8_t u = oracle_user(o, oracle_be64(r->key, 19));
    if (m == NULL || u == plan_users_max)
        violation(w, "lists_equal_messages", "somebody follows a thread that is not there");
    if (r->op != ROW_PUT || row_follow_decode(&row, r->key, r->value) != ERR_OK || !row.active)
        violation(w, "rows_whole", "who follows message #%u cannot be read",
                  (unsigned)(m - o->msgs));
    const struct omsg *reply = oracle_by_ts(o, cid, row.read_us);
    if (m->followed_pos[u] != 0 || reply == NULL || &o->msgs[reply->thread] != m ||
        reply->user != u)
        violation(w, "lists_equal_messages", "user %u follows message #%u twice, or by no reply",
                  (unsigned)u, (unsigned)(m - o->msgs));
    m->followed_pos[u] = o->pos;
    m->lists_touched = true;
}

void oracle_check_lists(struct world *w)
{
    struct oracle *o = &w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        struct omsg *m = &o->msgs[n];
        uint32_t follow = 0;
        if (!m->lists_touched)
            continue;
        m->lists_touched = false;
        for (uint32_t u = 0; u < plan_users_max; u++)
            follow |= m->followed_pos[u] != 0 ? 1u << u : 0;
        if (m->reacted != m->listed)
            violation(w, "lists_equal_messages",
                      "message #%u has reactions of users %x, and is in the lists of %x", n,
                      m->reacted, m->listed);
        if (follow != (m->replied & ~(1u << m->user)))
            violation(w, "lists_equal_messages",
                      "users %x have replied to #%u of user %u, and %x follow it", m->replied, n,
                      (unsigned)m->user, follow);
    }
}
