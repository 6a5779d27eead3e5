/* dir/name.h - which names a channel, user or workspace may have. Source: slack-api reference,
 * conversations.create: at most 80 characters, lower case letters of any script, digits, - and _.
 */
#ifndef PARLEY_DIR_NAME_H
#define PARLEY_DIR_NAME_H

#include "base/arena.h"
#include "base/err.h"

enum { channel_name_chars_max = 80, user_name_bytes_max = 80, domain_bytes_max = 63 };

/* name is valid UTF-8. Errors: ERR_INVALID_NAME_REQUIRED, _MAXLENGTH, _PUNCTUATION, _SPECIALS. */
MUST_USE enum err name_check_channel(struct str_view name);
/* Lower case letters, digits, . - and _; 1..80 bytes. Errors: ERR_INVALID_NAME. */
MUST_USE enum err name_check_user(struct str_view name);
/* A DNS label: lower case letters, digits and - inside. Errors: ERR_INVALID_NAME. */
MUST_USE enum err name_check_domain(struct str_view domain);

/* As it is looked up: ASCII in lower case. Empty: there is none, or it is too long to be. */
enum { user_shown_bytes_max = 4 * 80 }; /* of the 80 characters of a display name */
struct str_view name_fold_shown(struct str_view name, char out[user_shown_bytes_max]);

/* Addresses are kept and looked up in lower case (of ASCII). */
MUST_USE enum err name_fold_email(struct arena *a, struct str_view email, struct str_view *out);

#endif
