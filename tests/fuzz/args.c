/* What the acceptor decodes of a request: Authorization, traceparent, forwarded addresses, the
 * arguments in all their forms, cursors. Twice: each decoder alone, its values judged; then the
 * whole acceptor with the bytes in pieces and neighbours that refuse, its answers judged by llhttp
 * and the JSON reader. */
#include <arpa/inet.h>

#include "api/internal.h"
#include "api/test_world.h"
#include "fuzz.h"

/* Both name their methods alike. */
#define HTTP_GET     LLHTTP_GET
#define HTTP_HEAD    LLHTTP_HEAD
#define HTTP_POST    LLHTTP_POST
#define HTTP_OPTIONS LLHTTP_OPTIONS
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST
#undef HTTP_OPTIONS

/* ---- the head ---- */

static bool is_lower_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\0' || strchr("0123456789abcdef", p[i]) == NULL)
            return false;
    }
    return true;
}

static bool all_zeros(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '0')
            return false;
    }
    return true;
}

static void judge_trace(const struct request *r)
{
    struct str_view given = r->fields.traceparent;
    CLAIM(is_lower_hex(r->trace, sizeof r->trace) && !all_zeros(r->trace, sizeof r->trace));
    CLAIM(is_lower_hex(r->span, sizeof r->span) && is_lower_hex(r->id, sizeof r->id));
    CLAIM(is_lower_hex(r->trace_flags, sizeof r->trace_flags));
    if (memcmp(r->trace, r->id, sizeof r->trace) != 0)
        CLAIM(given.len >= 55 && memcmp(given.p + 3, r->trace, sizeof r->trace) == 0);
}

/* One good token stands in each Authorization field, whole. */
static void judge_token(const struct request *r)
{
    struct str_view token = r->fields.token;
    for (uint32_t i = 0; i < r->http.fields_len; i++) {
        struct str_view v = r->http.fields[i].value;
        if (r->fields.auth_bad || !sv_eq_nocase(r->http.fields[i].name, SV("Authorization")))
            continue;
        CLAIM(token.len > 0 && v.len > 7 + token.len - 1);
        CLAIM(sv_eq_nocase((struct str_view){v.p, 7}, SV("Bearer ")));
        CLAIM(memcmp(v.p + v.len - token.len, token.p, token.len) == 0);
    }
}

/* Of an entry of X-Forwarded-For; false: it is no address. */
static bool entry_ip(char *word, uint8_t ip[16])
{
    size_t n;
    word += strspn(word, " \t");
    for (n = strlen(word); n > 0 && (word[n - 1] == ' ' || word[n - 1] == '\t'); n--)
        word[n - 1] = '\0';
    if (word[0] == '[' && n >= 2 && word[n - 1] == ']') {
        word[n - 1] = '\0';
        word++;
    }
    memcpy(ip, (const uint8_t[12]){[10] = 0xff, [11] = 0xff}, 12);
    return inet_pton(AF_INET, word, ip + 12) == 1 || inet_pton(AF_INET6, word, ip) == 1;
}

/* By the rule of the handbook, from a list of entries: the peer 10.0.0.1, then leftwards as long as
 * who speaks is of 10.0.0.0/8 or fd00::/8 and the next entry is an address. */
static void expect_client(struct str_view given, uint8_t ip[16])
{
    static const uint8_t peer[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
    char list[4096], *words[2048], *rest = list;
    size_t n = 0;
    memcpy(ip, peer, 16);
    if (given.len == 0)
        return;
    memcpy(list, given.p, given.len);
    list[given.len] = '\0';
    while (n < ARRAY_LEN(words) && rest != NULL)
        words[n++] = strsep(&rest, ",");
    while (n-- > 0 && ((memcmp(ip, peer, 12) == 0 && ip[12] == 10) || ip[0] == 0xfd)) {
        uint8_t one[16];
        if (!entry_ip(words[n], one))
            return;
        memcpy(ip, one, 16);
    }
}

static void judge_client(const struct request *r)
{
    char text[INET6_ADDRSTRLEN + 2];
    struct str_view client = proxy_client(r, text, sizeof text);
    uint8_t ip[16], again[16], expected[16];
    proxy_client_ip(r, ip);
    CLAIM(client.len > 0 && entry_ip(text, again) && memcmp(ip, again, 16) == 0);
    if (r->fields.forwarded_for.len >= 2048)
        return;
    expect_client(r->fields.forwarded_for, expected);
    CLAIM(memcmp(ip, expected, 16) == 0);
}

/* ---- the arguments ---- */

/* On one line: it becomes part of an event. */
static void judge_one_line(struct str_view s)
{
    CLAIM(memchr(s.p, '\n', s.len) == NULL && memchr(s.p, '\r', s.len) == NULL &&
          memchr(s.p, '\t', s.len) == NULL);
}

static void judge_objects(struct request *r, const struct arg_spec *spec, struct str_view s)
{
    struct json_member *elements;
    uint32_t len;
    CLAIM(json_read_array_max(r->a->json, &r->arena, s, spec->max, &elements, &len) == ERR_OK);
    CLAIM(len > 0);
    for (uint32_t i = 0; i < len; i++)
        CLAIM(elements[i].value.type == JSON_OBJECT);
    judge_one_line(s);
}

static void judge_object(struct request *r, const struct arg_spec *spec, struct str_view s)
{
    struct json_member *members;
    uint32_t len;
    CLAIM(s.len <= spec->max);
    CLAIM(json_read_object(r->a->json, &r->arena, s, &members, &len) == ERR_OK);
    judge_one_line(s);
}

static void judge_value(struct request *r, const struct arg_spec *spec, const struct arg_value *v)
{
    uint64_t n;
    char text[ts_text_len];
    switch (spec->type) {
    case ARG_TEXT:
    case ARG_CHANNEL_NAME:
    case ARG_CURSOR:
    case ARG_LIST:
        CLAIM(utf8_valid(v->s) && (v->s.len == 0 || memchr(v->s.p, 0, v->s.len) == NULL));
        break;
    case ARG_BOOL:
        CLAIM(v->n <= 1);
        break;
    case ARG_INT:
        CLAIM(v->n >= 1 && v->n <= spec->max);
        break;
    case ARG_TS:
        ts_format(text, v->n);
        CLAIM(ts_parse((struct str_view){text, sizeof text}, &n) && n == v->n);
        break;
    case ARG_CHANNEL:
        CLAIM(id_parse_channel(v->s, &n) && n == v->n && n != ID_NONE);
        break;
    case ARG_USER:
        CLAIM(id_parse(v->s, ID_USER, &n) && n == v->n && n != ID_NONE);
        break;
    case ARG_OBJECT:
        judge_object(r, spec, v->s);
        break;
    case ARG_OBJECTS:
        judge_objects(r, spec, v->s);
        break;
    case ARG_ANY:
        break;
    }
}

/* What is read out of a cursor makes a cursor that reads the same. */
static void judge_cursor(struct request *r, struct arg_value *cursor, const char *key)
{
    struct str_view value, again;
    struct json_member *members;
    uint32_t len;
    if (cursor_read(r, key, &value) != ERR_OK || !cursor->given)
        return;
    CLAIM(value.len > 0);
    buf_init(&r->body, &r->arena, 256);
    r->j = json_out_on(&r->body);
    json_obj(&r->j);
    cursor_write(r, key, value);
    json_obj_end(&r->j);
    CLAIM(!r->body.failed);
    CLAIM(json_read_object(r->a->json, &r->arena, buf_view(&r->body), &members, &len) == ERR_OK);
    CLAIM(json_read_object(r->a->json, &r->arena, members[0].value.s, &members, &len) == ERR_OK);
    struct arg_value kept = *cursor;
    cursor->s = members[0].value.s;
    CLAIM(cursor_read(r, key, &again) == ERR_OK && sv_eq(value, again));
    *cursor = kept;
}

static void judge_method(struct request *r, const struct method *m)
{
    static const char *const cursor_keys[] = {"channel", "member", "next_ts", "user"};
    r->method = m;
    r->detail = NULL;
    enum err err = args_check(r);
    CLAIM(err == ERR_OK || (err_http(err) >= 400 && err_http(err) < 600));
    CLAIM(r->detail == NULL || utf8_valid(sv_from(r->detail)));
    for (uint32_t i = 0; err == ERR_OK && m->args[i].name != NULL; i++) {
        if (r->argv[i].given)
            judge_value(r, &m->args[i], &r->argv[i]);
        for (size_t k = 0; m->args[i].type == ARG_CURSOR && k < ARRAY_LEN(cursor_keys); k++)
            judge_cursor(r, &r->argv[i], cursor_keys[k]);
    }
}

static void judge_args(struct request *r)
{
    enum err err = args_gather(r);
    CLAIM(err == ERR_OK || (err_http(err) >= 400 && err_http(err) < 600));
    if (err != ERR_OK)
        return;
    for (uint32_t i = 0; i < r->args_len; i++) {
        const struct json_member *m = &r->args[i];
        CLAIM(utf8_valid(m->name) && utf8_valid(m->value.s));
    }
    for (uint32_t i = 0; i < methods_len; i++)
        judge_method(r, &methods[i]);
}

/* The decoders, called as the acceptor calls them, on one request that no connection knows of. */
static void decode(struct world *w, const uint8_t *data, size_t n)
{
    size_t at = 0, used;
    enum err why, head = ERR_OK;
    open_conn(w, 1);
    struct request *r = req_new(&w->a->conns[1]);
    CLAIM(r != NULL);
    enum http_step step = http_parser_feed(r->parser, data, n, &used, &why);
    at += used;
    if (step == HTTP_HEAD_DONE) {
        head = head_judge(r);
        judge_trace(r);
        judge_token(r);
        judge_client(r);
        CLAIM(r->fields.timeout.p == NULL ||
              r->deadline_us <= r->started_us + w->conf.http_request_timeout_ms * 1000);
        step = http_parser_feed(r->parser, data + at, n - at, &used, &why);
    }
    if (step == HTTP_DONE && head == ERR_OK)
        judge_args(r);
    req_free(r);
    leave(w, 1);
}

/* ---- the whole acceptor ---- */

static void refuse(struct world *w, struct fuzz *f)
{
    static const enum err why[] = {ERR_CHANNEL_NOT_FOUND, ERR_NOT_IN_CHANNEL,
                                   ERR_SERVICE_UNAVAILABLE, ERR_DEADLINE};
    for (actor_id to = A_CHAN; to < A_COUNT; to++) {
        while (asked(w, to)) {
            struct cell c = take(w, to);
            if (c.type == CHAN_POST && to == A_CHAN && rand_below(&f->rand, 2) == 0)
                posted(w, c, 1700000000000001);
            else
                reply(w, to, c, why[rand_below(&f->rand, ARRAY_LEN(why))], 0);
        }
    }
}

static void settle(struct world *w, struct fuzz *f)
{
    struct world_conn *c = &w->conns[0];
    do {
        refuse(w, f);
        if (c->sending && !c->closed)
            sent(w, 0);
    } while (c->sending && !c->closed);
}

struct answers {
    struct json_reader *json;
    struct buf body;
    uint32_t len;
};

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct answers *s = p->data;
    buf_put(&s->body, at, n);
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct answers *s = p->data;
    enum json_type type;
    if (s->body.len > 0 && s->body.p[0] == '{')
        CLAIM(json_check(s->json, buf_view(&s->body), &type) == ERR_OK && type == JSON_OBJECT);
    s->body.len = 0;
    s->len++;
    return 0;
}

/* An answer to HEAD has a length and no body: only the asker knows. */
static void judge_answers(struct world *w, struct fuzz *f, const uint8_t *data, size_t n)
{
    llhttp_t p;
    llhttp_settings_t settings;
    struct answers s = {.json = w->a->json};
    if (n >= 5 && memmem(data, n, "HEAD ", 5) != NULL)
        return;
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&p, HTTP_RESPONSE, &settings);
    p.data = &s;
    buf_init(&s.body, &f->arena, 4096);
    enum llhttp_errno rc = llhttp_execute(&p, w->conns[0].out, w->conns[0].len);
    if (rc != HPE_OK && rc != HPE_CLOSED_CONNECTION)
        fprintf(stderr, "llhttp: %s %s\n%.*s\n", llhttp_errno_name(rc), llhttp_get_error_reason(&p),
                (int)w->conns[0].len, w->conns[0].out);
    CLAIM(rc == HPE_OK || rc == HPE_CLOSED_CONNECTION);
}

static void serve(struct world *w, struct fuzz *f, const uint8_t *data, size_t n)
{
    struct world_conn *c = &w->conns[0];
    open_conn(w, 0);
    for (size_t at = 0; at < n && !c->closed && !c->gone;) {
        size_t len = 1 + rand_below(&f->rand, MIN(n - at, (size_t)700));
        if (!c->paused) {
            feed_bytes(w, 0, (const char *)data + at, len);
            at += len;
        }
        settle(w, f);
        CLAIM(!c->paused || c->closed || c->gone); /* all is answered: it reads on */
    }
    if (!c->closed && !c->gone && rand_below(&f->rand, 2) == 0) {
        feed_end(w, 0);
        settle(w, f);
        CLAIM(c->closed || c->gone);
    }
    judge_answers(w, f, data, n);
    if (w->adopted != NULL) {
        free(w->adopted->leftover);
        free(w->adopted->owner_data);
        free(w->adopted);
        w->adopted = NULL;
    }
    if (!c->gone)
        leave(w, 0);
    settle(w, f);
    CLAIM(slab_used(&w->a->requests) == 0 && w->a->gate.waiting == 0 && w->out.requests_out == 0);
    CLAIM(w->a->pool.bytes_used == 0);
}

static void forget_conn(struct world *w, conn_id c)
{
    struct world_conn *s = &w->conns[c];
    s->sending = s->paused = s->closed = s->reset = s->gone = false;
    forget(w, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct world *w;
    struct fuzz f;
    fuzz_init(&f, data, n);
    if (w == NULL) {
        w = world_new();
        snprintf(w->conf.server_trusted_proxies, sizeof w->conf.server_trusted_proxies,
                 "10.0.0.0/8, fd00::/8");
        log_set_level(LOG_ERROR);
        world_start(w);
    }
    rand_init_seeded(&w->rand, 7);
    forget_conn(w, 0);
    forget_conn(w, 1);
    pass_ms(w, 4000); /* rates are whole again */
    decode(w, data, n);
    serve(w, &f, data, n);
    fuzz_deinit(&f);
    return 0;
}
