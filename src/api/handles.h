/* api/handles.h - the handles of user groups, kept over requests: a text that names somebody
 * unknown would else take apart all groups of its workspace, up to 1 MiB of JSON, each time. hist
 * is asked with the revision that is kept, and sends the document only if there is another. Thread:
 * its acceptor's. */
#ifndef PARLEY_API_HANDLES_H
#define PARLEY_API_HANDLES_H

#include "base/str_view.h"

enum {
    handles_teams_max = 64, /* those that were looked up last */
    handle_bytes_max = 80
};

struct usergroup_handle {
    uint64_t id;
    struct str_view handle; /* lower case, no spaces */
};

struct handles {
    struct handles_of {
        uint64_t team; /* ID_NONE: free */
        uint64_t revision, used;
        struct usergroup_handle *of; /* one allocation, the texts behind them */
        uint32_t len;
    } teams[handles_teams_max];
    uint64_t clock; /* counts look-ups */
};

/* NULL: not kept. Good until the next handles_keep. */
const struct handles_of *handles_find(struct handles *h, uint64_t team);
/* Copies them; replaces what is kept of the team, unless that is newer, or what was looked up
 * longest ago. Without memory nothing is kept. */
void handles_keep(struct handles *h, uint64_t team, uint64_t revision,
                  const struct usergroup_handle *of, uint32_t len);
void handles_deinit(struct handles *h);

#endif
