#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>

#include "grow.h"
#include "text.h"
#include "world.h"

/* ---- texts and keys ---- */

/* No message of this sender in this channel has the key of that one. */
static bool may_share(const struct oracle *o, uint32_t other, uint64_t cid, uint8_t user)
{
    for (uint32_t n = other; n > 0 && other - n < 16; n--) {
        const struct omsg *m = &o->msgs[n];
        if (m->key != o->msgs[other].key)
            return true;
        if (m->cid == cid && m->user == user)
            return false;
    }
    return false;
}

uint32_t oracle_message(struct oracle *o, uint64_t cid, uint8_t user, bool keyed)
{
    GROW(o->msgs, o->msgs_len + 1, o->msgs_cap); /* from 1 on */
    uint32_t number = ++o->msgs_len;
    o->msgs[number] = (struct omsg){.cid = cid, .user = user, .keyed = keyed, .key = number};
    if (mix64(number) % 4 == 0 && may_share(o, number - 1, cid, user))
        o->msgs[number].key = o->msgs[number - 1].key;
    return number;
}

/* Escapes, several planes, and Slack's own brackets and entities: all of it must come back as it
 * was. */
struct str_view oracle_text(uint32_t number, char out[oracle_text_max])
{
    static const char *const pieces[] = {" ",
                                         "word",
                                         "\"quoted\"",
                                         "back\\slash",
                                         "tab\there",
                                         "line\nbreak",
                                         "&amp;",
                                         "<@U123>",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "&lt;b&gt;",
                                         "100%",
                                         "a+b=c&amp;d",
                                         "<https://x.example/?q=1|label>",
                                         "{\"json\":[1,2]}"};
    int n = snprintf(out, oracle_text_max, "m%u.", number);
    uint64_t h = mix64(number * 7919ull + 13);
    uint32_t count = (h & 63) == 0 ? 60 : (uint32_t)(h & 7);
    for (uint32_t i = 0; i < count; i++) {
        h = mix64(h + i + 1);
        n += snprintf(out + n, oracle_text_max - (size_t)n, "%s", pieces[h % ARRAY_LEN(pieces)]);
    }
    return (struct str_view){out, (size_t)n};
}

struct str_view oracle_version(uint32_t number, uint32_t version, char out[oracle_text_max])
{
    struct str_view text = oracle_text(number, out);
    if (version == 0)
        return text;
    int n = snprintf(out + text.len, oracle_text_max - text.len, " e%u", version);
    return (struct str_view){out, text.len + (size_t)n};
}

/* "<@U1> has joined the channel" */
static bool is_system(struct str_view text)
{
    return text.len > 3 && memcmp(text.p, "<@U", 3) == 0;
}

uint32_t oracle_version_of(const struct oracle *o, uint32_t n, struct str_view text)
{
    char expected[oracle_text_max];
    if (n > 0 && n <= o->msgs_len && o->msgs[n].system)
        return is_system(text) ? 0 : UINT32_MAX;
    for (uint32_t v = 0; n > 0 && n <= o->msgs_len && v <= o->msgs[n].edits; v++) {
        if (sv_eq(text, oracle_version(n, v, expected)))
            return v;
    }
    return UINT32_MAX;
}

/* The batch has one row of all its edits. Of the others only the requests are known. */
static bool is_replaced(const struct oracle *o, uint32_t number, uint32_t i, uint32_t version)
{
    return i > 0 && oracle_under_way(o, number, WISH_EDIT, version, o->msgs[number].rows[i].pos);
}

bool oracle_may_be_edit(const struct oracle *o, uint32_t number, uint32_t i, uint32_t version)
{
    return o->msgs[number].rows[i].version == version || is_replaced(o, number, i, version);
}

bool oracle_was_text(const struct oracle *o, uint32_t number, struct str_view text, uint64_t from,
                     uint64_t to)
{
    const struct omsg *m = &o->msgs[number];
    uint32_t version = oracle_version_of(o, number, text);
    if (version == UINT32_MAX)
        return false;
    for (uint32_t i = 0; i < m->rows_len; i++) {
        uint64_t end = i + 1 < m->rows_len ? m->rows[i + 1].pos : UINT64_MAX;
        if (m->rows[i].version == version && m->rows[i].pos <= to && end > from)
            return true;
        if (m->rows[i].pos <= to && m->rows[i].pos > from && is_replaced(o, number, i, version))
            return true;
    }
    return false;
}

struct str_view oracle_key(const struct omsg *m, char out[256])
{
    uint32_t number = m->key;
    uint64_t a = mix64(number * 31ull + 5), b = mix64(a + 9);
    int n;
    if (number % 3 != 0) {
        n = snprintf(out, 256, "%08x-%04x-%04x-%04x-%012llx", (uint32_t)a,
                     (uint32_t)(a >> 32) & 0xffff, (uint32_t)(a >> 48), (uint32_t)b & 0xffff,
                     (unsigned long long)(b >> 16));
    } else {
        n = snprintf(out, 256, "key/%u \xc3\xbc", number);
        for (; number % 21 == 0 && n < 250; n++)
            out[n] = (char)('a' + n % 26);
        out[n] = '\0';
    }
    return (struct str_view){out, (size_t)n};
}

uint32_t oracle_number(struct str_view text)
{
    uint32_t v = 0;
    size_t i = 1;
    if (text.len < 3 || text.p[0] != 'm')
        return 0;
    for (; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
        v = v * 10 + (uint32_t)(text.p[i] - '0');
    return i < text.len && text.p[i] == '.' ? v : 0;
}

/* ---- look-ups ---- */

struct ochan *oracle_chan(struct oracle *o, uint64_t cid)
{
    for (uint32_t i = 0; i < o->chans_len; i++) {
        if (o->chans[i].cid == cid)
            return &o->chans[i];
    }
    return NULL;
}

uint8_t oracle_user(const struct oracle *o, uint64_t uid)
{
    for (uint8_t i = 0; i < o->users_len; i++) {
        if (o->users[i].uid == uid)
            return i;
    }
    return plan_users_max;
}

bool oracle_member_at(const struct ochan *c, uint8_t user, uint64_t pos)
{
    return levels_at(&c->membership[user], pos) != 0;
}

/* How many batches ended before pos. */
static uint32_t batches_before(const struct oracle *o, uint64_t pos)
{
    uint32_t low = 0, high = o->ends_len;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (o->ends[mid] < pos)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint64_t oracle_batch_end(const struct oracle *o, uint64_t pos)
{
    uint32_t n = batches_before(o, pos);
    return n == o->ends_len ? o->pos : o->ends[n];
}

uint64_t oracle_batch_before(const struct oracle *o, uint64_t pos)
{
    uint32_t n = batches_before(o, pos);
    return n == 0 ? 0 : o->ends[n - 1];
}

bool oracle_heard(const struct oracle *o, const struct ochan *c, uint8_t user, uint64_t pos)
{
    return oracle_was(c, user, true, pos, oracle_batch_end(o, pos));
}

uint64_t oracle_member_since(const struct ochan *c, uint8_t user, uint64_t pos)
{
    const struct levels *l = &c->membership[user];
    uint32_t i = l->len;
    while (i > 0 && l->all[i - 1].pos > pos)
        i--;
    return i > 0 && l->all[i - 1].n != 0 ? l->all[i - 1].pos : 0;
}

bool oracle_was(const struct ochan *c, uint8_t user, bool member, uint64_t from, uint64_t to)
{
    return levels_was(&c->membership[user], member, from, to);
}

struct omsg *oracle_by_ts(struct oracle *o, uint64_t cid, uint64_t ts_us)
{
    for (uint32_t n = o->msgs_len; n > 0; n--) {
        if (o->msgs[n].ts_us == ts_us && o->msgs[n].cid == cid)
            return &o->msgs[n];
    }
    return NULL;
}

bool oracle_was_called(const struct ochan *c, const char *name, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < c->called_len; i++) {
        uint64_t end = i + 1 < c->called_len ? c->called[i + 1].pos : UINT64_MAX;
        if (strcmp(c->called[i].name, name) == 0 && c->called[i].pos <= to && end > from)
            return true;
    }
    return false;
}

bool oracle_had_read(const struct ochan *c, uint8_t user, uint64_t ts_us, uint64_t from,
                     uint64_t to)
{
    for (uint32_t i = c->reads_len; i > 0 && c->reads[i - 1].pos > from; i--) {
        const struct reading *r = &c->reads[i - 1];
        if (r->user == user && r->ts_us == ts_us && r->pos <= to)
            return true;
    }
    return false;
}

bool oracle_read_was(const struct ochan *c, uint8_t user, uint64_t ts_us, uint64_t from,
                     uint64_t to)
{
    if (oracle_had_read(c, user, ts_us, from, to))
        return true;
    uint32_t i = c->reads_len;
    while (i > 0 && (c->reads[i - 1].pos > from || c->reads[i - 1].user != user))
        i--;
    return i > 0 && c->reads[i - 1].ts_us == ts_us;
}

/* ---- answers and what is shown ---- */

void oracle_check_ok(struct world *w, uint32_t number, uint64_t ts_us, uint64_t pos)
{
    struct oracle *o = &w->oracle;
    struct omsg *m = &o->msgs[number];
    if (m->ts_us == 0 || m->pos > pos)
        violation(w, "ok_is_durable",
                  "message #%u was answered ok (ts %llu) at position %llu; its row: %llu", number,
                  (unsigned long long)ts_us, (unsigned long long)pos, (unsigned long long)m->pos);
    if (m->ts_us != ts_us)
        violation(w, "one_ts_per_key", "message #%u is stored as ts %llu but answered as %llu",
                  number, (unsigned long long)m->ts_us, (unsigned long long)ts_us);
    m->acked = true;
    struct ochan *c = oracle_chan(o, m->cid);
    if (m->thread != 0)
        return;
    c->acked_len = MAX(c->acked_len, m->ordinal + 1);
}

uint32_t oracle_check_shown(struct world *w, uint64_t cid, struct str_view text, uint64_t ts_us,
                            uint64_t uid, uint64_t pos, const char *where)
{
    struct oracle *o = &w->oracle;
    const struct omsg *said = is_system(text) ? oracle_by_ts(o, cid, ts_us) : NULL;
    uint32_t n = said != NULL ? (uint32_t)(said - o->msgs) : oracle_number(text);
    if (oracle_version_of(o, n, text) == UINT32_MAX)
        violation(w, "text_unchanged", "%s shows text that nobody sent: %.*s", where, SV_ARG(text));
    if (!oracle_was_text(o, n, text, 0, pos))
        violation(w, "nothing_undurable_visible",
                  "%s shows an edit of message #%u that is not stored", where, n);
    const struct omsg *m = &o->msgs[n];
    if (m->ts_us == 0 || m->pos > pos)
        violation(w, "nothing_undurable_visible",
                  "%s shows message #%u at position %llu; its row: %llu", where, n,
                  (unsigned long long)pos, (unsigned long long)m->pos);
    if (m->ts_us != ts_us || m->cid != cid || o->users[m->user].uid != uid)
        violation(w, "text_unchanged", "%s shows message #%u with a wrong ts, channel or user",
                  where, n);
    return n;
}

void oracle_init(struct oracle *o)
{
    memset(o, 0, sizeof *o);
}

void oracle_deinit(struct oracle *o)
{
    for (uint32_t i = 0; i < o->chans_len; i++) {
        free(o->chans[i].roots.all);
        free(o->chans[i].replies.all);
        free(o->chans[i].called);
        free(o->chans[i].reads);
        for (uint32_t u = 0; u < plan_users_max; u++) {
            levels_free(&o->chans[i].membership[u]);
            levels_free(&o->chans[i].closed[u]);
        }
        levels_free(&o->chans[i].sizes);
        levels_free(&o->chans[i].archived);
        levels_free(&o->chans[i].pins);
        levels_free(&o->chans[i].newest);
    }
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        levels_free(&o->msgs[n].pinned);
        levels_free(&o->msgs[n].reactions);
        levels_free(&o->msgs[n].written);
        free(o->msgs[n].rows);
        free(o->msgs[n].follows);
    }
    free(o->msgs);
    free(o->wishes);
    free(o->deeds);
    free(o->candidates);
    free(o->tokens);
    free(o->ends);
    free(o->ts_set);
}

void oracle_check_scheduled(struct world *w, uint64_t now_s)
{
    struct oracle *o = &w->oracle;
    for (uint32_t n = 1; n <= o->msgs_len; n++) {
        const struct omsg *m = &o->msgs[n];
        const struct ochan *c = oracle_chan(o, m->cid);
        if (m->promised_pos == 0 || m->ts_us != 0 || m->post_s + 10 > now_s ||
            oracle_was(c, m->user, false, m->promised_pos, o->pos) ||
            levels_was(&c->archived, true, m->promised_pos, o->pos))
            continue;
        violation(w, "scheduled_once", "message #%u was promised for %llu and is not there at %llu",
                  n, (unsigned long long)m->post_s, (unsigned long long)now_s);
    }
}
