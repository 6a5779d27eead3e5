/* search.c - search.messages, search.files and search.all: the query is read here, names are
 * resolved, search and media find. Source: Slack search.messages, search.files. */
#include "api/search.h"

#include "api/handlers.h"
#include "api/share.h"

enum { count_default = 20, found_bytes = 4096 };

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

/* That it is there tells nothing: who may not see it finds nothing in it. Nor does the time tell:
 * what is not there is asked for as well, by an id that no channel has. */
static bool find_place(struct request *r, struct str_view name, uint64_t *cid)
{
    enum channel_kind kind;
    name = without(inside(name, '#'), '#');
    if (!id_parse_channel(name, cid) &&
        !dir_channel_by_name(r->a->conf.dir_reader, r->who.team, name, cid, &kind))
        *cid = UINT64_MAX;
    return true;
}

typedef bool find_fn(struct request *r, struct str_view name, uint64_t *id);

/* Whoever is unknown leaves the list. False: that leaves none of those that it must be. */
static bool resolve(struct request *r, const struct query_name *names, uint32_t n, find_fn *find,
                    uint64_t *yes, uint32_t *yes_len, uint64_t *no, uint32_t *no_len)
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
    return wanted == 0 || *yes_len > 0;
}

/* ---- what is asked for ---- */

static bool is_word(const struct arg_value *v, const char *word)
{
    return v->given && sv_eq(v->s, sv_from(word));
}

static enum err read_order(struct request *r, bool *by_score, bool *ascending)
{
    const struct arg_value *sort = arg(r, "sort"), *dir = arg(r, "sort_dir");
    *by_score = !is_word(sort, "timestamp");
    *ascending = is_word(dir, "asc");
    bool known = (!sort->given || sort->s.len == 0 || !*by_score || is_word(sort, "score")) &&
                 (!dir->given || dir->s.len == 0 || *ascending || is_word(dir, "desc"));
    return known ? ERR_OK : ERR_INVALID_ARGUMENTS;
}

static uint32_t count_of(struct request *r)
{
    return arg(r, "count")->given ? (uint32_t)arg(r, "count")->n : count_default;
}

static enum err read_query(struct request *r, struct query *q, enum query_of of,
                           struct match *match)
{
    TRY(query_parse(q, of, arg(r, "query")->s, r->a->t->wall_us / 1000000, 0));
    return match_compile(match, q, &r->arena);
}

static enum err prepare_messages(struct request *r, struct search_work *w)
{
    struct search_messages *m = &w->m;
    const struct query *q = &w->q;
    TRY(read_query(r, &w->q, QUERY_MESSAGES, &m->match));
    TRY(read_order(r, &m->by_score, &m->ascending));
    TRY(page_read(r, &m->page));
    m->team = r->who.team;
    m->uid = r->who.uid;
    m->guest = req_is_guest(r);
    m->highlight = arg(r, "highlight")->n != 0;
    m->count = count_of(r);
    m->after_us = q->after_s * 1000000;
    m->before_us = q->before_s * 1000000;
    m->has = q->has;
    m->has_not = q->has_not;
    m->is = q->is;
    m->is_not = q->is_not;
    m->has_emoji = q->has_emoji;
    m->arena = &r->arena;
    bool hopeless =
        ((m->has | m->has_not) & HAS_STAR) != 0 || ((m->is | m->is_not) & IS_SAVED) != 0 ||
        !resolve(r, q->from, q->from_len, find_user, m->from, &m->from_len, m->not_from,
                 &m->not_from_len) ||
        !resolve(r, q->in, q->in_len, find_place, m->in, &m->in_len, m->not_in, &m->not_in_len);
    w->hopeless |= hopeless ? SEARCH_OF_MESSAGES : 0;
    return ERR_OK;
}

/* A file is a file; links, reactions, pins and threads are of messages. */
static bool can_be_file(const struct query *q)
{
    return (q->has & ~(uint32_t)HAS_FILE) == 0 && (q->has_not & (HAS_FILE | HAS_STAR)) == 0 &&
           (q->is & ~(uint32_t)IS_DM) == 0 && (q->is_not & IS_SAVED) == 0;
}

/* Punctuation alone: no word, and nothing else that is asked for. */
static bool says_nothing(const struct query *q, const struct match *m)
{
    return m->terms_len == 0 && q->terms_len > 0 && q->from_len == 0 && q->in_len == 0 &&
           q->type_len == 0 && q->after_s == 0 && q->before_s == 0 &&
           (q->has | q->has_not | q->is | q->is_not) == 0;
}

static void take_kinds(const struct query *q, struct media_search *f)
{
    for (uint32_t i = 0; i < q->type_len; i++) {
        if (q->type[i].negated)
            f->not_kinds[f->not_kinds_len++] = q->type[i].text;
        else
            f->kinds[f->kinds_len++] = q->type[i].text;
    }
}

static enum err prepare_files(struct request *r, struct search_work *w)
{
    struct media_search *f = &w->f;
    const struct query *q = &w->q;
    TRY(read_query(r, &w->q, QUERY_FILES, &f->match));
    TRY(read_order(r, &f->by_score, &f->ascending));
    TRY(page_read(r, &f->page));
    f->viewer = req_viewer(r);
    f->deadline_us = r->deadline_us;
    f->highlight = arg(r, "highlight")->n != 0;
    f->count = count_of(r);
    f->after_us = q->after_s * 1000000;
    f->before_us = q->before_s * 1000000;
    f->direct = (q->is & IS_DM) != 0;
    f->not_direct = (q->is_not & IS_DM) != 0;
    f->base_url = file_base_url(r);
    buf_init(&f->json, &r->arena, found_bytes);
    take_kinds(q, f);
    bool hopeless =
        !can_be_file(q) || says_nothing(q, &f->match) ||
        !resolve(r, q->from, q->from_len, find_user, f->from, &f->from_len, f->not_from,
                 &f->not_from_len) ||
        !resolve(r, q->in, q->in_len, find_place, f->in, &f->in_len, f->not_in, &f->not_in_len);
    w->hopeless |= hopeless ? SEARCH_OF_FILES : 0;
    return f->base_url.p == NULL ? ERR_NOMEM : ERR_OK;
}

/* ---- one after the other ---- */

static req_then on_found;

static void go_on(struct request *r, struct search_work *w)
{
    unsigned next = w->left & SEARCH_OF_MESSAGES ? SEARCH_OF_MESSAGES : w->left;
    w->left &= ~next;
    if (next == 0)
        search_answer(r, w);
    else if ((w->hopeless & next) != 0)
        go_on(r, w);
    else if (next == SEARCH_OF_MESSAGES)
        req_send(r, r->a->conf.search, SEARCH_MESSAGES, ID_NONE, &w->m, on_found);
    else
        req_send(r, r->a->conf.media, MEDIA_SEARCH, ID_NONE, &w->f, on_found);
}

static void on_found(struct request *r, const struct cell *c)
{
    if (!answer_refused(r, c))
        go_on(r, r->work);
}

static void begin(struct request *r, unsigned of)
{
    struct search_work *w = arena_zalloc(&r->arena, sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : ERR_OK;
    if (err == ERR_OK && (of & SEARCH_OF_MESSAGES) != 0)
        err = prepare_messages(r, w);
    if (err == ERR_OK && (of & SEARCH_OF_FILES) != 0)
        err = prepare_files(r, w);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    w->of = w->left = of;
    r->work = w;
    r->arena.bytes_max = arena_list_max;
    go_on(r, w);
}

void search_messages(struct request *r)
{
    begin(r, SEARCH_OF_MESSAGES);
}

void search_files(struct request *r)
{
    begin(r, SEARCH_OF_FILES);
}

void search_all(struct request *r)
{
    begin(r, SEARCH_OF_MESSAGES | SEARCH_OF_FILES);
}
