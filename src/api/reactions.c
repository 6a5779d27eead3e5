/* reactions.c - reactions.*, pins.*: what members do to a message, and what a user has done. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"
#include "chan/reactions.h"
#include "hist/hist_msg.h"

enum { list_default = 100, list_max = 200 };

/* Colons are stripped; ::skin-tone-2 stays. */
static enum err read_name(const struct request *r, struct str_view *out)
{
    struct str_view s = arg(r, "name")->s;
    if (s.len > 1 && s.p[0] == ':' && s.p[s.len - 1] == ':')
        s = (struct str_view){s.p + 1, s.len - 2};
    if (s.len == 0 || s.len > reaction_name_max)
        return ERR_INVALID_NAME;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (uint8_t)c >= 0x80 ||
                    strchr("_-+':", c) != NULL;
        if (!fits || c == '\0')
            return ERR_INVALID_NAME;
    }
    *out = s;
    return ERR_OK;
}

static void change(struct request *r, enum change_kind kind, bool named)
{
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    enum err err = m == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && named)
        err = read_name(r, &m->name);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    uint64_t cid = arg(r, "channel")->n;
    m->kind = kind;
    m->team = r->who.team;
    m->uid = r->who.uid;
    m->guest = req_is_guest(r);
    m->ts_us = arg(r, "timestamp")->n;
    m->deadline_us = r->deadline_us;
    m->arena = &r->arena;
    r->work = m;
    req_send(r, req_chan(r, cid), CHAN_CHANGE, cid, m, answer_done);
}

void reactions_add_method(struct request *r)
{
    change(r, CHANGE_REACT, true);
}

void reactions_remove_method(struct request *r)
{
    change(r, CHANGE_UNREACT, true);
}

void pins_add(struct request *r)
{
    change(r, CHANGE_PIN, false);
}

void pins_remove(struct request *r)
{
    change(r, CHANGE_UNPIN, false);
}

/* ---- reads ---- */

static void on_message(struct request *r, const struct cell *c)
{
    const struct hist_message *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->out.len + 128);
    json_kv_str(&r->j, "type", SV("message"));
    json_kv_id(&r->j, "channel", arg(r, "channel")->s.p[0] == ID_IM ? ID_IM : ID_CHANNEL, m->cid);
    json_key(&r->j, "message");
    json_raw(&r->j, buf_view(&m->out));
    answer_end(r);
}

void reactions_get(struct request *r)
{
    struct hist_message *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct hist_message){
        .viewer = req_viewer(r), .cid = arg(r, "channel")->n, .ts_us = arg(r, "timestamp")->n};
    buf_init(&m->out, &r->arena, 0);
    r->work = m;
    req_send(r, req_hist(r), HIST_MESSAGE, m->cid, m, on_message);
}

static void on_pins(struct request *r, const struct cell *c)
{
    const struct hist_pins *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->out.len + 64);
    json_key(&r->j, "items");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&m->out));
    json_arr_end(&r->j);
    answer_end(r);
}

void pins_list(struct request *r)
{
    struct hist_pins *m = arena_zalloc(&r->arena, sizeof *m);
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct hist_pins){.viewer = req_viewer(r), .cid = arg(r, "channel")->n};
    r->arena.bytes_max = arena_list_max;
    buf_init(&m->out, &r->arena, 0);
    r->work = m;
    req_send(r, req_hist(r), HIST_PINS, m->cid, m, on_pins);
}

/* ---- what a user has reacted to ---- */

static void on_reacted(struct request *r, const struct cell *c)
{
    const struct hist_reacted *m = r->work;
    if (answer_refused(r, c))
        return;
    answer_begin_sized(r, m->out.len + 256);
    json_key(&r->j, "items");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&m->out));
    json_arr_end(&r->j);
    if (m->page > 0)
        paging_write(r, m->count, m->total, m->page);
    cursor_write_u64(r, "next_ts", m->next_us);
    answer_end(r);
}

/* By cursor where the caller asks so; both kinds of page can be gone on from by cursor. */
static enum err read_page(struct request *r, struct hist_reacted *m)
{
    const struct arg_value *limit = arg(r, "limit"), *count = arg(r, "count"),
                           *page = arg(r, "page");
    struct str_view cursor;
    m->count = (uint32_t)(limit->given ? limit->n : count->given ? count->n : list_default);
    m->count = MIN(m->count, (uint32_t)list_max);
    TRY(cursor_read(r, "next_ts", &cursor));
    if (cursor.len > 0 && (!sv_to_u64(cursor, &m->before_us) || m->before_us == 0))
        return ERR_INVALID_CURSOR;
    if (!limit->given && cursor.len == 0)
        m->page = page->given ? (uint32_t)page->n : 1;
    return ERR_OK;
}

void reactions_list(struct request *r)
{
    struct hist_reacted *m = arena_zalloc(&r->arena, sizeof *m);
    const struct arg_value *user = arg(r, "user");
    enum err err = m == NULL ? ERR_NOMEM : read_page(r, m);
    if (err == ERR_OK && user->given &&
        dir_user(r->a->conf.dir_reader, r->who.team, user->n) == NULL)
        err = ERR_USER_NOT_FOUND;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    m->viewer = req_viewer(r);
    m->uid = user->given ? user->n : r->who.uid;
    r->arena.bytes_max = arena_list_max;
    buf_init(&m->out, &r->arena, 0);
    r->work = m;
    req_send(r, req_hist(r), HIST_REACTED, ID_NONE, m, on_reacted);
}
