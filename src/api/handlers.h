/* api/handlers.h - one function per API method; each begins the work and answers at once or in a
 * continuation. */
#ifndef PARLEY_API_HANDLERS_H
#define PARLEY_API_HANDLERS_H

#include "api/method.h"

#define ARG_NONE                      0
#define ARG(n, t, m, b, mx, w)        0
#define METHOD(n, f, s, w, c, d, ...) method_fn f;
#include "api/method.def"
#undef METHOD
#undef ARG
#undef ARG_NONE

#endif
