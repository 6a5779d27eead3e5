/* users.c - what is read of users and bots, in place from the directory's tables. */
#include "api/handlers.h"
#include "api/internal.h"
#include "dir/name.h"

enum { users_batch = 128 }; /* of one turn: some 0.2 ms */

struct user_view req_user_view(struct request *r)
{
    if (r->base_url.p == NULL) {
        struct buf base;
        buf_init(&base, &r->arena, 128);
        answer_url(r, &base, false);
        if (!base.failed)
            r->base_url = buf_view(&base);
        r->body.failed |= base.failed;
    }
    return (struct user_view){.now_s = r->a->t->wall_us / 1000000,
                              .with_email = (r->who.scopes & SCOPE_OF(USERS_READ_EMAIL)) != 0,
                              .with_locale = r->users.with_locale,
                              .base_url = r->base_url};
}

/* ---- many, a batch a turn ---- */

/* Room for all that is left, if they are as long as those so far: else an answer of megabytes would
 * be copied again and again as it grows. */
static void make_room(struct request *r, uint32_t written, size_t bytes)
{
    uint32_t all = dir_users_len(r->a->conf.dir_reader, r->who.team);
    size_t more = (bytes / written + 1) * (MIN(r->users.left, all) + 1);
    if (r->arena.bytes + more < r->arena.bytes_max)
        (void)buf_reserve(&r->body, more);
}

/* True: there are no more, or the limit is reached. */
static bool put_batch(struct request *r)
{
    uint64_t uids[users_batch];
    struct user_view view = req_user_view(r);
    uint32_t n = dir_users(r->a->conf.dir_reader, r->who.team, r->users.after, uids,
                           MIN(r->users.left, (uint32_t)users_batch));
    for (uint32_t i = 0; i < n; i++) {
        const struct row_user *u = dir_user(r->a->conf.dir_reader, r->who.team, uids[i]);
        if (u != NULL)
            user_json(&r->j, u, &view);
    }
    if (n > 0)
        r->users.after = uids[n - 1];
    r->users.left -= n;
    return n < users_batch || r->users.left == 0 || r->body.failed;
}

static void put_end(struct request *r)
{
    uint64_t uid;
    bool more = r->users.left == 0 &&
                dir_users(r->a->conf.dir_reader, r->who.team, r->users.after, &uid, 1) > 0;
    json_arr_end(&r->j);
    r->users.then(r, more ? r->users.after : 0);
}

static void wait_for_turn(struct request *r)
{
    struct acceptor *a = r->a;
    if (a->listing == NULL)
        a->listing_last = &a->listing;
    r->state = REQ_LISTING;
    r->users.next = NULL;
    *a->listing_last = r;
    a->listing_last = &r->users.next;
}

static void go_on(struct request *r)
{
    struct acceptor *a = r->a;
    if (a->listing == NULL)
        a->listing_last = &r->users.next;
    r->state = REQ_LISTING;
    r->users.next = a->listing;
    a->listing = r;
}

void users_json(struct request *r, uint64_t after, uint32_t limit, users_then *then)
{
    r->users.after = after;
    r->users.left = limit;
    r->users.then = then;
    r->users.room_made = after != 0; /* how many are behind a cursor is not known */
    json_arr(&r->j);
    if (put_batch(r))
        put_end(r);
    else if (!arena_charge(&r->arena))
        answer_nomem(r);
    else
        wait_for_turn(r);
}

/* One list after the other, a batch a turn: half of each at once would take all memory, and get
 * nobody an answer. */
void users_step(struct acceptor *a)
{
    struct request *r = a->listing;
    if (r == NULL)
        return;
    a->listing = r->users.next;
    if (r->conn == NULL) { /* the client has left */
        req_free(r);
        return;
    }
    r->state = REQ_RUNNING;
    enum err err = r->deadline_us <= a->t->mono_us ? ERR_DEADLINE : auth_again(r);
    if (err == ERR_OK && !r->users.room_made) {
        r->users.room_made = true;
        make_room(r, users_batch, r->body.len);
    }
    if (err != ERR_OK)
        answer_error(r, err);
    else if (!arena_charge(&r->arena))
        answer_nomem(r);
    else if (put_batch(r))
        put_end(r);
    else
        go_on(r);
}

/* ---- methods ---- */

static void end_list(struct request *r, uint64_t next)
{
    char text[20];
    struct buf b;
    json_kv_u64(&r->j, "cache_ts", r->a->t->wall_us / 1000000);
    buf_init_fixed(&b, text, sizeof text);
    if (next != 0)
        json_u64(&(struct json_out){.b = &b}, next);
    cursor_write(r, "user", buf_view(&b));
    answer_end(r);
}

void users_list(struct request *r)
{
    const struct arg_value *limit = arg(r, "limit");
    struct str_view cursor;
    uint64_t after = 0;
    enum err err = cursor_read(r, "user", &cursor);
    if (err == ERR_OK && cursor.len > 0 && !sv_to_u64(cursor, &after))
        err = ERR_INVALID_CURSOR;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    r->users.with_locale = arg(r, "include_locale")->n != 0;
    answer_begin(r);
    json_key(&r->j, "members");
    users_json(r, after, limit->given ? (uint32_t)limit->n : UINT32_MAX, end_list);
}

static void put_user(struct request *r, const struct row_user *u)
{
    struct user_view view = req_user_view(r);
    user_json(&r->j, u, &view);
}

void users_info(struct request *r)
{
    const struct row_user *u = dir_user(r->a->conf.dir_reader, r->who.team, arg(r, "user")->n);
    if (u == NULL) {
        answer_error(r, ERR_USER_NOT_FOUND);
        return;
    }
    r->users.with_locale = arg(r, "include_locale")->n != 0;
    answer_begin(r);
    json_key(&r->j, "user");
    put_user(r, u);
    answer_end(r);
}

void users_lookup_by_email(struct request *r)
{
    struct str_view email;
    if (name_fold_email(&r->arena, arg(r, "email")->s, &email) != ERR_OK) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    const struct row_user *u = dir_user_by_email(r->a->conf.dir_reader, r->who.team, email);
    if (u == NULL || (u->flags & USER_DELETED) != 0) {
        answer_error(r, ERR_USERS_NOT_FOUND);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "user");
    put_user(r, u);
    answer_end(r);
}

void users_identity(struct request *r)
{
    const struct row_user *u = dir_user(r->a->conf.dir_reader, r->who.team, r->who.uid);
    if (u == NULL) {
        answer_error(r, ERR_ACCOUNT_INACTIVE);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "user");
    json_obj(&r->j);
    json_kv_str(&r->j, "name", u->real_name);
    json_kv_id(&r->j, "id", ID_USER, u->uid);
    json_obj_end(&r->j);
    json_key(&r->j, "team");
    json_obj(&r->j);
    json_kv_id(&r->j, "id", ID_TEAM, u->team);
    json_obj_end(&r->j);
    answer_end(r);
}

/* Of before presence followed the sockets: there is nothing to set. */
void users_set_active(struct request *r)
{
    answer_begin(r);
    answer_end(r);
}

static void put_icons(struct request *r, uint64_t uid)
{
    static const char *const names[] = {"image_36", "image_48", "image_72"};
    char color[6], text[256];
    struct buf url;
    struct user_view view = req_user_view(r);
    buf_init_fixed(&url, text, sizeof text);
    buf_put_sv(&url, view.base_url);
    buf_printf(&url, "avatar/%.*s.png", SV_ARG(user_color(color, uid)));
    json_key(&r->j, "icons");
    json_obj(&r->j);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_kv_str(&r->j, names[i], url.failed ? SV("") : buf_view(&url));
    json_obj_end(&r->j);
}

void bots_info(struct request *r)
{
    const struct arg_value *asked = arg(r, "bot");
    uint64_t bot_id = asked->given ? 0 : r->who.bot_id;
    if (!asked->given && bot_id == ID_NONE) {
        answer_error(r, ERR_MISSING_ARGUMENT);
        return;
    }
    const struct row_user *u = NULL;
    if (!asked->given || id_parse(asked->s, ID_BOT, &bot_id))
        u = dir_user_by_bot(r->a->conf.dir_reader, r->who.team, bot_id);
    if (u == NULL) {
        answer_error(r, ERR_BOT_NOT_FOUND);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "bot");
    json_obj(&r->j);
    json_kv_id(&r->j, "id", ID_BOT, u->bot_id);
    json_kv_bool(&r->j, "deleted", (u->flags & USER_DELETED) != 0);
    json_kv_str(&r->j, "name", u->real_name);
    json_kv_u64(&r->j, "updated", u->updated_s);
    json_kv_id(&r->j, "app_id", ID_APP, u->app_id);
    json_kv_id(&r->j, "user_id", ID_USER, u->uid);
    put_icons(r, u->uid);
    json_obj_end(&r->j);
    answer_end(r);
}
