/* The books on disk: what was acknowledged, for an audit after the server was started anew. One
 * file for each ledger: the header, each channel with its texts, each message. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger.h"

enum { books_text_max = 512, books_channels_max = 1 << 20 };
#define BOOKS_ENDING ".books"
static const char magic[8] = "parley2";

struct books_head {
    char magic[sizeof magic], key_suffix[key_suffix_len + 1];
    uint32_t channels, messages;
};

struct books_channel { /* behind it its id and a member's token, each with a NUL */
    uint64_t oldest_us, newest_us;
    uint32_t id_len, token_len;
};

struct books_message {
    uint64_t ts_us, text_hash;
    uint32_t channel, parent, sent, reactions;
};

static void complain(const char *what, const char *path)
{
    fprintf(stderr, "parley-bench: cannot %s %s: %s\n", what, path, strerror(errno));
}

/* ---- writing ---- */

static bool put(FILE *f, const void *p, size_t n)
{
    return fwrite(p, 1, n, f) == n;
}

static bool put_channel(FILE *f, const struct ledger *l, uint32_t i, uint64_t oldest_us,
                        uint64_t newest_us)
{
    struct books_channel c = {.oldest_us = oldest_us,
                              .newest_us = newest_us,
                              .id_len = (uint32_t)strlen(l->channels[i]) + 1,
                              .token_len = (uint32_t)strlen(l->channel_tokens[i]) + 1};
    return put(f, &c, sizeof c) && put(f, l->channels[i], c.id_len) &&
           put(f, l->channel_tokens[i], c.token_len);
}

static bool put_all(FILE *f, struct ledger *l, const uint64_t *oldest_us)
{
    struct books_head head = {.channels = l->channels_len, .messages = l->len};
    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.key_suffix, l->key_suffix, sizeof head.key_suffix);
    uint64_t *newest_us = calloc(l->channels_len, sizeof *newest_us);
    ASSERT(newest_us != NULL);
    for (uint32_t i = 0; i < l->len; i++) {
        uint64_t *at = &newest_us[l->messages[i].channel];
        *at = MAX(*at, l->messages[i].ts_us);
    }
    bool ok = put(f, &head, sizeof head);
    for (uint32_t i = 0; ok && i < l->channels_len; i++)
        ok = put_channel(f, l, i, oldest_us == NULL ? TS_NONE : oldest_us[i], newest_us[i]);
    for (uint32_t i = 0; ok && i < l->len; i++) {
        struct books_message m = {.ts_us = l->messages[i].ts_us,
                                  .text_hash = ledger_text_hash(l->text(l->owner, i)),
                                  .channel = l->messages[i].channel,
                                  .parent = l->messages[i].parent,
                                  .reactions = l->messages[i].reactions,
                                  .sent = l->messages[i].sent};
        ok = put(f, &m, sizeof m);
    }
    free(newest_us);
    return ok;
}

void ledger_write_books(struct ledger *l, const uint64_t *oldest_us, const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s" BOOKS_ENDING, dir, l->key_suffix + 1);
    /* Tokens are in it. A replay of the same trace has the same keys: its books are the newer. */
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f == NULL) {
        complain("write", path);
        report_problem(&l->bench->report, "the books cannot be written");
        return;
    }
    bool ok = put_all(f, l, oldest_us);
    if (fclose(f) != 0 || !ok) {
        complain("write", path);
        report_problem(&l->bench->report, "the books cannot be written");
    }
}

/* ---- reading ---- */

static bool get(FILE *f, void *p, size_t n)
{
    return fread(p, 1, n, f) == n;
}

static const char *get_text(FILE *f, struct bench *b, uint32_t len)
{
    if (len == 0 || len > books_text_max)
        return NULL;
    char *text = bench_zalloc(b, len + 1);
    return get(f, text, len) ? text : NULL;
}

static bool get_channels(FILE *f, struct ledger *l, uint64_t *oldest_us, uint64_t *newest_us)
{
    for (uint32_t i = 0; i < l->channels_len; i++) {
        struct books_channel c;
        if (!get(f, &c, sizeof c) || (l->channels[i] = get_text(f, l->bench, c.id_len)) == NULL ||
            (l->channel_tokens[i] = get_text(f, l->bench, c.token_len)) == NULL)
            return false;
        oldest_us[i] = c.oldest_us;
        newest_us[i] = c.newest_us;
    }
    return true;
}

static bool get_messages(FILE *f, struct ledger *l, uint32_t len, uint64_t *text_hashes)
{
    for (uint32_t i = 0; i < len; i++) {
        struct books_message m;
        if (!get(f, &m, sizeof m) || m.channel >= l->channels_len ||
            (m.parent != ledger_root && m.parent >= i) || m.reactions > ledger_reactions_max)
            return false;
        ledger_add(l, m.channel, 0, 0);
        l->messages[i].parent = m.parent;
        l->messages[i].reactions = (uint8_t)m.reactions;
        l->messages[i].ts_us = m.ts_us;
        l->messages[i].sent = m.sent != 0;
        l->acked += m.ts_us != TS_NONE;
        text_hashes[i] = m.text_hash;
    }
    return true;
}

/* The ledger of a run that is over; false: no books. */
static bool read_books(FILE *f, struct ledger *l, uint64_t **oldest_us)
{
    struct books_head head;
    struct bench *b = l->bench;
    if (!get(f, &head, sizeof head) || memcmp(head.magic, magic, sizeof magic) != 0 ||
        head.messages > ledger_messages_max || head.channels == 0 ||
        head.channels > books_channels_max)
        return false;
    memcpy(l->key_suffix, head.key_suffix, sizeof l->key_suffix);
    l->channels_len = head.channels;
    l->channels = bench_zalloc(b, head.channels * sizeof *l->channels);
    l->channel_tokens = bench_zalloc(b, head.channels * sizeof *l->channel_tokens);
    uint64_t *newest_us = bench_zalloc(b, head.channels * sizeof *newest_us);
    uint64_t *text_hashes = bench_zalloc(b, (head.messages + 1) * sizeof *text_hashes);
    *oldest_us = bench_zalloc(b, head.channels * sizeof **oldest_us);
    l->newest_us = newest_us;
    l->text_hashes = text_hashes;
    return get_channels(f, l, *oldest_us, newest_us) &&
           get_messages(f, l, head.messages, text_hashes);
}

struct audited {
    uint64_t books, acknowledged, in_history, missing, threads;
};

static bool audit_one(struct bench *b, const char *path, struct audited *sum)
{
    struct ledger l;
    uint64_t *oldest_us;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        complain("read", path);
        return false;
    }
    ledger_init(&l, b, 0);
    bool ok = read_books(f, &l, &oldest_us);
    fclose(f);
    if (!ok)
        fprintf(stderr, "parley-bench: %s is cut off, or no books\n", path);
    else
        ok = ledger_audit_history(&l, oldest_us);
    sum->books += ok;
    sum->acknowledged += l.acked;
    sum->in_history += l.history_messages;
    sum->missing += l.missing_in_history;
    sum->threads += l.threads;
    ledger_deinit(&l);
    return ok;
}

bool audit_run(struct bench *b)
{
    struct audited sum = {0};
    bool ok = true;
    for (uint32_t i = 0; ok && i < b->opt.operands_len; i++)
        ok = audit_one(b, b->opt.operands[i], &sum);
    report_u64(&b->report, "books", sum.books);
    report_u64(&b->report, "posts_acknowledged", sum.acknowledged);
    report_u64(&b->report, "history_messages", sum.in_history);
    report_u64(&b->report, "history_missing", sum.missing);
    report_u64(&b->report, "threads", sum.threads);
    bench_report_client(b);
    return ok && b->report.problems == 0;
}
