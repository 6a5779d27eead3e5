#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/rand.h"

/* Neighbours' keys must not be neighbours in the store, where a client's never are: an odd factor
 * and its inverse modulo 2^32. */
static const uint32_t scatter = 0x9e3779b1, gather = 0xe8b2f51;

void ledger_init(struct ledger *l, struct bench *b, uint64_t seed)
{
    uint64_t x = mix64(seed), y = mix64(x + 1);
    *l = (struct ledger){.bench = b};
    /* RFC 4122: version 4, variant 8; the first eight digits are the message's number. */
    snprintf(l->key_suffix, sizeof l->key_suffix, "-%04x-4%03x-8%03x-%012llx",
             (unsigned)(x & 0xffff), (unsigned)(y & 0xfff), (unsigned)(y >> 12 & 0xfff),
             (unsigned long long)(x >> 16));
}

void ledger_deinit(struct ledger *l)
{
    free(l->messages);
    free(l->deliveries_of);
    free(l->got);
    free(l->expected);
    free(l->last_ts);
    free(l->read);
}

void ledger_key(const struct ledger *l, uint32_t i, char out[key_text_len + 1])
{
    snprintf(out, key_text_len + 1, "%08x%s", i * scatter, l->key_suffix);
}

bool ledger_find(const struct ledger *l, struct str_view key, uint32_t *i)
{
    if (key.len != key_text_len ||
        memcmp(key.p + key_number_len, l->key_suffix, key_suffix_len) != 0)
        return false;
    uint32_t n = 0;
    for (size_t k = 0; k < key_number_len; k++) {
        char c = key.p[k];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        n = n << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    n *= gather;
    if (n >= l->len)
        return false;
    *i = n;
    return true;
}

static void *grow(void *p, size_t old_bytes, size_t bytes)
{
    char *grown = realloc(p, bytes);
    ASSERT(grown != NULL);
    memset(grown + old_bytes, 0, bytes - old_bytes);
    return grown;
}

uint32_t ledger_add(struct ledger *l, uint32_t channel, uint32_t text, uint64_t intended_us)
{
    if (l->len == ledger_messages_max)
        return UINT32_MAX;
    if (l->len == l->cap) {
        size_t old = l->cap, row = l->words * sizeof(uint64_t);
        l->cap = MAX(4096u, l->cap * 2);
        l->messages = realloc(l->messages, l->cap * sizeof *l->messages);
        ASSERT(l->messages != NULL);
        if (l->sockets != NULL) {
            l->got = grow(l->got, old * row, l->cap * row);
            l->deliveries_of = grow(l->deliveries_of, old * sizeof *l->deliveries_of,
                                    l->cap * sizeof *l->deliveries_of);
        }
        if (l->read != NULL)
            l->read = grow(l->read, old * row, l->cap * row);
        if (l->expected != NULL)
            l->expected = grow(l->expected, old * row, l->cap * row);
    }
    l->messages[l->len] = (struct message){
        .channel = channel, .text = text, .intended_us = intended_us, .parent = ledger_root};
    return l->len++;
}

uint64_t *ledger_expected(struct ledger *l, uint32_t i)
{
    return l->expected + (size_t)i * l->words;
}

/* ---- deliveries ---- */

static struct str_view string_after(struct str_view text, const char *name, size_t n)
{
    const char *p = memmem(text.p, text.len, name, n);
    if (p == NULL)
        return SV_NONE;
    p += n;
    const char *end = memchr(p, '"', (size_t)(text.p + text.len - p));
    return end == NULL ? SV_NONE : (struct str_view){p, (size_t)(end - p)};
}

/* A full JSON parse per delivery would cost more than the server spends on it. Keys, ids and ts
 * hold no escapes, and a quote inside a string is escaped, so these names are members' names. */
static void on_message(void *owner, struct ws_client *ws, struct str_view frame)
{
    struct ledger *l = owner;
    uint32_t i;
    uint64_t ts_us;
    if (!ledger_find(l, string_after(frame, "\"client_msg_id\":\"", 17), &i)) {
        l->foreign_events++;
        return;
    }
    struct message *m = &l->messages[i];
    struct str_view channel = string_after(frame, "\"channel\":\"", 11);
    if (!ts_parse(string_after(frame, "\"ts\":\"", 6), &ts_us) ||
        !sv_eq(channel, sv_from(l->channels[m->channel]))) {
        report_problem(&l->bench->report, "event of message %u has a bad ts or channel %.*s", i,
                       SV_ARG(channel));
        return;
    }
    struct delivery *d = &l->deliveries_of[i];
    if (d->event_ts_us == TS_NONE)
        d->event_ts_us = ts_us;
    else if (d->event_ts_us != ts_us)
        report_problem(&l->bench->report, "message %u was pushed with two ts", i);
    uint64_t *word = &l->got[(size_t)i * l->words + ws->index / 64];
    uint64_t bit = (uint64_t)1 << ws->index % 64;
    if (*word & bit) {
        l->duplicates++;
        report_problem(&l->bench->report, "socket %u got message %u twice", ws->index, i);
        return;
    }
    *word |= bit;
    l->deliveries++;
    if (l->delivery_us != NULL)
        hist_log_add(l->delivery_us, clock_mono_us() - m->intended_us);
    uint64_t *last = &l->last_ts[(size_t)ws->index * l->channels_len + m->channel];
    if (ts_us <= *last)
        report_problem(&l->bench->report, "socket %u got message %u of %s out of order", ws->index,
                       i, l->channels[m->channel]);
    *last = ts_us;
    if (++d->sockets == l->sockets->len && l->delivered != NULL)
        l->delivered(l->owner, i);
}

static void on_hello(void *owner, struct ws_client *ws)
{
    struct ledger *l = owner;
    memset(&l->last_ts[(size_t)ws->index * l->channels_len], 0,
           l->channels_len * sizeof *l->last_ts);
    if (l->hello != NULL)
        l->hello(l->owner, ws);
}

void ledger_watch(struct ledger *l, struct ws_set *sockets, bool per_message)
{
    ASSERT(l->len == 0 && l->channels_len > 0);
    l->sockets = sockets;
    l->words = (sockets->len + 63) / 64;
    l->cap = 4096;
    l->messages = calloc(l->cap, sizeof *l->messages);
    l->deliveries_of = calloc(l->cap, sizeof *l->deliveries_of);
    l->got = calloc(l->cap, l->words * sizeof *l->got);
    l->last_ts = calloc((size_t)sockets->len * l->channels_len, sizeof *l->last_ts);
    if (per_message)
        l->expected = calloc(l->cap, l->words * sizeof *l->expected);
    ASSERT(l->messages != NULL && l->deliveries_of != NULL && l->got != NULL &&
           l->last_ts != NULL && (!per_message || l->expected != NULL));
    sockets->on_message = on_message;
    sockets->on_hello = on_hello;
    sockets->owner = l;
}

void ledger_expect_catching_up(struct ledger *l)
{
    l->read = calloc(l->cap, l->words * sizeof *l->read);
    ASSERT(l->read != NULL);
}

void ledger_caught_up(struct ledger *l, const struct ws_client *ws, struct str_view answer)
{
    static const char name[] = "\"client_msg_id\":\"";
    const char *p = answer.p, *end = answer.p + answer.len;
    uint32_t i;
    while ((p = memmem(p, (size_t)(end - p), name, sizeof name - 1)) != NULL) {
        p += sizeof name - 1;
        if (end - p < key_text_len)
            return;
        if (ledger_find(l, (struct str_view){p, key_text_len}, &i))
            l->read[(size_t)i * l->words + ws->index / 64] |= (uint64_t)1 << ws->index % 64;
    }
}

void ledger_settle(struct ledger *l)
{
    struct io *io = &l->bench->io;
    if (l->sockets == NULL)
        return;
    uint64_t end_us = io->now_us + 15000000, seen = UINT64_MAX, quiet_from_us = io->now_us;
    while (io->now_us < end_us && io->now_us < quiet_from_us + 1000000 && !io_stop) {
        if (seen != l->deliveries) {
            seen = l->deliveries;
            quiet_from_us = io->now_us;
        }
        io_step(io, io->now_us + 50000);
    }
}

enum due { DUE_NOT_CONNECTED, DUE_GAP, DUE_MISSING };

/* Why a socket may not have a message. */
static enum due judge(const struct ledger *l, const struct ws_client *ws, uint32_t i)
{
    const char *channel = l->channels[l->messages[i].channel];
    uint64_t written_us = l->deliveries_of[i].written_us;
    const struct ws_span *at = NULL;
    for (uint32_t k = ws->spans_len; k-- > 0 && at == NULL;) {
        if (ws->spans[k].hello_us < written_us)
            at = &ws->spans[k];
    }
    if (at == NULL || (at->lost_us != 0 && at->lost_us <= written_us))
        return DUE_NOT_CONNECTED;
    if (at->lost_us != 0)
        return DUE_GAP;
    for (uint32_t k = ws->hints_len; k-- > 0 && ws->hints[k].at_us >= written_us;) {
        if (ws->hints[k].channel[0] == '\0' || strcmp(ws->hints[k].channel, channel) == 0)
            return DUE_GAP;
    }
    return DUE_MISSING;
}

static void audit_message(struct ledger *l, uint32_t i)
{
    const struct message *m = &l->messages[i];
    for (uint32_t s = 0; s < l->sockets->len; s++) {
        size_t word = (size_t)i * l->words + s / 64;
        bool got = (l->got[word] >> s % 64 & 1) != 0;
        bool expected = l->expected == NULL || (l->expected[word] >> s % 64 & 1) != 0;
        bool read = l->read != NULL && (l->read[word] >> s % 64 & 1) != 0;
        if (got && !expected)
            l->stray_deliveries++;
        if (!expected || m->repeated)
            continue;
        enum due due = got || read       ? DUE_GAP
                       : l->read != NULL ? DUE_MISSING
                                         : judge(l, &l->sockets->clients[s], i);
        l->caught_up += read && !got;
        l->audited_deliveries += got || due != DUE_NOT_CONNECTED;
        if (!got && !read && due == DUE_GAP)
            l->gaps_announced++;
        if (due == DUE_MISSING) {
            char ts[ts_text_len];
            ts_format(ts, m->ts_us);
            l->missing_deliveries++;
            report_problem(&l->bench->report, "socket %u never got message %u of %s, ts %.*s", s, i,
                           l->channels[m->channel], ts_text_len, ts);
        }
    }
}

void ledger_audit_deliveries(struct ledger *l)
{
    for (uint32_t i = 0; l->sockets != NULL && i < l->len; i++) {
        const struct message *m = &l->messages[i];
        if (m->ts_us == TS_NONE)
            continue;
        uint64_t event_ts_us = l->deliveries_of[i].event_ts_us;
        if (event_ts_us != TS_NONE && event_ts_us != m->ts_us)
            report_problem(&l->bench->report, "message %u: pushed ts is not the acknowledged one",
                           i);
        audit_message(l, i);
    }
}

void ledger_report(struct ledger *l)
{
    struct report *r = &l->bench->report;
    if (l->sockets != NULL) {
        const struct ws_stats *w = &l->sockets->stats;
        report_u64(r, "sockets", l->sockets->len);
        report_u64(r, "socket_losses", w->losses);
        report_u64(r, "refetch_hints", w->hints);
        report_u64(r, "deliveries", l->deliveries);
        if (l->read != NULL)
            report_u64(r, "deliveries_caught_up", l->caught_up);
        report_u64(r, "deliveries_audited", l->audited_deliveries);
        report_u64(r, "deliveries_missing", l->missing_deliveries);
        report_u64(r, "deliveries_stray", l->stray_deliveries);
        report_u64(r, "deliveries_twice", l->duplicates);
        report_u64(r, "gaps_announced", l->gaps_announced);
        report_u64(r, "events_of_others", l->foreign_events);
    }
    report_u64(r, "history_messages", l->history_messages);
    report_u64(r, "history_missing", l->missing_in_history);
    report_u64(r, "history_of_others", l->history_foreign);
    report_u64(r, "stored_unacknowledged", l->stored_unacknowledged);
}
