/* server/options.h - the daemon's command line: named options and --set over the configuration
 * file. */
#ifndef PARLEY_SERVER_OPTIONS_H
#define PARLEY_SERVER_OPTIONS_H

#include "base/conf.h"

enum options_verdict {
    OPTIONS_RUN,
    OPTIONS_DONE,
    OPTIONS_BAD
}; /* DONE: help, version or --check was printed */

/* Fills *c. Says what is wrong on standard error, with the option to mend. */
enum options_verdict options_parse(struct conf *c, int argc, char **argv);

#endif
