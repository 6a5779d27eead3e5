/* signin.c - auth.signin: team, e-mail address and password for a token. Parley's own method; Slack
 * has none that is documented. Whoever is wrong is wrong in the same words after the same time. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "api/handlers.h"
#include "api/internal.h"
#include "base/mutant.h"
#include "dir/dir_msg.h"
#include "dir/name.h"
#include "login/login.h"

struct signin {
    uint64_t team, uid;
    struct login_check check;
    struct dir_token_issue issue;
};

static enum err take(struct request *r, const uint64_t key[2])
{
    struct acceptor *a = r->a;
    struct rate rate = rate_per_min(a->conf.conf->api_rate_signin_per_min);
    if (rate_take_every(rate_table_word(&a->signin_rates, a->t->rand, key), a->t->mono_us, &rate,
                        &r->retry_after_s))
        return ERR_OK;
    metric_add(a->t->metrics, METRIC_RATE_LIMITED, 1);
    return ERR_RATELIMITED;
}

/* By address, then by account, whether it is there or not. */
static enum err take_rates(struct request *r, struct str_view team, struct str_view email)
{
    uint64_t key[2];
    address_key(r, key);
    key[0] = mix64(key[0] ^ 1); /* no address is an account */
    TRY(take(r, key));
    key[0] = XXH3_64bits_withSeed(team.p, team.len, 1);
    key[1] = XXH3_64bits_withSeed(email.p, email.len, 2);
    return take(r, key);
}

/* A URL ends up in logs. */
static bool password_in_url(const struct request *r)
{
    for (uint32_t i = 0; i < r->query_args_len; i++) {
        if (sv_eq(r->args[i].name, SV("password")))
            return true;
    }
    return false;
}

static void on_issued(struct request *r, const struct cell *c)
{
    const struct signin *s = r->work;
    if (c->err != ERR_OK) {
        answer_error(r, c->err == ERR_USER_NOT_FOUND ? ERR_INVALID_CREDENTIALS : (enum err)c->err);
        return;
    }
    answer_begin(r);
    json_kv_str(&r->j, "token", sv_from(s->issue.token));
    json_kv_id(&r->j, "user_id", ID_USER, s->uid);
    json_kv_id(&r->j, "team_id", ID_TEAM, s->team);
    answer_end(r);
}

void signin_end(struct request *r)
{
    r->a->signins_len -= r->signing_in;
    r->signing_in = false;
}

static void on_checked(struct request *r, const struct cell *c)
{
    struct signin *s = r->work;
    signin_end(r);
    if (MUTANT(SIGNED_IN_ANYWAY, answer_refused(r, c), false))
        return;
    s->issue = (struct dir_token_issue){
        .team = s->team, .uid = s->uid, .kind = TOKEN_USER, .scopes = UINT64_MAX};
    req_send(r, r->a->conf.dir, DIR_TOKEN_ISSUE, ID_NONE, &s->issue, on_issued);
}

static enum err prepare(struct request *r, struct signin *s)
{
    struct dir_reader *dir = r->a->conf.dir_reader;
    struct str_view domain = arg(r, "team")->s, email;
    if (password_in_url(r))
        return ERR_INVALID_ARGUMENTS;
    TRY(name_fold_email(&r->arena, arg(r, "email")->s, &email));
    TRY(take_rates(r, domain, email));
    s->check.password = arg(r, "password")->s;
    if (s->check.password.len > password_bytes_max)
        return ERR_INVALID_CREDENTIALS;
    const struct row_team *team = dir_team_by_domain(dir, domain);
    s->team = team == NULL ? ID_NONE : team->team;
    const struct row_user *u = dir_user_by_email(dir, s->team, email);
    if (u != NULL && (u->flags & (USER_DELETED | USER_BOT)) == 0)
        s->uid = u->uid;
    s->check.uid = s->uid;
    return r->a->signins_len < signins_max ? ERR_OK : ERR_SERVICE_UNAVAILABLE;
}

void auth_signin(struct request *r)
{
    struct signin *s = arena_zalloc(&r->arena, sizeof *s);
    enum err err = s == NULL ? ERR_NOMEM : prepare(r, s);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->work = s;
    r->signing_in = true;
    r->a->signins_len++;
    req_send(r, r->a->conf.login, LOGIN_CHECK, ID_NONE, &s->check, on_checked);
}
