/* api/usergroups.h - what others need of user groups. */
#ifndef PARLEY_API_USERGROUPS_H
#define PARLEY_API_USERGROUPS_H

#include "api/document.h"
#include "api/handles.h"

/* Of the groups that are enabled, from the workspace's DOC_USERGROUPS; in the request's arena.
 * Errors: ERR_NOMEM, ERR_CORRUPT. */
MUST_USE enum err usergroup_handles(struct request *r, const struct document *d,
                                    struct usergroup_handle **out, uint32_t *len);

#endif
