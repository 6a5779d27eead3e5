/* log.h - one JSON object per line on standard error (or a file descriptor of choice).
 * {"time":"2026-01-02T03:04:05.678901Z","level":"warn","thread":"chan0","event":"commit_failed",...fields}
 * A line is formatted on the caller's stack and queued on the thread's own ring; a writer thread
 * writes it, so a slow terminal never stalls a loop. That thread sleeps while there is nothing to
 * write; only the line that finds it asleep costs its thread a futex wake. Ring full: the line is
 * dropped and counted, the next line says how many. Before log_start() and in tools lines are
 * written directly. Never log tokens, tickets or message text. */
#ifndef PARLEY_BASE_LOG_H
#define PARLEY_BASE_LOG_H

#include "base/compiler.h"
#include "base/str_view.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level min);
bool log_enabled(enum log_level level);
bool log_level_parse(struct str_view s, enum log_level *out); /* debug info warn error */

void log_start(int fd); /* starts the writer thread */
void log_stop(void);    /* writes what is queued, joins the thread */
void log_thread_name(
    const char *name); /* at most 15 bytes; names the calling thread for logs, ps and perf */

/* event is snake_case and constant; fmt yields the remaining members without braces, e.g.
 * "\"n\":%d", or NULL. Strings from outside go through log_str(). At most 2 KiB a line, cut behind
 * that. */
void log_line(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* s as a JSON string with quotes, at most 200 bytes of it, in one of 4 buffers of the thread. */
const char *log_str(struct str_view s);

#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (UNLIKELY(log_enabled(LOG_DEBUG)))                                                      \
            log_line(LOG_DEBUG, __VA_ARGS__);                                                      \
    } while (0)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
