/* reactions.c - reactions.*, pins.*: what members do to a message. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"
#include "chan/reactions.h"
#include "hist/hist_msg.h"

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
