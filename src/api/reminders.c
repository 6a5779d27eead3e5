/* reminders.c - reminders.*: a list that a user keeps, and for each reminder a scheduled message to
 * the user's conversation with nobody else. Source: Slack reminders.*, where Slackbot says it. */
#include "api/content.h"
#include "api/document.h"
#include "api/handlers.h"
#include "base/mutant.h"
#include "chan/chan_msg.h"

enum {
    reminders_max = 200,
    ahead_max_s = 157680000, /* five years: a smaller number is seconds ahead, not a time */
    tomorrow_s = 9 * 3600    /* of the day, UTC */
};

/* ---- when ---- */

static bool is_unit(struct str_view unit, const char *name)
{
    size_t n = strlen(name);
    return (unit.len == n || (unit.len == n + 1 && unit.p[n] == 's')) &&
           memcmp(unit.p, name, n) == 0;
}

/* "in 10 minutes" */
static bool parse_in(struct str_view s, uint64_t *ahead_s)
{
    static const struct {
        const char *name;
        uint32_t seconds;
    } units[] = {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}, {"week", 604800}};
    uint64_t n;
    struct str_view in = sv_cut(&s, ' '), number = s.p == NULL ? SV_NONE : sv_cut(&s, ' ');
    if (!sv_eq(in, SV("in")) || number.len > 9 || s.p == NULL || !sv_to_u64(number, &n))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (is_unit(s, units[i].name)) {
            *ahead_s = n * units[i].seconds;
            return true;
        }
    }
    return false;
}

static enum err parse_time(struct str_view s, uint64_t now_s, uint64_t *out)
{
    uint64_t n;
    if (sv_to_u64(s, &n))
        *out = n <= ahead_max_s ? now_s + n : n;
    else if (sv_eq(s, SV("tomorrow")))
        *out = (now_s / 86400 + 1) * 86400 + tomorrow_s;
    else if (parse_in(s, &n))
        *out = now_s + n;
    else
        return ERR_CANNOT_PARSE;
    return *out > now_s ? ERR_OK : ERR_CANNOT_PARSE;
}

/* ---- one reminder ---- */

/* Its number is that of its scheduled message: "Rm" and the digits. */
static struct str_view format_reminder(char out[id_text_max + 2], uint64_t id)
{
    char text[id_text_max];
    size_t n = id_format(text, ID_SCHEDULED, id);
    out[0] = 'R';
    out[1] = 'm';
    memcpy(out + 2, text + 1, n - 1);
    return (struct str_view){out, n + 1};
}

static bool parse_reminder(struct str_view s, uint64_t *id)
{
    char text[id_text_max];
    if (s.len < 3 || s.len - 1 > sizeof text || memcmp(s.p, "Rm", 2) != 0)
        return false;
    text[0] = ID_SCHEDULED;
    memcpy(text + 1, s.p + 2, s.len - 2);
    return id_parse((struct str_view){text, s.len - 1}, ID_SCHEDULED, id);
}

static const struct json_member *find(struct request *r, const struct json_member *all,
                                      uint32_t len, struct str_view id)
{
    for (uint32_t i = 0; i < len; i++) {
        if (sv_eq(document_member(r, &all[i], "id"), id))
            return &all[i];
    }
    return NULL;
}

static uint64_t number_of(struct request *r, const struct json_member *element, const char *name)
{
    uint64_t n = 0;
    return sv_to_u64(document_member(r, element, name), &n) ? n : 0;
}

struct reminder {
    struct str_view id, text, channel;
    uint64_t time_s, complete_s;
};

static void put_reminder(struct json_out *j, const struct request *r, const struct reminder *m)
{
    json_obj(j);
    json_kv_str(j, "id", m->id);
    json_kv_id(j, "creator", ID_USER, r->who.uid);
    json_kv_id(j, "user", ID_USER, r->who.uid);
    json_kv_str(j, "text", m->text);
    json_kv_str(j, "channel", m->channel);
    json_kv_bool(j, "recurring", false);
    json_kv_u64(j, "time", m->time_s);
    json_kv_u64(j, "complete_ts", m->complete_s);
    json_obj_end(j);
}

/* ---- add: room in the list, the conversation, the message, the list ---- */

struct adding {
    struct document *d;
    struct dir_direct_open direct;
    struct dir_schedule schedule;
    struct chan_post post;
    struct reminder reminder;
    char id[id_text_max + 2], channel[id_text_max];
};

static enum err edit_add(struct request *r, struct document *d)
{
    const struct adding *w = d->own;
    struct json_member *all;
    uint32_t len;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    if (find(r, all, len, w->reminder.id) != NULL)
        return ERR_OK; /* a request that was made again */
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = MUTANT(REMINDER_REPLACES, 0, len); i < len; i++)
        document_put(&j, &all[i].value);
    put_reminder(&j, r, &w->reminder);
    json_arr_end(&j);
    d->changed = true;
    d->next = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static void on_added(struct request *r, struct document *d)
{
    const struct adding *w = d->own;
    answer_begin_sized(r, 512 + 6 * w->reminder.text.len);
    json_key(&r->j, "reminder");
    put_reminder(&r->j, r, &w->reminder);
    answer_end(r);
}

static void on_scheduled(struct request *r, const struct cell *c)
{
    struct adding *w = r->work;
    if (c->err != ERR_OK) {
        answer_error(r, c->err == ERR_TIME_IN_PAST || c->err == ERR_TIME_TOO_FAR
                            ? ERR_CANNOT_PARSE
                            : (enum err)c->err);
        return;
    }
    w->reminder.id = format_reminder(w->id, w->schedule.row.id);
    r->work = w->d;
    document_change(r, w->d, edit_add, on_added);
}

static void on_conversation(struct request *r, const struct cell *c)
{
    struct adding *w = r->work;
    if (answer_refused(r, c))
        return;
    w->reminder.channel =
        (struct str_view){w->channel, id_format(w->channel, ID_IM, w->direct.cid)};
    w->schedule.row.cid = w->direct.cid;
    req_send(r, r->a->conf.dir, DIR_SCHEDULE, ID_NONE, &w->schedule, on_scheduled);
}

static enum err prepare(struct request *r, struct adding *w)
{
    struct buf text;
    const struct str_view said = arg(r, "text")->s;
    struct post_json p = {.team = r->who.team, .uid = r->who.uid, .app_id = r->who.app_id};
    if (said.len == 0)
        return ERR_MISSING_ARGUMENT;
    if (utf8_count(said) > r->a->conf.conf->api_text_max)
        return ERR_MSG_TOO_LONG;
    if (arg(r, "recurrence")->given)
        return ERR_CANNOT_PARSE;
    if (arg(r, "user")->given && arg(r, "user")->n != r->who.uid)
        return ERR_CANNOT_ADD_OTHERS;
    TRY(parse_time(arg(r, "time")->s, r->a->t->wall_us / 1000000, &w->reminder.time_s));
    w->reminder.text = said;
    buf_init(&text, &r->arena, said.len + 16);
    buf_printf(&text, "Reminder: ");
    buf_put_sv(&text, said);
    p.text = buf_view(&text);
    TRY(text.failed ? ERR_NOMEM : content_encode(r, &p, &w->post));
    w->schedule.row = (struct row_scheduled){.kind = CHANNEL_IM,
                                             .team = r->who.team,
                                             .uid = r->who.uid,
                                             .post_s = w->reminder.time_s,
                                             .content_at = w->post.content_at,
                                             .members = w->post.members,
                                             .metadata = SV(""),
                                             .text = p.text};
    w->direct.uids[w->direct.len++] = r->who.uid;
    return ERR_OK;
}

static void on_list_read(struct request *r, struct document *d)
{
    struct adding *w = d->own;
    struct json_member *all;
    uint32_t len;
    enum err err = document_elements(r, d, &all, &len);
    /* Before anything is written: what is scheduled and not in the list could not be taken back. */
    if (err == ERR_OK &&
        (len >= reminders_max || d->text.len + 6 * w->reminder.text.len + 512 > document_bytes_max))
        err = ERR_TOO_MANY_ITEMS;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = w;
    direct_open(r, &w->direct, on_conversation);
}

void reminders_add(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_REMINDERS);
    struct adding *w = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *w);
    if (d == NULL)
        return;
    enum err err = w == NULL ? ERR_NOMEM : prepare(r, w);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    w->d = d;
    d->own = w;
    document_read(r, d, on_list_read);
}

/* ---- list, info ---- */

static void on_list(struct request *r, struct document *d)
{
    answer_begin_sized(r, d->text.len + 64);
    json_key(&r->j, "reminders");
    json_raw(&r->j, d->text.len > 0 ? d->text : SV("[]"));
    answer_end(r);
}

void reminders_list(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_REMINDERS);
    if (d != NULL)
        document_read(r, d, on_list);
}

static void on_info(struct request *r, struct document *d)
{
    struct json_member *all;
    uint32_t len;
    enum err err = document_elements(r, d, &all, &len);
    const struct json_member *m = err == ERR_OK ? find(r, all, len, arg(r, "reminder")->s) : NULL;
    if (m == NULL) {
        answer_error(r, err == ERR_OK ? ERR_ITEM_NOT_FOUND : err);
        return;
    }
    answer_begin_sized(r, d->text.len + 64);
    json_key(&r->j, "reminder");
    document_put(&r->j, &m->value);
    answer_end(r);
}

void reminders_info(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_REMINDERS);
    if (d != NULL)
        document_read(r, d, on_info);
}

/* ---- complete, delete: the message is taken back first, if it still waits ---- */

struct ending {
    struct document *d;
    struct dir_unschedule unschedule;
    struct str_view id;
    bool deletes;
};

static enum err edit_end(struct request *r, struct document *d)
{
    const struct ending *w = d->own;
    struct json_member *all;
    uint32_t len;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    const struct json_member *it = find(r, all, len, w->id);
    if (it == NULL)
        return ERR_ITEM_NOT_FOUND;
    if (!w->deletes && number_of(r, it, "complete_ts") != 0)
        return ERR_OK;
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = 0; i < len; i++) {
        if (&all[i] != it)
            document_put(&j, &all[i].value);
        else if (!w->deletes)
            put_reminder(&j, r,
                         &(struct reminder){.id = w->id,
                                            .text = document_member(r, it, "text"),
                                            .channel = document_member(r, it, "channel"),
                                            .time_s = number_of(r, it, "time"),
                                            .complete_s = r->a->t->wall_us / 1000000});
    }
    json_arr_end(&j);
    d->changed = true;
    d->next = w->deletes && len == 1 ? SV("") : buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static void on_unscheduled(struct request *r, const struct cell *c)
{
    struct ending *w = r->work;
    if (c->err != ERR_OK && c->err != ERR_INVALID_SCHEDULED_ID) { /* that one was said already */
        answer_error(r, (enum err)c->err);
        return;
    }
    r->work = w->d;
    document_change(r, w->d, edit_end, document_done);
}

static void on_ending_read(struct request *r, struct document *d)
{
    struct ending *w = d->own;
    struct json_member *all;
    uint32_t len;
    enum err err = document_elements(r, d, &all, &len);
    const struct json_member *m = err == ERR_OK ? find(r, all, len, w->id) : NULL;
    if (m == NULL || !parse_reminder(w->id, &w->unschedule.id) ||
        !id_parse_channel(document_member(r, m, "channel"), &w->unschedule.cid)) {
        answer_error(r, err == ERR_OK ? ERR_ITEM_NOT_FOUND : err);
        return;
    }
    w->unschedule.team = r->who.team;
    w->unschedule.uid = r->who.uid;
    r->work = w;
    req_send(r, r->a->conf.dir, DIR_UNSCHEDULE, ID_NONE, &w->unschedule, on_unscheduled);
}

static void end_reminder(struct request *r, bool deletes)
{
    struct document *d = document_new(r, r->who.uid, DOC_REMINDERS);
    struct ending *w = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *w);
    if (d == NULL)
        return;
    if (w == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *w = (struct ending){.d = d, .id = arg(r, "reminder")->s, .deletes = deletes};
    d->own = w;
    document_read(r, d, on_ending_read);
}

void reminders_complete(struct request *r)
{
    end_reminder(r, false);
}

void reminders_delete(struct request *r)
{
    end_reminder(r, true);
}
