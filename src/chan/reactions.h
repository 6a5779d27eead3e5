/* chan/reactions.h - the reactions of a message, packed into its row: each emoji with who gave it,
 * in order of first use. */
#ifndef PARLEY_CHAN_REACTIONS_H
#define PARLEY_CHAN_REACTIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "json/write.h"

enum {
    reaction_name_max = 100,
    reactions_emoji_max = 50,    /* different ones of a message: ERR_TOO_MANY_EMOJI */
    reactions_of_user_max = 23,  /* of one user on a message: ERR_TOO_MANY_REACTIONS */
    reactions_users_max = 10000, /* of one emoji: ERR_TOO_MANY_REACTIONS */
};

/* out: packed anew, in the arena. Errors: ERR_ALREADY_REACTED, ERR_TOO_MANY_EMOJI,
 * ERR_TOO_MANY_REACTIONS, ERR_CORRUPT, ERR_NOMEM. */
MUST_USE enum err reactions_add(struct str_view packed, struct str_view name, uint64_t uid,
                                struct arena *a, struct str_view *out);
/* Errors: ERR_NO_REACTION. out may be empty: none is left. */
MUST_USE enum err reactions_remove(struct str_view packed, struct str_view name, uint64_t uid,
                                   struct arena *a, struct str_view *out);
bool reactions_have(struct str_view packed, struct str_view name);
/* How many are of this user. */
uint32_t reactions_of(struct str_view packed, uint64_t uid);
/* Who gave the first `max` reactions, each user once, ascending; returns how many users. No message
 * has more than packed.len reactions. */
uint32_t reactions_users(struct str_view packed, uint64_t *uids, uint32_t max);
/* [{"name":..,"users":[..],"count":..},...] */
void reactions_json(struct json_out *j, struct str_view packed);

#endif
