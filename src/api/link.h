/* api/link.h - the arguments link_names and parse: before a handler reads its text, the names in it
 * are looked up and replaced (api/mention.h). Users and public channels are found in place; for
 * channels that not everybody sees, and for user groups, hist is asked first. */
#ifndef PARLEY_API_LINK_H
#define PARLEY_API_LINK_H

#include "api/internal.h"

/* then(r) runs with "text" as it is to be stored (as it was sent, if its mentions would make it too
 * long), now or later; or an error is answered:
 * ERR_INVALID_ARGUMENTS, ERR_MSG_TOO_LONG (as it was sent), those of hist. The method's row has
 * text, link_names and parse. r->work is then()'s own. */
void link_text(struct request *r, method_fn *then);

#endif
