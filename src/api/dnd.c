/* dnd.c - dnd.*: snoozing, for a number of minutes. There is no schedule: dnd_enabled says whether
 * one snoozes now. Source: Slack dnd.*, dnd_updated, dnd_updated_user. */
#include "api/document.h"
#include "api/handlers.h"

enum { team_users_max = 50 };

struct snooze {
    uint64_t from_s, until_s; /* until_s <= now: none */
};

static uint64_t now_s(const struct request *r)
{
    return r->a->t->wall_us / 1000000;
}

static uint64_t member_u64(struct request *r, struct str_view text, const char *name)
{
    struct json_member whole = {.value = {.type = JSON_OBJECT, .s = text}};
    uint64_t n = 0;
    return sv_to_u64(document_member(r, &whole, name), &n) ? n : 0;
}

static struct snooze read_snooze(struct request *r, struct str_view text)
{
    struct snooze s = {0};
    if (text.len > 0) {
        s.from_s = member_u64(r, text, "snooze_from");
        s.until_s = member_u64(r, text, "snooze_until");
    }
    if (s.until_s <= now_s(r))
        s = (struct snooze){0};
    return s;
}

/* Of others one sees when, not why. */
static void put_status(struct json_out *j, const struct request *r, struct snooze s, bool own)
{
    bool on = s.until_s > 0;
    json_kv_bool(j, "dnd_enabled", on);
    json_kv_u64(j, "next_dnd_start_ts", on ? s.from_s : 1);
    json_kv_u64(j, "next_dnd_end_ts", on ? s.until_s : 1);
    if (!own)
        return;
    json_kv_bool(j, "snooze_enabled", on);
    if (on) {
        json_kv_u64(j, "snooze_endtime", s.until_s);
        json_kv_u64(j, "snooze_remaining", s.until_s - now_s(r));
    }
}

static struct str_view event(struct request *r, const char *type, struct snooze s, bool own)
{
    struct buf b;
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_kv_id(&j, "user", ID_USER, r->who.uid);
    json_key(&j, "dnd_status");
    json_obj(&j);
    put_status(&j, r, s, own);
    json_obj_end(&j);
    json_kv_ts(&j, "event_ts", r->a->t->wall_us);
    json_obj_end(&j);
    return b.failed ? SV("") : buf_view(&b);
}

/* ---- who ---- */

static void put_info(struct request *r, struct document *d)
{
    answer_begin(r);
    put_status(&r->j, r, read_snooze(r, d->text), d->owner == r->who.uid);
    answer_end(r);
}

void dnd_info(struct request *r)
{
    const struct arg_value *user = arg(r, "user");
    uint64_t uid = user->given ? user->n : r->who.uid;
    if (dir_user(r->a->conf.dir_reader, r->who.team, uid) == NULL) {
        answer_error(r, ERR_USER_NOT_FOUND);
        return;
    }
    struct document *d = document_new(r, uid, DOC_DND);
    if (d != NULL)
        document_read(r, d, put_info);
}

struct team_info {
    struct str_view rest; /* of the list of users */
    uint32_t users;
};

static void next_user(struct request *r, struct document *d);

static void on_user(struct request *r, struct document *d)
{
    char id[id_text_max];
    size_t n = id_format(id, ID_USER, d->owner);
    json_key_of(&r->j, id, n);
    json_obj(&r->j);
    put_status(&r->j, r, read_snooze(r, d->text), false);
    json_obj_end(&r->j);
    next_user(r, d);
}

/* One after the other; who is unknown is left out. */
static void next_user(struct request *r, struct document *d)
{
    struct team_info *t = d->own;
    while (t->rest.len > 0 && t->users < team_users_max) {
        uint64_t uid;
        struct str_view one = sv_trim(sv_cut(&t->rest, ','));
        if (!id_parse(one, ID_USER, &uid) ||
            dir_user(r->a->conf.dir_reader, r->who.team, uid) == NULL)
            continue;
        t->users++;
        d->owner = uid;
        document_read(r, d, on_user);
        return;
    }
    json_obj_end(&r->j);
    answer_end(r);
}

void dnd_team_info(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_DND);
    struct team_info *t = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *t);
    struct str_view users = arg(r, "users")->s;
    if (d == NULL)
        return;
    if (t == NULL || users.len == 0) {
        answer_error(r, t == NULL ? ERR_NOMEM : ERR_NO_USERS_PROVIDED);
        return;
    }
    t->rest = users;
    d->own = t;
    answer_begin(r);
    json_key(&r->j, "users");
    json_obj(&r->j);
    next_user(r, d);
}

/* ---- snoozing ---- */

static enum err snooze_till(struct request *r, struct document *d, struct snooze s)
{
    struct buf b;
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    json_kv_u64(&j, "snooze_from", s.from_s);
    json_kv_u64(&j, "snooze_until", s.until_s);
    json_obj_end(&j);
    d->next = s.until_s == 0 ? SV("") : buf_view(&b);
    d->changed = true;
    document_tell_user(d, event(r, "dnd_updated", s, true));
    d->to_team = event(r, "dnd_updated_user", s, false);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static enum err edit_set(struct request *r, struct document *d)
{
    return snooze_till(r, d, (struct snooze){now_s(r), now_s(r) + arg(r, "num_minutes")->n * 60});
}

static void put_snooze(struct request *r, struct document *d)
{
    struct snooze s = read_snooze(r, d->next);
    answer_begin(r);
    json_kv_bool(&r->j, "snooze_enabled", s.until_s > 0);
    json_kv_u64(&r->j, "snooze_endtime", s.until_s);
    json_kv_u64(&r->j, "snooze_remaining", s.until_s > 0 ? s.until_s - now_s(r) : 0);
    answer_end(r);
}

void dnd_set_snooze(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_DND);
    if (d != NULL)
        document_change(r, d, edit_set, put_snooze);
}

/* n: whether not to snooze is an error. */
static enum err edit_end(struct request *r, struct document *d)
{
    if (read_snooze(r, d->text).until_s == 0)
        return d->n != 0 ? ERR_NOT_IN_DND : ERR_OK;
    return snooze_till(r, d, (struct snooze){0});
}

static void put_ended(struct request *r, struct document *d)
{
    answer_begin(r);
    put_status(&r->j, r, (struct snooze){0}, true);
    answer_end(r);
    (void)d;
}

void dnd_end_snooze(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_DND);
    if (d != NULL)
        document_change(r, d, edit_end, put_ended);
}

void dnd_end_dnd(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_DND);
    if (d == NULL)
        return;
    d->n = 1;
    document_change(r, d, edit_end, document_done);
}
