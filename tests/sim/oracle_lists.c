/* oracle_lists.c - rows beside messages that say again, from another side, what messages say: which
 * of them a user has reacted to. After each whole batch both agree. */
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

void oracle_check_lists(struct world *w)
{
    struct oracle *o = &w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        struct omsg *m = &o->msgs[n];
        if (!m->lists_touched)
            continue;
        m->lists_touched = false;
        if (m->reacted != m->listed)
            violation(w, "lists_equal_messages",
                      "message #%u has reactions of users %x, and is in the lists of %x", n,
                      m->reacted, m->listed);
        oracle_check_follows(w, n);
    }
}
