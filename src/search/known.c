#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "search/internal.h"

enum err known_init(struct known **out)
{
    *out = calloc(known_max, sizeof **out);
    return *out == NULL ? ERR_NOMEM : ERR_OK;
}

struct known *known_at(struct known *all, uint64_t cid)
{
    return &all[mix64(cid) & (known_max - 1)];
}

void known_forget(struct known *all)
{
    memset(all, 0, known_max * sizeof *all);
}
