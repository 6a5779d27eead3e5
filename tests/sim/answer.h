/* sim/answer.h - shared by the files that judge answers. */
#ifndef PARLEY_SIM_ANSWER_H
#define PARLEY_SIM_ANSWER_H

#include "text.h"
#include "world.h"

struct ctx {
    struct client *cl;
    struct world *w;
    const struct op *op;
    struct str_view body, error;
    uint64_t pos;
    struct ochan *chan; /* NULL: the op has none */
};

static inline bool error_is(const struct ctx *x, const char *name)
{
    return sv_eq(x->error, sv_from(name));
}

_Noreturn void untrue(const struct ctx *x, const char *name, const char *why);

/* Whether the user's membership was so at some time between question and answer. */
static inline bool was(const struct ctx *x, uint8_t user, bool member)
{
    return oracle_was(x->chan, user, member, x->op->sent_pos, x->pos);
}

static inline bool was_archived(const struct ctx *x, bool archived)
{
    return levels_was(&x->chan->archived, archived, x->op->sent_pos, x->pos);
}

/* A message of cid as a page shows it: whole, durable, and not older than the question. Its number.
 */
uint32_t judge_item(const struct ctx *x, uint64_t cid, struct str_view item, const char *where);
/* answer_reactions.c: the reactions that item shows are those of message n. */
void judge_reactions(const struct ctx *x, struct str_view item, uint32_t n);

/* answer_channel.c: what holds of an answer `ok`, by op; NULL: not one of its. */
typedef void judge_fn(const struct ctx *x);
extern judge_fn *const channel_judges[OP_KINDS];
extern judge_fn *const reaction_judges[OP_KINDS]; /* answer_reactions.c */
extern judge_fn *const thread_judges[OP_KINDS];   /* answer_thread.c */
/* False: an error that the op cannot have. */
bool judge_reaction_refusal(const struct ctx *x);
bool judge_thread_refusal(const struct ctx *x);
bool judge_channel_refusal(const struct ctx *x);

#endif
