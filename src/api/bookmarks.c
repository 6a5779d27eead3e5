/* bookmarks.c - bookmarks.*: links at the top of a conversation. Members see and change them.
 * Source: Slack bookmarks.*. */
#include "api/document.h"
#include "api/handlers.h"
#include "base/mutant.h"

enum { bookmarks_max = 100, title_chars_max = 255, link_bytes_max = 2048, id_digits = 13 };

struct bookmark {
    char id[2 + id_digits];
    size_t id_len;
    struct str_view title, link, emoji; /* p NULL: as it is */
};

static struct str_view text_of(struct request *r, const char *name)
{
    const struct arg_value *v = arg(r, name);
    return v->given ? v->s : SV_NONE;
}

static enum err judge(const struct bookmark *m)
{
    if (m->title.p != NULL && (m->title.len == 0 || utf8_count(m->title) > title_chars_max))
        return ERR_TOO_LONG;
    bool web = sv_starts(m->link, SV("https://")) || sv_starts(m->link, SV("http://"));
    if (m->link.p != NULL && (!web || m->link.len > link_bytes_max))
        return ERR_INVALID_LINK;
    return m->emoji.len > title_chars_max ? ERR_INVALID_EMOJI_NAME : ERR_OK;
}

/* What changes of an element that is there, p NULL: of a new one. */
static void put_bookmark(struct request *r, struct json_out *j, const struct bookmark *m,
                         const struct json_member *old)
{
    uint64_t now_s = r->a->t->wall_us / 1000000;
    struct str_view title = m->title, link = m->link, emoji = m->emoji, created = SV_NONE;
    if (old != NULL) {
        created = document_member(r, old, "date_created");
        title = title.p != NULL ? title : document_member(r, old, "title");
        link = link.p != NULL ? link : document_member(r, old, "link");
        emoji = emoji.p != NULL ? emoji : document_member(r, old, "emoji");
    }
    json_obj(j);
    json_kv_str(j, "id", (struct str_view){m->id, m->id_len});
    json_kv_str(j, "channel_id", arg(r, "channel_id")->s);
    json_kv_str(j, "title", title);
    json_kv_str(j, "link", link);
    json_kv_str(j, "emoji", emoji.p != NULL ? emoji : SV(""));
    json_key(j, "icon_url");
    json_null(j);
    json_kv_str(j, "type", SV("link"));
    json_key(j, "date_created");
    if (created.p != NULL)
        json_raw(j, created);
    else
        json_u64(j, now_s);
    json_kv_u64(j, "date_updated", old == NULL ? 0 : now_s);
    json_kv_id(j, "last_updated_by_user_id", ID_USER, r->who.uid);
    json_obj_end(j);
}

/* ---- edits ---- */

/* The time, and later than any other of the conversation: Bk and base32. */
static void make_id(struct bookmark *m, uint64_t n)
{
    m->id[0] = 'B';
    m->id_len = 1 + id_format(m->id + 1, (enum id_kind)'k', n);
}

static bool is_it(struct request *r, const struct json_member *element, struct str_view id)
{
    return sv_eq(document_member(r, element, "id"), id);
}

static enum err edit_add(struct request *r, struct document *d)
{
    struct bookmark *m = d->own;
    struct json_member *all;
    uint32_t len;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    if (len >= bookmarks_max)
        return ERR_TOO_MANY_BOOKMARKS;
    uint64_t n = r->a->t->wall_us;
    make_id(m, n);
    for (uint32_t i = 0; i < len; i++) {
        if (is_it(r, &all[i], (struct str_view){m->id, m->id_len}))
            make_id(m, ++n); /* in order of time: those behind it are looked at yet */
    }
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = 0; i < len; i++)
        document_put(&j, &all[i].value);
    put_bookmark(r, &j, m, NULL);
    json_arr_end(&j);
    d->changed = true;
    d->next = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

/* n: take it away. */
static enum err edit_one(struct request *r, struct document *d)
{
    struct bookmark *m = d->own;
    struct str_view id = arg(r, "bookmark_id")->s;
    struct json_member *all;
    uint32_t len, left = 0;
    bool found = false;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = 0; i < len; i++) {
        bool it = is_it(r, &all[i], id);
        found |= it;
        if (it && d->n != 0)
            continue;
        left++;
        if (it)
            put_bookmark(r, &j, m, &all[i]);
        else
            document_put(&j, &all[i].value);
    }
    json_arr_end(&j);
    if (!found)
        return ERR_ITEM_NOT_FOUND;
    d->changed = true;
    d->next = left == 0 ? SV("") : buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

/* ---- answers ---- */

static void put_one(struct request *r, struct document *d)
{
    const struct bookmark *m = d->own;
    struct json_member *all;
    uint32_t len;
    d->text = d->next;
    if (!document_open(r, d, &all, &len))
        return;
    answer_begin(r);
    for (uint32_t i = 0; i < len; i++) {
        if (!is_it(r, &all[i], (struct str_view){m->id, m->id_len}))
            continue;
        json_key(&r->j, "bookmark");
        document_put(&r->j, &all[i].value);
    }
    answer_end(r);
}

static void put_all(struct request *r, struct document *d)
{
    answer_begin_sized(r, d->text.len + 64);
    json_key(&r->j, "bookmarks");
    json_raw(&r->j, d->text.len > 0 ? d->text : SV("[]"));
    answer_end(r);
}

/* ---- who may: members, and who may read reads ---- */

struct visit {
    struct document d;
    struct hist_info info;
    document_edit *edit;
    document_then *then;
    struct bookmark bookmark;
};

static void on_visited(struct request *r, const struct cell *c)
{
    struct visit *v = r->work;
    enum err err = (enum err)c->err;
    if (err == ERR_OK && v->edit != NULL && MUTANT(BOOKMARK_BY_STRANGERS, !v->info.member, false))
        err = ERR_NOT_IN_CHANNEL;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = &v->d;
    if (v->edit != NULL)
        document_change(r, &v->d, v->edit, v->then);
    else
        document_read(r, &v->d, v->then);
}

static void visit(struct request *r, document_edit *edit, document_then *then, uint64_t n)
{
    struct visit *v = arena_zalloc(&r->arena, sizeof *v);
    uint64_t cid = arg(r, "channel_id")->n;
    if (v == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    if (edit != NULL && n == 0) {
        v->bookmark.title = text_of(r, "title");
        v->bookmark.link = text_of(r, "link");
        v->bookmark.emoji = text_of(r, "emoji");
        enum err err = judge(&v->bookmark);
        if (err != ERR_OK) {
            answer_error(r, err);
            return;
        }
    }
    if (edit == edit_one) {
        struct str_view id = arg(r, "bookmark_id")->s;
        v->bookmark.id_len = MIN(id.len, sizeof v->bookmark.id);
        memcpy(v->bookmark.id, id.p, v->bookmark.id_len);
    }
    v->edit = edit;
    v->then = then;
    v->d = (struct document){.owner = cid, .kind = DOC_BOOKMARKS, .own = &v->bookmark, .n = n};
    v->info = (struct hist_info){.viewer = req_viewer(r), .cid = cid};
    buf_init(&v->info.out, &r->arena, 0);
    r->work = v;
    req_send(r, req_hist(r), HIST_INFO, cid, &v->info, on_visited);
}

void bookmarks_add(struct request *r)
{
    if (!sv_eq(arg(r, "type")->s, SV("link")))
        answer_error(r, ERR_INVALID_BOOKMARK_TYPE);
    else if (!arg(r, "link")->given)
        answer_error(r, ERR_INVALID_LINK);
    else
        visit(r, edit_add, put_one, 0);
}

void bookmarks_edit(struct request *r)
{
    visit(r, edit_one, put_one, 0);
}

void bookmarks_remove(struct request *r)
{
    visit(r, edit_one, document_done, 1);
}

void bookmarks_list(struct request *r)
{
    visit(r, NULL, put_all, 0);
}
