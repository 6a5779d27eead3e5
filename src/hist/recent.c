#include "hist/recent.h"

#include <stdlib.h>

#include "base/mutant.h"
#include "base/rand.h"
#include "chan/message_json.h"

enum {
    buckets = 4096,
    noted = 4096,           /* channels that were read once */
    text_bytes_min = 8192,  /* of one channel */
    hidden_max = 1024,      /* deleted rows among those that are read for a channel */
    answer_end_bytes = 256, /* what the acceptor writes behind the messages */
    kept_part = 2           /* of a full text, what stays to make room in front */
};
_Static_assert((int)recent_text_bytes_max <= (int)hist_page_bytes_max,
               "no page of these ends early");

struct row {
    uint64_t ts_us;
    uint32_t bytes; /* with the comma behind it */
};

struct channel {
    uint64_t cid;
    uint64_t moment; /* of the store, as of which rows are */
    struct channel *bucket_next;
    struct channel *newer, *older; /* in order of use */
    bool whole;                    /* its first row is the channel's first */
    int32_t pins;
    uint32_t len;
    struct row rows[recent_rows_max]; /* oldest first */
    /* {...},{...}, newest first, in [at, cap): each new message is put in front. */
    uint32_t at, cap;
    char text[];
};

struct recent {
    uint64_t bytes_max;
    struct recent_count count;
    struct channel *newest, *oldest; /* in order of use */
    struct channel *buckets[buckets];
    uint64_t noted[noted];
    /* What is read at a fill: rows newest first, their text from the beginning. */
    struct row fill_rows[recent_rows_fill];
    char fill_text[recent_text_bytes_max];
};

enum err recent_new(struct recent **out, uint64_t bytes_max)
{
    struct recent *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NOMEM;
    r->bytes_max = bytes_max;
    *out = r;
    return ERR_OK;
}

void recent_free(struct recent *r)
{
    if (r == NULL)
        return;
    for (struct channel *c = r->newest, *older; c != NULL; c = older) {
        older = c->older;
        free(c);
    }
    free(r);
}

const struct recent_count *recent_counts(const struct recent *r)
{
    return &r->count;
}

/* ---- which channels ---- */

/* The lower half has chosen this hist among the others. */
static uint64_t bits_of(uint64_t cid)
{
    return mix64(cid) >> 32;
}

static struct channel **bucket_of(struct recent *r, uint64_t cid)
{
    return &r->buckets[bits_of(cid) % buckets];
}

static struct channel *find(struct recent *r, uint64_t cid)
{
    struct channel *c = *bucket_of(r, cid);
    while (c != NULL && c->cid != cid)
        c = c->bucket_next;
    return c;
}

static void unlink_use(struct recent *r, struct channel *c)
{
    *(c->newer != NULL ? &c->newer->older : &r->newest) = c->older;
    *(c->older != NULL ? &c->older->newer : &r->oldest) = c->newer;
}

static void link_use(struct recent *r, struct channel *c)
{
    c->newer = NULL;
    c->older = r->newest;
    *(r->newest != NULL ? &r->newest->newer : &r->oldest) = c;
    r->newest = c;
}

static uint64_t bytes_of(uint32_t cap)
{
    return sizeof(struct channel) + cap;
}

static void drop(struct recent *r, struct channel *c)
{
    struct channel **link = bucket_of(r, c->cid);
    while (*link != c)
        link = &(*link)->bucket_next;
    *link = c->bucket_next;
    unlink_use(r, c);
    r->count.bytes -= bytes_of(c->cap);
    free(c);
}

static struct channel *add(struct recent *r, uint64_t cid, uint32_t cap)
{
    if (bytes_of(cap) > r->bytes_max)
        return NULL;
    while (r->count.bytes + bytes_of(cap) > r->bytes_max) {
        drop(r, r->oldest);
        r->count.evictions++;
    }
    struct channel *c = malloc(bytes_of(cap));
    if (c == NULL)
        return NULL;
    *c = (struct channel){.cid = cid, .cap = cap, .at = cap, .bucket_next = *bucket_of(r, cid)};
    *bucket_of(r, cid) = c;
    link_use(r, c);
    r->count.bytes += bytes_of(cap);
    return c;
}

/* The first read only leaves a note. */
static bool is_worth_keeping(struct recent *r, uint64_t cid)
{
    uint64_t *note = &r->noted[bits_of(cid) % noted];
    bool again = *note == cid;
    *note = cid;
    return again;
}

/* ---- all rows anew ---- */

struct filling {
    struct recent *r;
    uint64_t cid;
    uint32_t len, bytes, hidden; /* hidden: deleted ones that were passed by */
    bool whole, failed;
};

/* {...}, into at, which has room for bytes_max; returns its length, 0: no room. */
static uint32_t put_row(char *at, size_t bytes_max, const struct row_message *row, uint64_t cid)
{
    struct buf b;
    buf_init_fixed(&b, at, bytes_max);
    message_json(&b, row, cid, false);
    buf_putc(&b, ',');
    return b.failed ? 0 : (uint32_t)b.len;
}

static bool on_fill(void *ctx, struct str_view key, struct str_view value)
{
    struct filling *f = ctx;
    struct row_message row;
    f->failed |= row_message_decode(&row, key, value) != ERR_OK;
    f->whole = !f->failed && f->len < recent_rows_fill;
    if (!f->whole)
        return false;
    if (!message_is_shown(&row))
        return f->whole = ++f->hidden < hidden_max;
    uint32_t bytes =
        put_row(f->r->fill_text + f->bytes, recent_text_bytes_max - f->bytes, &row, f->cid);
    f->whole = bytes > 0;
    if (!f->whole)
        return false;
    f->r->fill_rows[f->len++] = (struct row){row.ts_us, bytes};
    f->bytes += bytes;
    return true;
}

static void take_over(struct channel *c, const struct filling *f, uint64_t moment)
{
    c->moment = moment;
    c->pins = MUTANT(PINS_REMEMBERED, recent_pins_unknown, MAX(c->pins, 0));
    c->whole = f->whole;
    c->len = f->len;
    c->at = c->cap - f->bytes;
    memcpy(c->text + c->at, f->r->fill_text, f->bytes);
    for (uint32_t i = 0; i < f->len; i++)
        c->rows[i] = f->r->fill_rows[f->len - 1 - i];
}

/* Room for as much again. */
static uint32_t cap_for(uint32_t bytes)
{
    uint32_t cap = text_bytes_min;
    while (cap < 2 * bytes && cap < recent_text_bytes_max)
        cap *= 2;
    return cap;
}

/* old: the channel's rows up to now, or NULL. NULL: they cannot be kept. */
static struct channel *fill(struct recent *r, const struct view *v, uint64_t cid,
                            struct channel *old)
{
    struct key prefix, end;
    struct filling f = {.r = r, .cid = cid, .whole = true};
    uint64_t moment;
    key_msg_prefix(&prefix, cid);
    end = prefix;
    key_prefix_end(&end);
    enum err err =
        v->ops->scan(v->self, CF_MSG, key_view(&prefix), key_view(&end), on_fill, &f, &moment);
    bool bad = err != ERR_OK || f.failed;
    uint32_t cap = cap_for(f.bytes);
    if (old != NULL && (bad || old->cap < cap)) {
        drop(r, old);
        old = NULL;
    }
    if (bad)
        return NULL;
    r->count.fills++;
    struct channel *c = old != NULL ? old : add(r, cid, cap);
    if (c != NULL)
        take_over(c, &f, moment);
    return c;
}

/* ---- what came since ---- */

struct news {
    struct recent *r;
    uint64_t cid;
    struct str_view prefix; /* of messages' keys */
    uint64_t newest_us;     /* of the rows that are kept */
    uint32_t len, bytes;
    bool failed;
};

/* Newest first. What does not come before all that is kept is a change. */
static bool on_new(void *ctx, struct str_view key, struct str_view value)
{
    struct news *n = ctx;
    struct row_message row;
    if (n->len == recent_rows_fill || !sv_starts(key, n->prefix) ||
        row_message_decode(&row, key, value) != ERR_OK || row.ts_us <= n->newest_us ||
        (n->len > 0 && row.ts_us >= n->r->fill_rows[n->len - 1].ts_us)) {
        n->failed = true;
        return false;
    }
    if (!message_is_shown(&row))
        return true;
    uint32_t bytes =
        put_row(n->r->fill_text + n->bytes, recent_text_bytes_max - n->bytes, &row, n->cid);
    n->failed = bytes == 0;
    if (n->failed)
        return false;
    n->r->fill_rows[n->len++] = (struct row){row.ts_us, bytes};
    n->bytes += bytes;
    return true;
}

/* Drops the oldest rows until `bytes` in front of the text and so many rows are free; half of
 * everything if a page is left then, so that it need not be done again soon. False: no page would
 * be left. */
static bool make_room(struct channel *c, uint32_t bytes, uint32_t rows)
{
    if (bytes <= c->at && rows <= recent_rows_max - c->len)
        return true;
    uint32_t used = c->cap - c->at, lost = 0, left = c->len;
    for (; left > 0; left--) {
        bool fits = bytes <= c->cap - used && rows <= recent_rows_max - left;
        bool half = used <= c->cap / kept_part && left <= recent_rows_max / kept_part;
        if (fits && (half || left <= recent_rows_least))
            break;
        used -= c->rows[lost++].bytes;
    }
    if (left < recent_rows_least)
        return false;
    memmove(c->text + c->cap - used, c->text + c->at, used);
    memmove(c->rows, c->rows + lost, left * sizeof c->rows[0]);
    c->at = c->cap - used;
    c->len = left;
    c->whole &= lost == 0;
    return true;
}

static bool refresh(struct recent *r, const struct view *v, struct channel *c)
{
    struct key prefix;
    struct news n = {
        .r = r, .cid = c->cid, .newest_us = c->len == 0 ? 0 : c->rows[c->len - 1].ts_us};
    key_msg_prefix(&prefix, c->cid);
    n.prefix = key_view(&prefix);
    uint64_t moment = 0;
    if (!v->ops->front(v->self, CF_MSG, n.prefix, c->moment, on_new, &n, &moment) || n.failed ||
        !make_room(c, n.bytes, n.len))
        return false;
    c->moment = moment;
    c->at -= n.bytes;
    memcpy(c->text + c->at, r->fill_text, n.bytes);
    while (n.len > 0)
        c->rows[c->len++] = r->fill_rows[--n.len];
    return true;
}

/* ---- answering ---- */

/* Rows [from, from + len), counted from the newest. */
struct range {
    uint32_t from, len;
    bool known, more; /* more: there are others in the span behind them */
};

static struct range range_of(const struct channel *c, struct ts_span span, uint32_t limit)
{
    struct range g = {0};
    uint32_t left = c->len;
    while (left > 0 && c->rows[left - 1].ts_us > span.newest_us)
        left--;
    g.from = c->len - left;
    while (left > 0 && g.len < limit && c->rows[left - 1].ts_us >= span.oldest_us) {
        left--;
        g.len++;
    }
    g.known = left > 0 || c->whole;
    g.more = left > 0 && c->rows[left - 1].ts_us >= span.oldest_us;
    return g;
}

static uint32_t bytes_from(const struct channel *c, uint32_t from, uint32_t len)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < len; i++)
        bytes += c->rows[c->len - 1 - from - i].bytes;
    return bytes;
}

static void put_range(const struct channel *c, struct range g, struct hist_history *m)
{
    m->messages = g.len;
    m->has_more = g.more;
    m->pins = c->pins;
    if (g.len == 0)
        return;
    uint32_t at = c->at + bytes_from(c, 0, g.from);
    uint32_t bytes = bytes_from(c, g.from, g.len) - 1; /* without the last comma */
    if (buf_reserve(&m->out, bytes + answer_end_bytes))
        buf_put(&m->out, c->text + at, bytes);
    m->next_us = c->rows[c->len - g.from - g.len].ts_us;
}

bool recent_answer(struct recent *r, const struct view *v, struct hist_history *m,
                   struct ts_span span)
{
    struct channel *c = find(r, m->cid);
    if (bytes_of(text_bytes_min) > r->bytes_max) /* nothing can be kept */
        return false;
    if (c == NULL && (span.newest_us != UINT64_MAX || m->limit >= recent_rows_fill ||
                      !is_worth_keeping(r, m->cid)))
        return false;
    if (c == NULL || MUTANT(RECENT_NOT_REFRESHED, !refresh(r, v, c), false)) {
        c = fill(r, v, m->cid, c);
        if (c == NULL)
            return false;
    }
    struct range g = range_of(c, span, m->limit);
    if (!g.known)
        return false;
    unlink_use(r, c);
    link_use(r, c);
    put_range(c, g, m);
    r->count.hits++;
    return true;
}

void recent_note_pins(struct recent *r, uint64_t cid, int32_t pins)
{
    struct channel *c = find(r, cid);
    if (c != NULL)
        c->pins = pins;
}
