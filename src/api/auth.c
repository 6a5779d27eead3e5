/* auth.c - who calls: the token from the header, the arguments, or both; its rate. */
#include "api/internal.h"
#include "dir/rate.h"

static void copy(struct request *r, const struct principal *p)
{
    r->who = (struct who){.team = p->team,
                          .uid = p->uid,
                          .bot_id = p->bot_id,
                          .app_id = p->app_id,
                          .scopes = p->scopes,
                          .tag = p->token_tag,
                          .kind = p->kind,
                          .user_flags = __atomic_load_n(&p->user_flags, __ATOMIC_RELAXED)};
    r->known = true;
    r->turn = r->a->turn;
}

static enum err take_rate(struct request *r, const struct principal *p)
{
    struct acceptor *a = r->a;
    uint64_t method = r->method == NULL ? 0 : (uint64_t)(r->method - methods) + 1;
    uint64_t key[2] = {p->token_tag, method};
    enum tier tier = r->method == NULL ? TIER_4 : r->method->tier; /* NULL: a file */
    if (rate_take_every(rate_table_word(&a->token_rates, a->t->rand, key), a->t->mono_us,
                        &a->tiers[tier], &r->retry_after_s))
        return ERR_OK;
    metric_add(a->t->metrics, METRIC_RATE_LIMITED, 1);
    return ERR_RATELIMITED;
}

static enum err by_token(struct request *r, struct str_view token)
{
    struct principal *p;
    TRY(dir_token(r->a->conf.dir_reader, token, &p));
    TRY(take_rate(r, p));
    copy(r, p);
    return ERR_OK;
}

enum err auth_by_head(struct request *r)
{
    bool named = r->method->who != WHO_ANYONE && r->fields.token.p != NULL;
    if (!named)
        return address_take_rate(r);
    return r->fields.auth_bad ? ERR_INVALID_AUTH : by_token(r, r->fields.token);
}

/* A token in the URL of a POST is refused: URLs end up in logs. One in the arguments and another in
 * the header are refused; equal ones are one (Bolt sends both). */
enum err auth_by_args(struct request *r)
{
    struct str_view token = r->fields.token;
    bool checked = r->known;
    for (uint32_t i = 0; i < r->args_len; i++) {
        const struct json_member *m = &r->args[i];
        if (!sv_eq(m->name, SV("token")))
            continue;
        if (m->value.type == JSON_STRING && m->value.s.len == 0)
            continue; /* an empty form field is no token */
        if (i < r->query_args_len && r->http.method == HTTP_POST)
            return ERR_NOT_AUTHED;
        if (m->value.type != JSON_STRING ||
            (token.p != NULL && !sv_eq_constant_time(token, m->value.s)))
            return ERR_INVALID_AUTH;
        token = m->value.s;
    }
    if (token.p == NULL)
        return ERR_NOT_AUTHED;
    return checked ? ERR_OK : by_token(r, token);
}

enum err auth_for_file(struct request *r)
{
    if (r->fields.token.p == NULL)
        return ERR_NOT_AUTHED;
    TRY(r->fields.auth_bad ? ERR_INVALID_AUTH : by_token(r, r->fields.token));
    if ((WHO_MEMBER & 1u << r->who.kind) == 0)
        return ERR_NOT_ALLOWED_TOKEN_TYPE;
    return (r->who.scopes & SCOPE_OF(FILES_READ)) == 0 ? ERR_MISSING_SCOPE : ERR_OK;
}

enum err auth_again(struct request *r)
{
    struct principal *p;
    TRY(dir_token_by_tag(r->a->conf.dir_reader, r->who.tag, &p));
    copy(r, p);
    return ERR_OK;
}
