/* oracle_signin.c - who may sign in: the passwords and tokens that were stored, and since when. */
#include "dir/token.h"
#include "grow.h"
#include "world.h"

enum { uid_at = 1, hash_at = 1 };

void oracle_on_password(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct str_view hash;
    uint8_t user = oracle_user(o, oracle_be64(r->key, uid_at));
    if (r->op != ROW_PUT || row_password_decode(&hash, r->key, r->value) != ERR_OK)
        violation(w, "rows_whole", "a password that cannot be read was written");
    uint32_t number = operator_password_of(&w->operator_, hash);
    if (number == 0 || user != w->plan.signer || o->passwords_len == oracle_passwords_max)
        violation(w, "rows_whole", "a password that nobody set, or another user's");
    o->passwords[o->passwords_len].pos = o->pos;
    o->passwords[o->passwords_len++].number = number;
}

void oracle_on_token(struct world *w, const struct row *r)
{
    struct oracle *o = &w->oracle;
    struct row_token row;
    uint64_t tag = oracle_be64(r->key, hash_at);
    if (r->op != ROW_PUT || row_token_decode(&row, r->key, r->value) != ERR_OK)
        violation(w, "rows_whole", "a token that cannot be read was written");
    for (uint32_t i = 0; i < o->tokens_len; i++) {
        if (o->tokens[i].tag == tag)
            return; /* it is revoked */
    }
    GROW(o->tokens, o->tokens_len, o->tokens_cap);
    o->tokens[o->tokens_len++] =
        (struct otoken){.tag = tag, .team = row.team, .uid = row.uid, .pos = o->pos};
}

bool oracle_was_password(const struct world *w, uint8_t user, uint32_t number, bool is,
                         uint64_t from, uint64_t to)
{
    const struct oracle *o = &w->oracle;
    uint32_t now = 0;
    for (uint32_t i = 0; user == w->plan.signer && i < o->passwords_len; i++) {
        if (o->passwords[i].pos > to)
            break;
        if (o->passwords[i].pos > from && (now != 0 && now == number) == is)
            return true; /* until then */
        now = o->passwords[i].number;
    }
    return (now != 0 && now == number) == is;
}

bool oracle_has_token(const struct world *w, struct str_view text, uint8_t user, uint64_t pos)
{
    const struct oracle *o = &w->oracle;
    struct token_hasher h;
    uint8_t hash[32];
    token_hasher_init(&h, world_secret);
    token_hash(&h, text, hash);
    for (uint32_t i = 0; i < o->tokens_len; i++) {
        const struct otoken *t = &o->tokens[i];
        if (t->tag == oracle_be64((struct str_view){(const char *)hash, sizeof hash}, 0))
            return t->pos <= pos && t->uid == o->users[user].uid && t->team == o->users[user].team;
    }
    return false;
}
