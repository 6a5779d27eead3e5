/* user.c - what requests about users mean: new ones, changes, passwords, the end of one. */
#include "dir/internal.h"
#include "dir/name.h"

enum { email_bytes_max = 200 };

/* Empty: none. */
static bool is_email(struct str_view s)
{
    return s.len == 0 || (s.len <= email_bytes_max && memchr(s.p, '@', s.len) != NULL);
}

static void put_user_row(struct dir *d, const struct row_user *row)
{
    struct key k;
    key_user(&k, row->uid);
    row_user_encode(batch_put_begin(&d->batch, CF_USER, &k), &k, row);
    batch_put_end(&d->batch);
}

enum err dir_user_decide_add(struct dir *d, struct dir_user_add *m, struct dir_op *op)
{
    struct key k;
    TRY(name_check_user(m->name));
    if (tables_team(&d->tables, m->team) == NULL)
        return ERR_TEAM_NOT_FOUND;
    if (tables_name(&d->tables, TABLE_LOGINS, m->team, m->name) != NULL ||
        (m->email.len > 0 && tables_name(&d->tables, TABLE_LOGINS, m->team, m->email) != NULL))
        return ERR_EXISTS;
    if (!is_email(m->email))
        return ERR_INVALID_ARGUMENTS;
    m->uid = dir_next_id(d);
    if ((m->flags & USER_BOT) != 0) {
        m->bot_id = dir_next_id(d);
        m->app_id = dir_next_id(d);
    }
    op->user = (struct row_user){.uid = m->uid,
                                 .team = m->team,
                                 .bot_id = m->bot_id,
                                 .app_id = m->app_id,
                                 .created_s = dir_now_s(d),
                                 .updated_s = dir_now_s(d),
                                 .flags = m->flags,
                                 .name = m->name,
                                 .real_name = m->real_name.len > 0 ? m->real_name : m->name,
                                 .email = m->email,
                                 .tz = SV("UTC")};
    put_user_row(d, &op->user);
    key_team_user(&k, m->team, m->uid);
    dir_put_u64(d, &k, m->uid);
    if (m->email.len > 0) {
        key_email(&k, m->team, m->email);
        dir_put_u64(d, &k, m->uid);
    }
    return ERR_OK;
}

static enum err enter_logins(struct dir *d, const struct row_user *row)
{
    TRY(tables_put_name(&d->tables, TABLE_LOGINS, row->team, row->name, row->uid, 0));
    return row->email.len == 0
               ? ERR_OK
               : tables_put_name(&d->tables, TABLE_LOGINS, row->team, row->email, row->uid, 0);
}

enum err dir_user_publish_add(struct dir *d, const struct dir_op *op)
{
    TRY(tables_put_user(&d->tables, &op->user));
    TRY(enter_logins(d, &op->user));
    dir_tell_user(d, "team_join", op->user.uid);
    return ERR_OK;
}

enum err dir_user_decide_disable(struct dir *d, const struct dir_user_disable *m, struct dir_op *op)
{
    const struct user_entry *e = tables_user(&d->tables, m->uid);
    if (e == NULL || e->row.team != m->team)
        return ERR_USER_NOT_FOUND;
    op->user = e->row;
    op->user.flags |= USER_DELETED;
    op->user.updated_s = dir_now_s(d);
    put_user_row(d, &op->user);
    return ERR_OK;
}

enum err dir_user_publish_disable(struct dir *d, struct dir_op *op)
{
    TRY(tables_put_user(&d->tables, &op->user));
    struct token_entry *e = tables_user(&d->tables, op->user.uid)->tokens;
    for (; e != NULL; e = e->next_of_user) {
        if (e->state == TOKEN_VALID)
            __atomic_store_n(&e->state, TOKEN_INACTIVE, __ATOMIC_RELEASE); /* pairs with judge */
    }
    op->revokes = true;
    op->revoke_uid = op->user.uid;
    dir_tell_user(d, "user_change", op->user.uid);
    return ERR_OK;
}

/* ---- changes ---- */

static void take(struct str_view *field, struct str_view value)
{
    if (value.p != NULL)
        *field = value;
}

/* The address is the key of a row of its own. */
static enum err change_email(struct dir *d, const struct dir_user_change *m,
                             const struct row_user *was)
{
    struct key k;
    if (m->email.p == NULL || sv_eq(m->email, was->email))
        return ERR_OK;
    if (!is_email(m->email))
        return ERR_INVALID_ARGUMENTS;
    if (m->email.len > 0 && tables_name(&d->tables, TABLE_LOGINS, m->team, m->email) != NULL)
        return ERR_EXISTS;
    if (was->email.len > 0) {
        key_email(&k, m->team, was->email);
        batch_delete(&d->batch, CF_DIR, &k);
    }
    if (m->email.len > 0) {
        key_email(&k, m->team, m->email);
        dir_put_u64(d, &k, m->uid);
    }
    return ERR_OK;
}

enum err dir_user_decide_change(struct dir *d, const struct dir_user_change *m, struct dir_op *op)
{
    const struct user_entry *e = tables_user(&d->tables, m->uid);
    if (e == NULL || e->row.team != m->team)
        return ERR_USER_NOT_FOUND;
    TRY(change_email(d, m, &e->row));
    op->user = e->row;
    take(&op->user.real_name, m->real_name);
    take(&op->user.display_name, m->display_name);
    take(&op->user.email, m->email);
    take(&op->user.title, m->title);
    take(&op->user.tz, m->tz);
    take(&op->user.phone, m->phone);
    take(&op->user.status_text, m->status_text);
    take(&op->user.status_emoji, m->status_emoji);
    if (m->set_status_expiration)
        op->user.status_expiration_s = m->status_expiration_s;
    op->user.flags = (op->user.flags | m->set_flags) & ~m->clear_flags;
    op->user.updated_s = dir_now_s(d);
    put_user_row(d, &op->user);
    return ERR_OK;
}

/* op->user's strings may lie in the entry that is replaced: that one is freed when no reader is
 * left, which is after this turn. */
enum err dir_user_publish_change(struct dir *d, struct dir_op *op)
{
    const struct dir_user_change *m = op->request.u.p;
    struct row_user was = tables_user(&d->tables, m->uid)->row;
    bool status = m->status_text.p != NULL || m->status_emoji.p != NULL;
    bool moved = !sv_eq(was.email, op->user.email);
    TRY(tables_put_user(&d->tables, &op->user));
    if (moved && was.email.len > 0)
        tables_drop_name(&d->tables, TABLE_LOGINS, m->team, was.email);
    if (moved && op->user.email.len > 0)
        TRY(tables_put_name(&d->tables, TABLE_LOGINS, m->team, op->user.email, m->uid, 0));
    dir_tell_user(d, "user_change", m->uid);
    dir_tell_user(d, "user_profile_changed", m->uid);
    if (status)
        dir_tell_user(d, "user_status_changed", m->uid);
    return ERR_OK;
}

enum err dir_user_decide_password(struct dir *d, const struct dir_password_set *m)
{
    const struct user_entry *e = tables_user(&d->tables, m->uid);
    struct key k;
    if (e == NULL || e->row.team != m->team || (e->row.flags & (USER_DELETED | USER_BOT)) != 0)
        return ERR_USER_NOT_FOUND;
    key_password(&k, m->uid);
    if (m->hash.len == 0) {
        batch_delete(&d->batch, CF_DIR, &k);
        return ERR_OK;
    }
    row_password_encode(batch_put_begin(&d->batch, CF_DIR, &k), &k, m->hash);
    batch_put_end(&d->batch);
    return ERR_OK;
}
