/* ctl/demo.h - `parleyctl demo`: a workspace to try things on, or a population to load-test with.
 * What it made is kept in DATA/demo*.json (mode 0600, it holds tokens), so that a second call gives
 * the same. A call that was cut off is finished by the next one. */
#ifndef PARLEY_CTL_DEMO_H
#define PARLEY_CTL_DEMO_H

#include "ctl/client.h"

struct demo_options {
    const char *json_path;    /* NULL: standard output */
    uint64_t users, channels; /* both 0: the small workspace alone */
    bool member_of_all;
    bool resume; /* set by demo_run: an earlier call was cut off */
};

bool demo_run(struct client *c, struct demo_options *o);

#endif
