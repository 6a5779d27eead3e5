/* rename.c - another name for a channel. Dir arbitrates names and the channel's chan writes its
 * rows, so a rename is dir's question to chan while dir keeps the new name in memory; chan's
 * one batch moves the name. Nothing is left behind by a crash in between. Source: Slack
 * conversations.rename. */
#include "base/mutant.h"
#include "chan/chan.h"
#include "dir/internal.h"
#include "dir/name.h"

/* Whoever wants the new name, or the one that is given up, waits for the rename's end: an answer
 * must rest on what is durable, and on what chan may have made durable already. */
bool rename_holds(struct dir *d, const struct dir_op *op, uint64_t claim)
{
    const struct dir_rename *m = d->renames;
    const struct name_entry *e = NULL;
    if (m != NULL && op->request.type == DIR_CHANNEL_CREATE) {
        const struct dir_channel_create *c = op->request.u.p;
        e = tables_name(&d->tables, TABLE_CHANNELS, c->team, c->name);
    } else if (m != NULL && op->request.type == DIR_RENAME) {
        const struct dir_rename *r = op->request.u.p;
        e = tables_name(&d->tables, TABLE_CHANNELS, r->change.team, r->change.text);
    }
    while (m != NULL && m->claim != claim && (e == NULL || m->cid != e->id))
        m = m->next;
    return MUTANT(RENAME_KEEPS_NOTHING, m != NULL, false);
}

enum err rename_decide(struct dir *d, const struct dir_rename *m)
{
    TRY(name_check_channel(m->change.text));
    const struct name_entry *e =
        tables_name(&d->tables, TABLE_CHANNELS, m->change.team, m->change.text);
    return e != NULL && e->id != m->cid ? ERR_NAME_TAKEN : ERR_OK;
}

/* From here on the name is kept. */
void rename_begin(struct dir *d, const struct dir_op *op, uint64_t claim)
{
    struct dir_rename *m = op->request.u.p;
    m->claim = claim;
    m->request = op->request;
    m->from = op->from;
    m->asked = false;
    m->next = d->renames;
    d->renames = m;
}

void rename_run(struct dir *d)
{
    for (struct dir_rename *m = d->renames; m != NULL; m = m->next) {
        actor_id chan = d->conf.chans[chan_of(m->cid, d->conf.chans_len)];
        struct cell *c = m->asked ? NULL : outbox_request(d->turn->out, chan);
        if (c == NULL)
            continue; /* the answer that brings a credit brings the turn that goes on */
        c->type = CHAN_INFO;
        c->req = (uintptr_t)m;
        c->cid = m->cid;
        c->u.p = &m->change;
        m->asked = true;
    }
}

static void move_name(struct dir *d, const struct dir_rename *m)
{
    const struct row_chan_info *i = &m->change.info;
    if (sv_eq(m->change.old_name, i->name))
        return;
    enum err err = tables_put_name(&d->tables, TABLE_CHANNELS, i->team, i->name, i->cid, i->kind);
    ASSERT(err == ERR_OK); /* as dir_op_publish: it is durable */
    tables_drop_name(&d->tables, TABLE_CHANNELS, i->team, m->change.old_name);
}

void rename_answered(struct dir *d, const struct cell *answer)
{
    struct dir_rename *m = (struct dir_rename *)(uintptr_t)answer->req, **at = &d->renames;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    if (answer->err == ERR_OK)
        move_name(d, m);
    struct cell *c = outbox_answer(d->turn->out, m->from, &m->request);
    c->err = answer->err;
    c->u.p = m;
}
