/* conf.h - every setting, from conf.def: default, range, unit and reason.
 * Sources in rising order: defaults, the file (INI), --set section.key=value and the named options.
 * Thread: read at start, before the threads; constant afterwards (what SIGHUP reloads is in
 * docs/operations.md). */
#ifndef PARLEY_BASE_CONF_H
#define PARLEY_BASE_CONF_H

#include "base/arena.h"
#include "base/compiler.h"
#include "base/err.h"

enum { conf_str_max = 256 }; /* bytes of a string setting, NUL included */

struct conf {
#define CONF_NUM(section, key, def, min, max, unit, why) uint64_t section##_##key;
#define CONF_BOOL(section, key, def, why)                bool section##_##key;
#define CONF_STR(section, key, def, why)                 char section##_##key[conf_str_max];
#define CONF_ENUM(section, key, def, choices, why)       uint32_t section##_##key;
#include "base/conf.def"
#undef CONF_NUM
#undef CONF_BOOL
#undef CONF_STR
#undef CONF_ENUM
};

void conf_defaults(struct conf *c);
/* Sets one "section.key" from text. Numbers take k/m/g (powers of 1024), and ms/s/min where the
 * unit is ms. On error msg (msg_len bytes) says what is wrong and, for an unknown key, names the
 * nearest known one. */
MUST_USE enum err conf_set(struct conf *c, struct str_view name, struct str_view value, char *msg,
                           size_t msg_len);
/* The message names file and line. */
MUST_USE enum err conf_load_file(struct conf *c, const char *path, char *msg, size_t msg_len);
/* Rules across settings (e.g. a key file without a certificate). */
MUST_USE enum err conf_check(const struct conf *c, char *msg, size_t msg_len);
/* As an INI file with every key; with_why: each preceded by its reason, unit and range as comments
 * (this makes conf/parley.conf and the table in docs/operations.md). */
void conf_print(const struct conf *c, bool with_why, struct buf *out);
/* Markdown table of all settings. */
void conf_print_markdown(struct buf *out);

#endif
