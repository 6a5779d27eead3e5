/* reacted.c - reactions.list: along a user's rows, newest first. A row tells of a message and its
 * channel; the message itself is read only when it is shown. Which of them the viewer may read is
 * asked once for each channel. What may not be read leaves no trace, not in the cursor either. What
 * is damaged is counted and passed by: one record is no reason to show nothing of all the others.
 */
#include "chan/channel_json.h"
#include "chan/message_json.h"
#include "chan/reactions.h"
#include "hist/internal.h"

enum {
    part_rows = 128,
    known_slots = 256 /* channels that were asked about; one takes another's place */
};

struct reacted { /* a row */
    uint64_t ts_us, cid;
    enum channel_kind kind;
    bool damaged;
};

struct part { /* rows of one scan */
    struct reacted p[part_rows];
    uint32_t len;
};

struct known {
    uint64_t cid; /* ID_NONE: empty */
    bool may;
};

struct walk {
    struct hist *h;
    struct hist_reacted *m;
    struct known *known;
    uint32_t rows, seen; /* rows looked at; of these, what the viewer may read */
    uint64_t last_us;    /* of these, the last one that is on the page, shown or gone */
    bool done;
};

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct part *part = ctx;
    struct reacted *r = &part->p[part->len];
    struct row_reacted row;
    key_reacted_parts(key, &r->ts_us, &r->cid);
    r->damaged = row_reacted_decode(&row, key, value) != ERR_OK;
    r->kind = r->damaged ? CHANNEL_PUBLIC : row.kind;
    return ++part->len < part_rows;
}

static enum err pass_by(struct walk *w, enum err err)
{
    w->h->damaged += err == ERR_CORRUPT;
    return err == ERR_CORRUPT ? ERR_OK : err;
}

static enum err may_read(struct walk *w, uint64_t cid, bool *may)
{
    struct known *k = &w->known[mix64(cid) % known_slots];
    if (k->cid != cid) {
        enum err err = seer_may_read(&w->h->seer, &w->m->viewer, cid);
        if (err == ERR_CORRUPT) {
            *k = (struct known){cid, false};
            *may = false;
            return pass_by(w, err);
        }
        if (err != ERR_OK && err != ERR_CHANNEL_NOT_FOUND && err != ERR_NOT_IN_CHANNEL)
            return err;
        *k = (struct known){cid, err == ERR_OK};
    }
    *may = k->may;
    return ERR_OK;
}

static void put_item(struct hist_reacted *m, const struct reacted *r, const struct row_message *row)
{
    struct json_out j = {.b = &m->out, .comma = m->len > 0};
    json_obj(&j);
    json_kv_str(&j, "type", SV("message"));
    json_kv_id(&j, "channel", channel_letter(r->kind), r->cid);
    json_key(&j, "message");
    message_json(j.b, row, r->cid, false);
    j.comma = true;
    json_obj_end(&j);
    m->len++;
}

/* As it is now: what is gone since the row was read is passed by. */
static enum err show(struct walk *w, const struct reacted *r)
{
    struct row_message row;
    bool found;
    w->last_us = r->ts_us;
    enum err err = hist_read_message(w->h, r->cid, r->ts_us, &row, &found);
    if (err != ERR_OK)
        return pass_by(w, err);
    if (!found || reactions_of(row.reactions, w->m->uid) == 0)
        return ERR_OK;
    put_item(w->m, r, &row);
    return w->m->out.failed ? ERR_NOMEM : ERR_OK;
}

/* One more that the viewer may read. A page by number is these and no others, whatever of them is
 * gone when it is shown. */
static enum err take(struct walk *w, const struct reacted *r)
{
    struct hist_reacted *m = w->m;
    uint64_t n = w->seen++, first = m->page == 0 ? 0 : (uint64_t)(m->page - 1) * m->count;
    bool counted = m->page == 0 ? m->len == m->count : n >= first + m->count;
    bool full = counted || (m->len > 0 && m->out.len > hist_page_bytes_max);
    if (n < first)
        return ERR_OK;
    if (!full)
        return show(w, r);
    m->next_us = w->last_us;
    w->done = m->page == 0; /* pages are counted to their end */
    return ERR_OK;
}

static enum err take_all(struct walk *w, const struct part *part)
{
    for (uint32_t i = 0; i < part->len && !w->done; i++) {
        const struct reacted *r = &part->p[i];
        bool may = false;
        if (r->damaged)
            TRY(pass_by(w, ERR_CORRUPT));
        else
            TRY(may_read(w, r->cid, &may));
        if (may)
            TRY(take(w, r));
        w->done |= ++w->rows == hist_reacted_rows_max;
    }
    return ERR_OK;
}

/* At the bound of rows: whoever could read something, if only it were there still, asks again
 * behind it. */
static void end(struct walk *w)
{
    struct hist_reacted *m = w->m;
    if (m->page == 0 && w->rows == hist_reacted_rows_max)
        m->next_us = w->last_us;
    m->total = w->seen;
}

enum err hist_reacted(struct hist *h, struct hist_reacted *m)
{
    struct walk w = {.h = h, .m = m};
    struct part *part = arena_alloc(&h->scratch, sizeof *part);
    struct key from, to;
    w.known = arena_zalloc(&h->scratch, known_slots * sizeof *w.known);
    if (part == NULL || w.known == NULL)
        return ERR_NOMEM;
    m->len = m->total = 0;
    m->next_us = 0;
    key_reacted_from(&from, m->uid, m->before_us == 0 ? UINT64_MAX : m->before_us - 1);
    key_reacted_all(&to, m->uid);
    key_prefix_end(&to);
    do {
        part->len = 0;
        TRY(view_scan(&h->view, CF_USER, key_view(&from), key_view(&to), on_row, part));
        TRY(take_all(&w, part));
        if (part->len > 0)
            key_reacted_from(&from, m->uid, part->p[part->len - 1].ts_us - 1);
    } while (part->len == part_rows && !w.done);
    end(&w);
    return ERR_OK;
}
