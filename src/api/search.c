/* search.c - search.messages: the query is read here, names are resolved, search finds. Source:
 * Slack search.messages. */
#include "api/handlers.h"
#include "api/internal.h"
#include "chan/channel_json.h"
#include "search/search_msg.h"

enum { count_default = 20 };

struct search_work {
    struct query q;
    struct search_messages m; /* lent to search */
    bool hopeless;            /* names somebody or something that is not there, or not known here */
};

/* ---- names ---- */

/* <@U1>, <@U1|ada>, <#C1|general>: what is between the sign and the bar. */
static struct str_view inside(struct str_view s, char sign)
{
    if (s.len < 4 || s.p[0] != '<' || s.p[1] != sign || s.p[s.len - 1] != '>')
        return s;
    struct str_view rest = {s.p + 2, s.len - 3};
    return sv_cut(&rest, '|');
}

static struct str_view without(struct str_view s, char sign)
{
    return s.len > 0 && s.p[0] == sign ? (struct str_view){s.p + 1, s.len - 1} : s;
}

static bool find_user(struct request *r, struct str_view name, uint64_t *uid)
{
    struct dir_reader *dir = r->a->conf.dir_reader;
    if (sv_eq_nocase(name, SV("me"))) {
        *uid = r->who.uid;
        return true;
    }
    name = without(inside(name, '@'), '@');
    if (id_parse(name, ID_USER, uid))
        return dir_user(dir, r->who.team, *uid) != NULL;
    return dir_user_by_name(dir, r->who.team, name, uid);
}

/* That it is there tells nothing: who may not see it finds nothing in it. */
static bool find_place(struct request *r, struct str_view name, uint64_t *cid)
{
    enum channel_kind kind;
    name = without(inside(name, '#'), '#');
    return id_parse_channel(name, cid) ||
           dir_channel_by_name(r->a->conf.dir_reader, r->who.team, name, cid, &kind);
}

typedef bool find_fn(struct request *r, struct str_view name, uint64_t *id);

/* Whoever is unknown leaves the list; if that leaves none of those that it must be, nothing is
 * found. */
static void resolve(struct request *r, struct search_work *w, const struct query_name *names,
                    uint32_t n, find_fn *find, uint64_t *yes, uint32_t *yes_len, uint64_t *no,
                    uint32_t *no_len)
{
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t id;
        bool known = find(r, names[i].text, &id);
        wanted += !names[i].negated;
        if (known && names[i].negated)
            no[(*no_len)++] = id;
        else if (known)
            yes[(*yes_len)++] = id;
    }
    w->hopeless |= wanted > 0 && *yes_len == 0;
}

/* ---- answer ---- */

static void put_paging(struct json_out *j, const struct search_messages *m)
{
    uint32_t pages = (m->total + m->count - 1) / m->count, first = (m->page - 1) * m->count + 1;
    json_key(j, "pagination");
    json_obj(j);
    json_kv_u64(j, "total_count", m->total);
    json_kv_u64(j, "page", m->page);
    json_kv_u64(j, "per_page", m->count);
    json_kv_u64(j, "page_count", pages);
    json_kv_u64(j, "first", m->len == 0 ? 0 : first);
    json_kv_u64(j, "last", m->len == 0 ? 0 : first + m->len - 1);
    json_obj_end(j);
    json_key(j, "paging");
    json_obj(j);
    json_kv_u64(j, "count", m->count);
    json_kv_u64(j, "total", m->total);
    json_kv_u64(j, "page", m->page);
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

/* Blocks, attachments and files as they are in the message. */
static void put_parts(struct request *r, const struct search_found *f)
{
    static const char *const names[] = {"blocks", "attachments", "files", "thread_ts"};
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

static void put_messages(struct request *r, const struct search_work *w)
{
    const struct search_messages *m = &w->m;
    answer_begin(r);
    json_kv_str(&r->j, "query", arg(r, "query")->s);
    json_key(&r->j, "messages");
    json_obj(&r->j);
    json_kv_u64(&r->j, "total", m->total);
    put_paging(&r->j, m);
    json_key(&r->j, "matches");
    json_arr(&r->j);
    for (uint32_t i = 0; i < m->len; i++)
        put_match(r, &m->found[i]);
    json_arr_end(&r->j);
    json_obj_end(&r->j);
    answer_end(r);
}

static void on_found(struct request *r, const struct cell *c)
{
    if (c->err != ERR_OK)
        answer_error(r, (enum err)c->err);
    else
        put_messages(r, r->work);
}

/* ---- request ---- */

static bool is_word(const struct arg_value *v, const char *word)
{
    return v->given && sv_eq(v->s, sv_from(word));
}

static enum err read_order(struct request *r, struct search_messages *m)
{
    const struct arg_value *sort = arg(r, "sort"), *dir = arg(r, "sort_dir");
    m->by_score = !is_word(sort, "timestamp");
    m->ascending = is_word(dir, "asc");
    bool known = (!sort->given || sort->s.len == 0 || !m->by_score || is_word(sort, "score")) &&
                 (!dir->given || dir->s.len == 0 || m->ascending || is_word(dir, "desc"));
    return known ? ERR_OK : ERR_INVALID_ARGUMENTS;
}

static enum err prepare(struct request *r, struct search_work *w)
{
    const struct arg_value *count = arg(r, "count"), *page = arg(r, "page");
    struct search_messages *m = &w->m;
    TRY(query_parse(&w->q, QUERY_MESSAGES, arg(r, "query")->s, r->a->t->wall_us / 1000000, 0));
    TRY(read_order(r, m));
    m->team = r->who.team;
    m->uid = r->who.uid;
    m->guest = req_is_guest(r);
    m->highlight = arg(r, "highlight")->n != 0;
    m->count = count->given ? (uint32_t)count->n : count_default;
    m->page = page->given ? (uint32_t)page->n : 1;
    m->after_us = w->q.after_s * 1000000;
    m->before_us = w->q.before_s * 1000000;
    m->has = w->q.has;
    m->has_not = w->q.has_not;
    m->is = w->q.is;
    m->is_not = w->q.is_not;
    m->has_emoji = w->q.has_emoji;
    m->arena = &r->arena;
    w->hopeless = ((m->has | m->has_not) & HAS_STAR) != 0 || ((m->is | m->is_not) & IS_SAVED) != 0;
    resolve(r, w, w->q.from, w->q.from_len, find_user, m->from, &m->from_len, m->not_from,
            &m->not_from_len);
    resolve(r, w, w->q.in, w->q.in_len, find_place, m->in, &m->in_len, m->not_in, &m->not_in_len);
    return match_compile(&m->match, &w->q, &r->arena);
}

void search_messages(struct request *r)
{
    struct search_work *w = arena_zalloc(&r->arena, sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : prepare(r, w);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = w;
    r->arena.bytes_max = arena_list_max;
    if (w->hopeless)
        put_messages(r, w);
    else
        req_send(r, r->a->conf.search, SEARCH_MESSAGES, ID_NONE, &w->m, on_found);
}
