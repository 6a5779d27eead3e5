#include "operator.h"

#include <stdio.h>

#include "world.h"

enum { arena_first_bytes = 16384, populate_steps_max = 2000000, email_at = 64 };

void operator_init(struct operator* o, struct world *w)
{
    memset(o, 0, sizeof *o);
    o->w = w;
    arena_pool_init(&o->pool, arena_first_bytes, 8, UINT64_MAX);
}

static void drop(struct operator* o, struct ask *a)
{
    arena_deinit(&a->arena);
    a->used = false;
    o->out--;
}

void operator_crash(struct operator* o)
{
    for (uint32_t i = 0; i < operator_asks_max; i++) {
        if (o->asks[i].used)
            drop(o, &o->asks[i]);
    }
}

void operator_deinit(struct operator* o)
{
    operator_crash(o);
    arena_pool_deinit(&o->pool);
}

static struct ask *new_ask(struct operator* o, enum actor_kind to, uint16_t type)
{
    for (uint32_t i = 0; i < operator_asks_max; i++) {
        struct ask *a = &o->asks[i];
        if (a->used)
            continue;
        memset(a, 0, sizeof *a);
        a->used = true;
        a->to = to;
        a->type = type;
        enum err err = arena_init(&a->arena, &o->pool, UINT64_MAX);
        ASSERT(err == ERR_OK);
        o->out++;
        o->poked = true;
        return a;
    }
    ASSERT(false);
    return NULL;
}

/* ---- answers ---- */

uint32_t operator_add_token(struct operator* o, struct str_view text, uint8_t user)
{
    /* Those that are under way have their places. */
    if (o->tokens_len + o->out >= operator_tokens_max || text.len >= token_text_max)
        return operator_tokens_max;
    struct sim_token *t = &o->tokens[o->tokens_len++];
    memcpy(t->text, text.p, text.len);
    t->text[text.len] = '\0';
    t->user = user;
    t->state = SIM_TOKEN_VALID;
    return o->tokens_len - 1;
}

static void on_issued(struct operator* o, const struct ask *a)
{
    o->out--; /* its place */
    uint32_t t = operator_add_token(o, sv_from(a->m.issue.token), (uint8_t)a->subject);
    o->out++;
    ASSERT(t < operator_tokens_max);
}

/* The hash is known before any row can have it. */
static void on_hashed(struct operator* o, const struct ask *a)
{
    const struct ouser *u = &o->w->oracle.users[o->w->plan.signer];
    struct login_hash *h = &o->hashes[a->subject - 1];
    *h = a->m.hash;
    struct ask *next = new_ask(o, ACTOR_DIR, DIR_PASSWORD_SET);
    next->m.password =
        (struct dir_password_set){.team = u->team, .uid = u->uid, .hash = {h->hash, h->len}};
}

static void on_answer(struct operator* o, const struct cell *c)
{
    struct ask *a = &o->asks[c->req];
    struct world *w = o->w;
    if (c->req >= operator_asks_max || !a->used || !a->sent)
        violation(w, "one_answer_per_request", "the operator got an answer it did not ask for");
    if (c->err == ERR_SERVICE_UNAVAILABLE && !w->populated) {
        a->sent = false; /* tables of two channels, both still being told about: it tries again */
        o->poked = true;
        return;
    }
    if (c->err != ERR_OK) {
        o->failed++;
        if (!w->faults_on && w->now_us > w->healed_us + 15000000)
            violation(w, "operator_served", "the operator was refused without a fault: %s",
                      err_code_name((enum err)c->err));
        if (a->to == ACTOR_DIR && a->type == DIR_TOKEN_REVOKE)
            o->tokens[a->subject].state = SIM_TOKEN_REVOKING; /* perhaps; nobody knows */
    } else if (a->to == ACTOR_DIR && a->type == DIR_TEAM_ADD) {
        o->teams[o->teams_len++] = a->m.team.team;
    } else if (a->to == ACTOR_DIR && a->type == DIR_TOKEN_ISSUE) {
        on_issued(o, a);
    } else if (a->to == ACTOR_DIR && a->type == DIR_TOKEN_REVOKE) {
        o->tokens[a->subject].state = SIM_TOKEN_REVOKED;
    } else if (a->to == ACTOR_LOGIN) {
        on_hashed(o, a);
    }
    drop(o, a);
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    (void)from, (void)t;
    ASSERT(class == CLASS_ANSWER);
    for (uint32_t i = 0; i < n; i++)
        on_answer(self, &cells[i]);
}

static void end_turn(void *self, struct turn *t)
{
    struct operator* o = self;
    struct world *w = o->w;
    o->poked = false;
    for (uint32_t i = 0; i < operator_asks_max; i++) {
        struct ask *a = &o->asks[i];
        if (!a->used || a->sent)
            continue;
        uint16_t index = a->to == ACTOR_CHAN ? chan_of(a->cid, w->len[ACTOR_CHAN]) : 0;
        struct cell *c = outbox_request(t->out, world_actor(w, a->to, index)->id);
        if (c == NULL)
            continue; /* the answer that brings a credit brings this turn too */
        c->type = a->type;
        c->req = i;
        c->cid = a->cid;
        c->u.p = &a->m;
        a->sent = true;
    }
}

static bool busy(const void *self)
{
    return ((const struct operator*)self)->poked;
}

const struct actor_ops operator_ops = {.on_cells = on_cells, .end_turn = end_turn, .busy = busy};

/* ---- asking ---- */

void operator_issue(struct operator* o, uint8_t user)
{
    if (o->tokens_len + o->out >= operator_tokens_max)
        return;
    struct ask *a = new_ask(o, ACTOR_DIR, DIR_TOKEN_ISSUE);
    a->subject = user;
    a->m.issue = (struct dir_token_issue){.team = o->w->oracle.users[user].team,
                                          .uid = o->w->oracle.users[user].uid,
                                          .kind = TOKEN_USER,
                                          .scopes = UINT64_MAX};
}

void operator_revoke(struct operator* o, uint32_t token)
{
    struct ask *a = new_ask(o, ACTOR_DIR, DIR_TOKEN_REVOKE);
    a->subject = token;
    memcpy(a->text, o->tokens[token].text, sizeof a->text);
    a->m.revoke.token = sv_from(a->text);
    o->tokens[token].state = SIM_TOKEN_REVOKING;
}

uint32_t operator_token_of(const struct operator* o, uint8_t user)
{
    for (uint32_t i = o->tokens_len; i-- > 0;) {
        if (o->tokens[i].user == user && o->tokens[i].state == SIM_TOKEN_VALID)
            return i;
    }
    return operator_tokens_max;
}

/* ---- passwords: hashed by login, then kept by dir, as parleyctl has it done ---- */

struct str_view operator_password(uint32_t number, char out[24])
{
    snprintf(out, 24, "password-%u", number);
    return sv_from(out);
}

uint32_t operator_password_of(const struct operator* o, struct str_view hash)
{
    for (uint32_t i = 0; i < o->passwords_len; i++) {
        if (sv_eq(hash, (struct str_view){o->hashes[i].hash, o->hashes[i].len}))
            return i + 1;
    }
    return 0;
}

static void set_password(struct operator* o)
{
    struct ask *a = new_ask(o, ACTOR_LOGIN, LOGIN_HASH);
    a->subject = ++o->passwords_len;
    a->m.hash.password = operator_password(a->subject, a->text);
}

void operator_change_password(struct operator* o)
{
    const struct world *w = o->w;
    if (o->passwords_len < w->plan.passwords && w->ops_issued >= w->plan.ops / 3 && w->up &&
        w->drain_stage < 0)
        set_password(o);
}

/* ---- the start ---- */

static void settle(struct operator* o)
{
    for (uint32_t i = 0; o->out > 0; i++) {
        if (i == populate_steps_max || !world_step(o->w))
            violation(o->w, "operator_served", "the workspace cannot be populated");
    }
}

static void add_team(struct operator* o, const char *domain)
{
    struct ask *a = new_ask(o, ACTOR_DIR, DIR_TEAM_ADD);
    a->m.team = (struct dir_team_add){.domain = sv_from(domain), .name = sv_from(domain)};
    settle(o);
}

static void add_user(struct operator* o, uint32_t i, uint64_t team)
{
    struct ask *a = new_ask(o, ACTOR_DIR, DIR_USER_ADD);
    snprintf(a->text, sizeof a->text, "user%u", i);
    snprintf(a->text + email_at, sizeof a->text - email_at, "user%u@sim.example", i);
    a->m.user = (struct dir_user_add){
        .team = team, .name = sv_from(a->text), .email = sv_from(a->text + email_at)};
    settle(o);
    operator_issue(o, (uint8_t)i);
    settle(o);
}

static void add_channel(struct operator* o, uint32_t i)
{
    struct ask *a = new_ask(o, ACTOR_DIR, DIR_CHANNEL_CREATE);
    snprintf(a->text, sizeof a->text, i == 0 ? "general" : "channel%u", i);
    a->m.create = (struct dir_channel_create){.team = o->teams[0],
                                              .creator = o->w->oracle.users[0].uid,
                                              .name = sv_from(a->text),
                                              .is_private = i % 3 == 2,
                                              .is_general = i == 0,
                                              .arena = &a->arena};
    settle(o);
}

static void invite(struct operator* o, const struct ochan *c)
{
    struct ask *a = new_ask(o, ACTOR_CHAN, CHAN_INVITE);
    uint32_t n = 0;
    for (uint32_t u = 1; u < o->w->oracle.users_len; u++) {
        if (o->w->oracle.users[u].team == c->team && (c->general || (c->cid + u) % 4 != 0))
            a->users[n++] = o->w->oracle.users[u].uid;
    }
    a->cid = c->cid;
    a->m.change = (struct chan_member_change){.team = c->team,
                                              .uid = c->creator,
                                              .users = a->users,
                                              .users_len = n,
                                              .by_admin = true,
                                              .silent = true,
                                              .arena = &a->arena};
    settle(o);
}

/* The last quarter of the users is in a workspace of its own, without channels: it must see
 * nothing. */
void operator_populate(struct operator* o)
{
    const struct plan *p = &o->w->plan;
    add_team(o, "first");
    add_team(o, "second");
    for (uint32_t i = 0; i < p->users; i++)
        add_user(o, i, o->teams[i >= 3 && i >= p->users - p->users / 4]);
    for (uint32_t i = 0; i < p->channels; i++)
        add_channel(o, i);
    for (uint32_t i = 0; i < p->channels; i++)
        invite(o, &o->w->oracle.chans[i]);
    if (p->passwords > 0)
        set_password(o);
    settle(o);
}
