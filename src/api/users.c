/* users.c - users.list, users.info: read in place from the directory's tables. */
#include "api/handlers.h"
#include "api/internal.h"

enum { users_batch = 128 }; /* of one turn: some 0.2 ms */

/* No user has a picture: a plain one in the user's colour stands for it in every size. */
static void put_images(struct json_out *j, struct request *r, struct str_view color)
{
    static const char *const names[] = {"image_24", "image_32",  "image_48",
                                        "image_72", "image_192", "image_512"};
    char text[256];
    struct buf url;
    buf_init_fixed(&url, text, sizeof text);
    avatar_url(r, &url, color);
    json_kv_str(j, "avatar_hash", color);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        json_kv_str(j, names[i], url.failed ? SV("") : buf_view(&url));
}

static void put_profile(struct json_out *j, struct request *r, const struct row_user *u,
                        struct str_view color)
{
    struct str_view display = u->display_name.len > 0 ? u->display_name : SV("");
    json_key(j, "profile");
    json_obj(j);
    json_kv_str(j, "real_name", u->real_name);
    json_kv_str(j, "real_name_normalized", u->real_name);
    json_kv_str(j, "display_name", display);
    json_kv_str(j, "display_name_normalized", display);
    if ((r->who.scopes & SCOPE_OF(USERS_READ_EMAIL)) != 0 && u->email.len > 0)
        json_kv_str(j, "email", u->email);
    json_kv_str(j, "title", u->title);
    json_kv_str(j, "phone", SV(""));
    json_kv_str(j, "status_text", SV(""));
    json_kv_str(j, "status_emoji", SV(""));
    json_kv_u64(j, "status_expiration", 0);
    put_images(j, r, color);
    json_kv_id(j, "team", ID_TEAM, u->team);
    if (u->bot_id != ID_NONE) {
        json_kv_id(j, "bot_id", ID_BOT, u->bot_id);
        json_kv_id(j, "api_app_id", ID_APP, u->app_id);
    }
    json_obj_end(j);
}

static struct str_view color_of(char out[6], uint64_t uid)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t v = mix64(uid);
    for (int i = 0; i < 6; i++, v >>= 4)
        out[i] = hex[v & 15];
    return (struct str_view){out, 6};
}

void user_json(struct json_out *j, struct request *r, const struct row_user *u)
{
    char text[6];
    struct str_view color = color_of(text, u->uid);
    bool owner = (u->flags & USER_OWNER) != 0;
    json_obj(j);
    json_kv_id(j, "id", ID_USER, u->uid);
    json_kv_id(j, "team_id", ID_TEAM, u->team);
    json_kv_str(j, "name", u->name);
    json_kv_bool(j, "deleted", (u->flags & USER_DELETED) != 0);
    json_kv_str(j, "color", color);
    json_kv_str(j, "real_name", u->real_name);
    json_kv_str(j, "tz", u->tz.len > 0 ? u->tz : SV("UTC"));
    json_kv_str(j, "tz_label", SV("Coordinated Universal Time"));
    json_kv_u64(j, "tz_offset", 0);
    put_profile(j, r, u, color);
    json_kv_bool(j, "is_admin", owner || (u->flags & USER_ADMIN) != 0);
    json_kv_bool(j, "is_owner", owner);
    json_kv_bool(j, "is_primary_owner", false);
    json_kv_bool(j, "is_restricted", false);
    json_kv_bool(j, "is_ultra_restricted", false);
    json_kv_bool(j, "is_bot", (u->flags & USER_BOT) != 0);
    json_kv_bool(j, "is_app_user", false);
    json_kv_u64(j, "updated", u->updated_s);
    json_obj_end(j);
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
    uint32_t n = dir_users(r->a->conf.dir_reader, r->who.team, r->users.after, uids,
                           MIN(r->users.left, (uint32_t)users_batch));
    for (uint32_t i = 0; i < n; i++) {
        const struct row_user *u = dir_user(r->a->conf.dir_reader, r->who.team, uids[i]);
        if (u != NULL)
            user_json(&r->j, r, u);
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
    answer_begin(r);
    json_key(&r->j, "members");
    users_json(r, after, limit->given ? (uint32_t)limit->n : UINT32_MAX, end_list);
}

void users_info(struct request *r)
{
    const struct row_user *u = dir_user(r->a->conf.dir_reader, r->who.team, arg(r, "user")->n);
    if (u == NULL) {
        answer_error(r, ERR_USER_NOT_FOUND);
        return;
    }
    answer_begin(r);
    json_key(&r->j, "user");
    user_json(&r->j, r, u);
    answer_end(r);
}
