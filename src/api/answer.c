/* answer.c - heads and bodies of answers, errors in Slack's form, what is counted and logged of
 * each. */
#include "api/handlers.h"
#include "api/internal.h"
#include "base/probe.h"

#include <netinet/in.h>

enum { retry_after_max_s = 8 };

/* ---- status ---- */

/* Errors of the transport and of load always show their own status; those of a method are 200, as
 * Slack's clients need it, unless the caller asked otherwise. */
static bool has_own_status(const struct request *r, enum err err)
{
    int status = err_http(err);
    if (status >= 500 || status == 429 || r->method == NULL)
        return err != ERR_UNKNOWN_METHOD;
    switch ((int)err) {
    case ERR_BAD_REQUEST:
    case ERR_BODY_TOO_LARGE:
    case ERR_URI_TOO_LONG:
    case ERR_HEADERS_TOO_LARGE:
    case ERR_EXPECTATION_FAILED:
    case ERR_REQUEST_TIMEOUT:
    case ERR_METHOD_NOT_ALLOWED:
        return true;
    case ERR_INVALID_POST_TYPE: /* a compressed body; an unread type is the method's error */
        return r->fields.content_encoding.p != NULL;
    default:
        return false;
    }
}

static int status_of(const struct request *r, enum err err)
{
    if (err == ERR_OK)
        return 200;
    if (r->route == ROUTE_FILE && err_http(err) == 401)
        return 403; /* a browser would ask for a password */
    return r->http_errors || has_own_status(r, err) ? err_http(err) : 200;
}

/* ---- head ---- */

#define CORS                                                                                       \
    "Access-Control-Allow-Origin: *\r\n"                                                           \
    "Access-Control-Expose-Headers: retry-after, x-request-id, x-oauth-scopes, "                   \
    "x-accepted-oauth-scopes\r\n"
static const char cors[] = CORS;
static const char cors_and_json[] = CORS "Content-Type: application/json; charset=utf-8\r\n"
                                         "Cache-Control: private, no-store\r\n"
                                         "X-Content-Type-Options: nosniff\r\n";
static const char deprecated[] =
    "Deprecation: @1735689600\r\n"
    "Link: <https://docs.slack.dev/legacy/legacy-rtm-api>; rel=\"deprecation\"\r\n";

static void write_scopes(struct buf *b, uint64_t scopes)
{
    bool comma = false;
    for (scopes &= (UINT64_C(1) << SCOPE_COUNT) - 1; scopes != 0; scopes &= scopes - 1) {
        const char *name = scope_name((enum scope_bit)__builtin_ctzll(scopes));
        if (comma)
            buf_putc(b, ',');
        buf_put(b, name, strlen(name));
        comma = true;
    }
}

static void write_scope_fields(struct request *r, struct buf *b)
{
    const uint64_t all = (UINT64_C(1) << SCOPE_COUNT) - 1;
    buf_put(b, "X-OAuth-Scopes: ", 16);
    if ((r->who.scopes & all) == all)
        buf_put(b, r->a->scopes_all, strlen(r->a->scopes_all));
    else
        write_scopes(b, r->who.scopes);
    buf_put(b, "\r\nX-Accepted-OAuth-Scopes: ", 27);
    write_scopes(b, r->method->scopes);
    buf_put(b, "\r\n", 2);
}

/* A token that may do everything is told so where it asks for it: the list is longer than a post's
 * whole answer. */
static bool shows_scopes(const struct request *r)
{
    const uint64_t all = (UINT64_C(1) << SCOPE_COUNT) - 1;
    return r->known && r->method != NULL &&
           ((r->who.scopes & all) != all || r->method->run == auth_test);
}

static void write_trace(const struct request *r, struct buf *b)
{
    buf_put(b, "X-Request-Id: ", 14);
    buf_put(b, r->id, sizeof r->id);
    buf_put(b, "\r\ntraceparent: 00-", 18);
    buf_put(b, r->trace, sizeof r->trace);
    buf_putc(b, '-');
    buf_put(b, r->span, sizeof r->span);
    buf_putc(b, '-');
    buf_put(b, r->trace_flags, sizeof r->trace_flags);
    buf_put(b, "\r\n", 2);
}

static void write_head(struct request *r)
{
    struct buf b;
    buf_init_fixed(&b, r->head_p, head_bytes_max);
    http_write_status(&b, r->status);
    http_write_date(&b, r->a->t->wall_us);
    if (r->status == 204 || r->content.p != NULL)
        buf_put(&b, cors, sizeof cors - 1);
    else
        buf_put(&b, cors_and_json, sizeof cors_and_json - 1);
    buf_put_sv(&b, r->content);
    if (r->status != 204 && r->status != 304)
        http_write_field_u64(&b, "Content-Length", r->answer_body.len + r->stream_bytes);
    write_trace(r, &b);
    if (shows_scopes(r))
        write_scope_fields(r, &b);
    if (r->method != NULL && sv_starts(r->method->name, SV("rtm.")))
        buf_put(&b, deprecated, sizeof deprecated - 1);
    if (r->retry_after_s > 0)
        http_write_field_u64(&b, "Retry-After", r->retry_after_s);
    buf_put_sv(&b, r->extra);
    if (r->close)
        http_write_field(&b, "Connection", SV("close"));
    else if (r->http.minor == 0)
        http_write_field(&b, "Connection", SV("keep-alive"));
    http_write_end(&b);
    ASSERT(!b.failed);
    r->head = buf_view(&b);
}

/* A short body goes right behind its head: one piece costs the kernel less than a list of two. */
static void join_body(struct request *r)
{
    size_t n = r->answer_body.len;
    if (n == 0 || n > head_bytes_max - r->head.len)
        return;
    memcpy(r->head_p + r->head.len, r->answer_body.p, n);
    r->head.len += n;
    r->answer_body = SV("");
}

/* ---- done ---- */

static void count(struct request *r)
{
    struct metrics *m = r->a->t->metrics;
    if (r->method != NULL)
        metric_add(m, r->err == ERR_OK ? METRIC_API_OK : METRIC_API_FAILED, 1);
    if (r->err != ERR_OK && has_own_status(r, r->err) && r->status != 500 && r->status != 503 &&
        r->status != 429)
        metric_add(m, METRIC_HTTP_ERRORS, 1);
    metric_hist(m, METRIC_HIST_REQUEST_US, r->a->t->mono_us - r->started_us);
    stage_mark(r, STAGE_ANSWERED);
    PROBE(answered, r->handle, r->a->conf.index, r->a->t->mono_us, r->id, r->status);
}

static void log_request(const struct request *r)
{
    char client[INET6_ADDRSTRLEN];
    bool fault = r->err == ERR_INTERNAL_ERROR || r->err == ERR_CORRUPT;
    if (!fault && LIKELY(!log_enabled(LOG_DEBUG)))
        return;
    log_line(fault ? LOG_WARN : LOG_DEBUG, "request",
             "\"method\":%s,\"status\":%d,\"error\":\"%s\",\"us\":%llu,\"request_id\":\"%.*s\","
             "\"trace_id\":\"%.*s\",\"peer\":%s",
             log_str(r->method != NULL ? r->method->name : SV("")), r->status,
             r->err == ERR_OK ? "" : err_slack(r->err),
             (unsigned long long)(r->a->t->mono_us - r->started_us), id_hex_len, r->id, id_hex_len,
             r->trace, log_str(proxy_client(r, client, sizeof client)));
}

/* A row that lies is our mistake and no harm to who calls: once for each method, not for each call.
 */
static void check_row(struct request *r, enum err err)
{
    if (err == ERR_OK || r->method == NULL || method_error(r->method, err) != ERROR_OF_NONE)
        return;
    uint64_t i = (uint64_t)(r->method - methods), bit = UINT64_C(1) << i % 64;
    if ((r->a->undocumented[i / 64] & bit) != 0)
        return;
    r->a->undocumented[i / 64] |= bit;
    log_error("undocumented_error", "\"method\":%s,\"error\":\"%s\"", log_str(r->method->name),
              err_slack(err));
}

static void done(struct request *r, enum err err, int status, struct str_view body)
{
    ASSERT(r->state == REQ_RUNNING);
    if (r->conn == NULL) {
        req_abandon(r);
        return;
    }
    if (r->id[0] == '\0')
        head_name(r); /* refused before its head was whole */
    /* While draining, or when nothing more comes, the last answer of a connection ends it. */
    if (r->next == NULL && (r->a->draining || (r->conn->ended && r->conn->held == NULL))) {
        r->close = true;
        r->conn->closing = true;
    }
    if ((status == 503 || status == 429) && r->retry_after_s == 0)
        r->retry_after_s = 1 + (uint32_t)rand_below(r->a->t->rand, retry_after_max_s);
    check_row(r, err);
    r->err = err;
    r->status = status;
    r->answer_body = body;
    write_head(r);
    if (r->http.method == HTTP_HEAD)
        r->answer_body = SV("");
    join_body(r);
    r->state = REQ_ANSWERED;
    count(r);
    log_request(r);
    hconn_mark(r->conn);
}

void answer_begin(struct request *r)
{
    answer_begin_sized(r, 512);
}

void answer_begin_sized(struct request *r, size_t bytes)
{
    buf_init(&r->body, &r->arena, bytes);
    r->j = json_out_on(&r->body);
    json_obj(&r->j);
    json_kv_bool(&r->j, "ok", true);
}

void answer_end(struct request *r)
{
    json_obj_end(&r->j);
    if (r->body.failed)
        answer_error(r, ERR_NOMEM);
    else
        done(r, ERR_OK, 200, buf_view(&r->body));
}

void answer_body(struct request *r, enum err err, struct str_view body)
{
    done(r, err, status_of(r, err), body);
}

static void write_scope_needs(struct request *r, struct json_out *j)
{
    json_key(j, "needed");
    buf_putc(j->b, '"');
    write_scopes(j->b, r->method == NULL ? SCOPE_OF(FILES_READ) : r->method->scopes);
    buf_putc(j->b, '"');
    j->comma = true;
    json_key(j, "provided");
    buf_putc(j->b, '"');
    write_scopes(j->b, r->who.scopes);
    buf_putc(j->b, '"');
    j->comma = true;
}

static void write_detail(struct request *r, struct json_out *j)
{
    json_key(j, "response_metadata");
    json_obj(j);
    json_key(j, "messages");
    json_arr(j);
    buf_put(j->b, "\"[ERROR] ", 9);
    buf_put(j->b, r->detail, strlen(r->detail)); /* our own words and names: no escapes */
    buf_putc(j->b, '"');
    json_arr_end(j);
    json_obj_end(j);
}

static const char plain_fields[] = "Content-Type: text/plain; charset=utf-8\r\n"
                                   "Cache-Control: private, no-store\r\n"
                                   "X-Content-Type-Options: nosniff\r\n";

void answer_text(struct request *r, enum err err, struct str_view text)
{
    r->content = (struct str_view){plain_fields, sizeof plain_fields - 1};
    done(r, err, status_of(r, err), text);
}

void answer_error(struct request *r, enum err err)
{
    if (err == ERR_NOT_IN_CHANNEL && r->known && (r->who.user_flags & USER_GUEST) != 0)
        err = ERR_CHANNEL_NOT_FOUND; /* to a guest a channel that it is not in is not there */
    struct buf b;
    if (err_slack(err)[0] == '\0')
        err = ERR_INTERNAL_ERROR;   /* one of the codes that no client should meet */
    if (r->route == ROUTE_UPLOAD) { /* who uploads may know no JSON */
        answer_text(r, err, sv_from(err_slack(err)));
        return;
    }
    buf_init_fixed(&b, r->error_p, error_body_max);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_bool(&j, "ok", false);
    json_kv_str(&j, "error", sv_from(err_slack(err)));
    if (err == ERR_MISSING_SCOPE)
        write_scope_needs(r, &j);
    if (r->detail != NULL)
        write_detail(r, &j);
    json_obj_end(&j);
    ASSERT(!b.failed);
    answer_body(r, err, buf_view(&b));
}

bool answer_refused(struct request *r, const struct cell *c)
{
    if (c->err == ERR_OK)
        return false;
    answer_error(r, (enum err)c->err);
    return true;
}

void answer_done(struct request *r, const struct cell *c)
{
    if (answer_refused(r, c))
        return;
    answer_begin(r);
    answer_end(r);
}

void answer_preflight(struct request *r)
{
    r->extra = SV("Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                  "Access-Control-Allow-Headers: authorization, content-type, traceparent, "
                  "x-parley-errors, x-request-timeout\r\n"
                  "Access-Control-Max-Age: 86400\r\n");
    done(r, ERR_OK, 204, SV(""));
}

void answer_file(struct request *r, struct str_view fields, struct str_view body)
{
    r->content = fields;
    done(r, ERR_OK, 200, body);
}

void answer_stream(struct request *r, int status, struct str_view fields, uint64_t bytes)
{
    r->content = fields;
    r->stream_bytes = bytes;
    done(r, ERR_OK, status, SV(""));
}

/* ---- without a request ---- */

#define BUSY_BODY "{\"ok\":false,\"error\":\"service_unavailable\"}"
#define BUSY(seconds)                                                                              \
    SV("HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n"     \
       "Content-Length: 42\r\nRetry-After: " seconds "\r\nConnection: close\r\n\r\n" BUSY_BODY)
_Static_assert(sizeof BUSY_BODY - 1 == 42, "Content-Length of BUSY");

struct str_view answer_busy(struct acceptor *a)
{
    const struct str_view busy[] = {BUSY("1"), BUSY("2"), BUSY("3"), BUSY("4"),
                                    BUSY("5"), BUSY("6"), BUSY("7"), BUSY("8")};
    return busy[rand_below(a->t->rand, ARRAY_LEN(busy))];
}

void answer_nomem(struct request *r)
{
    if (r->conn == NULL) {
        req_abandon(r);
        return;
    }
    arena_reset(&r->arena); /* head, arguments and all */
    r->close = true;
    r->conn->closing = true;
    r->err = ERR_NOMEM;
    r->status = 503;
    r->head = answer_busy(r->a);
    r->answer_body = SV("");
    r->state = REQ_ANSWERED;
    count(r);
    hconn_mark(r->conn);
}

/* ---- our own address ---- */

void answer_url(const struct request *r, struct buf *out, bool websocket)
{
    struct str_view base = sv_from(r->a->conf.conf->server_public_url);
    bool secure = r->secure;
    if (sv_starts(base, SV("https://"))) {
        secure = true;
        base = (struct str_view){base.p + 8, base.len - 8};
    } else if (sv_starts(base, SV("http://"))) {
        secure = false;
        base = (struct str_view){base.p + 7, base.len - 7};
    }
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    if (base.len == 0)
        base = r->http.host.len > 0 ? r->http.host : SV("localhost");
    const char *scheme = websocket ? (secure ? "wss://" : "ws://")
                         : secure  ? "https://"
                                   : "http://";
    buf_put(out, scheme, strlen(scheme));
    buf_put_sv(out, base);
    buf_putc(out, '/');
}
