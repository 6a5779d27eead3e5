/* search_answer.c - what search.* answers. Source: Slack search.messages, search.files. */
#include "api/search.h"
#include "chan/channel_json.h"

/* One page of what was found: count to a page, len on this one. */
struct page {
    uint32_t page, count, len, total;
};

static void put_paging(struct json_out *j, const struct page *p)
{
    uint32_t pages = (p->total + p->count - 1) / p->count, first = (p->page - 1) * p->count + 1;
    json_kv_u64(j, "total", p->total);
    json_key(j, "pagination");
    json_obj(j);
    json_kv_u64(j, "total_count", p->total);
    json_kv_u64(j, "page", p->page);
    json_kv_u64(j, "per_page", p->count);
    json_kv_u64(j, "page_count", pages);
    json_kv_u64(j, "first", p->len == 0 ? 0 : first);
    json_kv_u64(j, "last", p->len == 0 ? 0 : first + p->len - 1);
    json_obj_end(j);
    json_key(j, "paging");
    json_obj(j);
    json_kv_u64(j, "count", p->count);
    json_kv_u64(j, "total", p->total);
    json_kv_u64(j, "page", p->page);
    json_kv_u64(j, "pages", pages);
    json_obj_end(j);
}

static void put_channel(struct json_out *j, const struct search_found *f)
{
    json_key(j, "channel");
    json_obj(j);
    json_kv_id(j, "id", channel_letter(f->kind), f->cid);
    json_kv_str(j, "name", f->channel);
    json_kv_bool(j, "is_channel", f->kind == CHANNEL_PUBLIC);
    json_kv_bool(j, "is_group", f->kind == CHANNEL_PRIVATE);
    json_kv_bool(j, "is_im", f->kind == CHANNEL_IM);
    json_kv_bool(j, "is_mpim", f->kind == CHANNEL_MPIM);
    json_kv_bool(j, "is_private", f->kind != CHANNEL_PUBLIC);
    json_kv_bool(j, "is_shared", false);
    json_kv_bool(j, "is_ext_shared", false);
    json_kv_bool(j, "is_org_shared", false);
    json_obj_end(j);
}

static void put_permalink(struct request *r, const struct search_found *f)
{
    struct buf url;
    buf_init(&url, &r->arena, 128);
    answer_url(r, &url, false);
    permalink_path(&url, channel_letter(f->kind), f->cid, f->ts_us, f->thread_ts_us);
    json_kv_str(&r->j, "permalink", buf_view(&url));
    r->body.failed |= url.failed;
}

/* What is besides the text, as it is in the message. */
static void put_parts(struct request *r, const struct search_found *f)
{
    static const char *const names[] = {"mrkdwn", "blocks", "attachments", "files", "thread_ts"};
    struct json_member *members;
    uint32_t len;
    if (json_read_object(r->a->json, &r->arena, f->message, &members, &len) != ERR_OK) {
        r->body.failed = true;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json_value *v = json_find(members, len, sv_from(names[i]));
        if (v == NULL)
            continue;
        json_key(&r->j, names[i]);
        if (v->type == JSON_STRING)
            json_str(&r->j, v->s);
        else
            json_raw(&r->j, v->s);
    }
}

static void put_match(struct request *r, const struct search_found *f)
{
    const struct row_user *user = dir_user(r->a->conf.dir_reader, r->who.team, f->uid);
    struct json_out *j = &r->j;
    json_obj(j);
    json_kv_str(j, "type", SV("message"));
    json_kv_ts(j, "iid", f->ts_us);
    json_kv_id(j, "team", ID_TEAM, r->who.team);
    json_kv_u64(j, "score", f->score);
    put_channel(j, f);
    json_kv_id(j, "user", ID_USER, f->uid);
    json_kv_str(j, "username", user == NULL ? SV("") : user->name);
    json_kv_ts(j, "ts", f->ts_us);
    json_kv_str(j, "text", f->text);
    put_parts(r, f);
    put_permalink(r, f);
    json_obj_end(j);
}

static void put_messages(struct request *r, const struct search_messages *m)
{
    const struct page page = {m->page, m->count, m->len, m->total};
    json_key(&r->j, "messages");
    json_obj(&r->j);
    put_paging(&r->j, &page);
    json_key(&r->j, "matches");
    json_arr(&r->j);
    for (uint32_t i = 0; i < m->len; i++)
        put_match(r, &m->found[i]);
    json_arr_end(&r->j);
    json_obj_end(&r->j);
}

static void put_files(struct request *r, const struct media_search *f)
{
    const struct page page = {f->page, f->count, f->len, f->total};
    json_key(&r->j, "files");
    json_obj(&r->j);
    put_paging(&r->j, &page);
    json_key(&r->j, "matches");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&f->json));
    json_arr_end(&r->j);
    json_obj_end(&r->j);
    r->body.failed |= f->json.failed;
}

void search_answer(struct request *r, const struct search_work *w)
{
    enum { around = 1024 };
    answer_begin_sized(r, w->f.json.len + around);
    json_kv_str(&r->j, "query", arg(r, "query")->s);
    if ((w->of & SEARCH_OF_MESSAGES) != 0)
        put_messages(r, &w->m);
    if ((w->of & SEARCH_OF_FILES) != 0)
        put_files(r, &w->f);
    /* What was not asked for is all 0. */
    page_cursor_write(r, MAX(w->m.count, w->f.count), MAX(w->m.total, w->f.total),
                      MAX(w->m.page, w->f.page));
    answer_end(r);
}
