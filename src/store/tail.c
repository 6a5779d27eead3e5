#include "store/tail.h"

#include <stdlib.h>
#include <sys/mman.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/family.h"

enum {
    height_max = 10, /* a quarter of the nodes of each level reaches the next: 4^10 keys */
    slots_min = 256,
    align_bytes = 16,
    tag_shift = 48,
    group_mark = 0x80 /* in a node's cf */
};

struct list {
    struct tail_node *head[height_max]; /* atomic */
    uint64_t disturbed; /* atomic: the newest commit that did anything but put a key in front */
};

/* A key, or with group_mark in cf a prefix. */
struct tail_node {
    const char *key; /* in the record of its oldest version */
    uint32_t hash;   /* lower half */
    uint16_t key_len;
    uint8_t cf, height;
    union {
        const struct tail_row *newest; /* atomic */
        struct list *keys;
    } of;
    struct tail_node *next[]; /* atomic */
};

/* A slot holds a pointer and, in the 16 bits that x86-64 leaves unused, the upper bits of the hash:
 * what is not looked for is passed over without a look at it. */
struct table {
    struct table *smaller; /* the one before */
    uint32_t mask;
    uint64_t slots[]; /* atomic */
};

struct tail {
    uint64_t newest;     /* atomic */
    struct table *table; /* atomic */
    struct list groups[CF_COUNT];
    uint64_t seed;
    /* the writer's */
    uint8_t *memory;
    size_t bytes, bytes_max, table_bytes;
    uint32_t nodes, keys;
};

#define LOAD(p)     __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n(&(p), v, __ATOMIC_RELEASE) /* pairs with every LOAD */

/* ---- memory ---- */

static struct table *table_new(uint32_t slots)
{
    struct table *t = calloc(1, sizeof *t + slots * sizeof t->slots[0]);
    if (t != NULL)
        t->mask = slots - 1;
    return t;
}

/* At most half full. */
static uint32_t slots_for(uint32_t nodes)
{
    uint32_t slots = slots_min;
    while (slots / 2 < nodes)
        slots *= 2;
    return slots;
}

struct tail *tail_new(uint64_t hash_seed, size_t bytes_max, uint32_t keys)
{
    struct tail *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->seed = hash_seed;
    t->bytes_max = bytes_max;
    t->table = table_new(slots_for(keys));
    t->memory = mmap(NULL, bytes_max, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t->memory == MAP_FAILED)
        t->memory = NULL;
    if (t->table == NULL || t->memory == NULL) {
        tail_free(t);
        return NULL;
    }
    t->table_bytes = sizeof *t->table + (t->table->mask + 1) * sizeof t->table->slots[0];
    return t;
}

static void free_smaller(struct table *larger)
{
    for (struct table *t = larger->smaller, *smaller; t != NULL; t = smaller) {
        smaller = t->smaller;
        free(t);
    }
    larger->smaller = NULL;
}

void tail_reset(struct tail *t)
{
    struct table *table = t->table;
    size_t slots_bytes = (table->mask + 1) * sizeof table->slots[0];
    free_smaller(table);
    memset(table->slots, 0, slots_bytes);
    t->newest = 0;
    memset(t->groups, 0, sizeof t->groups);
    t->bytes = 0;
    t->table_bytes = sizeof *table + slots_bytes;
    t->nodes = t->keys = 0;
}

void tail_free(struct tail *t)
{
    if (t == NULL)
        return;
    if (t->table != NULL)
        free_smaller(t->table);
    free(t->table);
    if (t->memory != NULL)
        munmap(t->memory, t->bytes_max);
    free(t);
}

static size_t rounded(size_t n)
{
    return (n + align_bytes - 1) & ~(size_t)(align_bytes - 1);
}

static void *take(struct tail *t, size_t n)
{
    void *p = t->memory + t->bytes;
    t->bytes += rounded(n);
    ASSERT(t->bytes <= t->bytes_max);
    return p;
}

uint64_t tail_bytes(const struct tail *t)
{
    return t->bytes + t->table_bytes;
}

uint32_t tail_keys(const struct tail *t)
{
    return t->keys;
}

/* ---- the hash table ---- */

static uint64_t hash_of(const struct tail *t, uint8_t cf, struct str_view key)
{
    return XXH3_64bits_withSeed(key.p, key.len, t->seed + cf);
}

uint64_t tail_hash(const struct tail *t, enum cf cf, struct str_view key)
{
    return hash_of(t, (uint8_t)cf, key);
}

static struct str_view key_of(const struct tail_node *n)
{
    return (struct str_view){n->key, n->key_len};
}

static struct tail_node *node_in(uint64_t slot)
{
    return (struct tail_node *)(uintptr_t)(slot & ((1ull << tag_shift) - 1));
}

static struct tail_node *find(const struct tail *t, uint64_t hash, uint8_t cf, struct str_view key)
{
    const struct table *table = LOAD(t->table);
    for (uint32_t i = (uint32_t)hash & table->mask;; i = (i + 1) & table->mask) {
        uint64_t slot = LOAD(table->slots[i]);
        if (slot == 0)
            return NULL;
        if ((slot ^ hash) >> tag_shift != 0)
            continue;
        struct tail_node *n = node_in(slot);
        if (n->cf == cf && sv_eq(key_of(n), key))
            return n;
    }
}

static void put_slot(struct table *table, uint32_t hash, uint64_t slot)
{
    uint32_t i = hash & table->mask;
    while (table->slots[i] != 0)
        i = (i + 1) & table->mask;
    STORE(table->slots[i], slot);
}

/* Room for so many nodes more. */
static bool grow(struct tail *t, uint32_t more)
{
    uint32_t slots = slots_for(t->nodes + more);
    if (slots <= t->table->mask + 1)
        return true;
    struct table *larger = table_new(slots);
    if (larger == NULL)
        return false;
    for (uint32_t i = 0; i <= t->table->mask; i++) {
        if (t->table->slots[i] != 0)
            put_slot(larger, node_in(t->table->slots[i])->hash, t->table->slots[i]);
    }
    larger->smaller = t->table;
    t->table_bytes += sizeof *larger + slots * sizeof larger->slots[0];
    STORE(t->table, larger);
    return true;
}

/* ---- the skip lists ---- */

static struct tail_node *first_of(const struct list *l)
{
    return LOAD(l->head[0]);
}

/* The first node that is not before key. before[i]: where a node of that height would be linked in
 * at level i; may be NULL. */
static struct tail_node *seek(const struct list *l, struct str_view key,
                              struct tail_node **before[height_max])
{
    struct tail_node *const *links = l->head;
    struct tail_node *n = NULL;
    for (int i = height_max; i-- > 0;) {
        while ((n = LOAD(links[i])) != NULL && sv_cmp(key_of(n), key) < 0)
            links = n->next;
        if (before != NULL)
            before[i] = (struct tail_node **)(uintptr_t)&links[i];
    }
    return n;
}

/* True: in front of all others. */
static bool insert(struct list *l, struct tail_node *n)
{
    struct tail_node **before[height_max];
    struct tail_node *first = first_of(l);
    bool front = first == NULL || sv_cmp(key_of(n), key_of(first)) < 0;
    if (front) {
        for (int i = 0; i < n->height; i++)
            before[i] = &l->head[i];
    } else {
        (void)seek(l, key_of(n), before);
    }
    for (int i = 0; i < n->height; i++) {
        n->next[i] = *before[i];
        STORE(*before[i], n);
    }
    return front;
}

/* ---- writer ---- */

enum {
    node_bytes_max = sizeof(struct tail_node) + height_max * sizeof(struct tail_node *),
    row_bytes_max =
        sizeof(struct tail_row) + 2 * node_bytes_max + sizeof(struct list) + 4 * align_bytes
};

size_t tail_room(size_t record_bytes, uint32_t rows)
{
    return rounded(record_bytes) + (size_t)rows * row_bytes_max;
}

size_t tail_room_max(const struct tail *t)
{
    return t->bytes_max;
}

uint8_t *tail_reserve(struct tail *t, size_t record_bytes, uint32_t rows)
{
    if (tail_room(record_bytes, rows) > t->bytes_max - t->bytes ||
        !grow(t, 2 * rows)) /* each row may be a new key of a new prefix */
        return NULL;
    return t->memory + t->bytes;
}

/* The height comes from bits of the hash that choose no slot. */
static struct tail_node *add_node(struct tail *t, uint64_t hash, uint8_t cf, struct str_view key,
                                  bool listed)
{
    uint32_t bits = (uint32_t)(hash >> 32) | 1u << 2 * (height_max - 1);
    int height = listed ? 1 + __builtin_ctz(bits) / 2 : 0;
    struct tail_node *n = take(t, sizeof *n + (size_t)height * sizeof n->next[0]);
    *n = (struct tail_node){.key = key.p,
                            .hash = (uint32_t)hash,
                            .key_len = (uint16_t)key.len,
                            .cf = cf,
                            .height = (uint8_t)height};
    t->nodes++;
    return n;
}

static void publish(struct tail *t, uint64_t hash, struct tail_node *n)
{
    put_slot(t->table, n->hash, hash >> tag_shift << tag_shift | (uint64_t)(uintptr_t)n);
}

/* A row with the hashes of its key and of its prefix. */
struct hashed_row {
    struct record_row r;
    uint64_t hash, group_hash;
    struct tail_node *group; /* a guess: only what it points at is fetched */
};

static struct list *list_of(struct tail *t, const struct hashed_row *h)
{
    enum cf cf = h->r.cf;
    struct str_view prefix = family_prefix(cf, h->r.key);
    uint8_t mark = (uint8_t)(cf | group_mark);
    struct tail_node *n = find(t, h->group_hash, mark, prefix);
    if (n != NULL)
        return n->of.keys;
    n = add_node(t, h->group_hash, mark, prefix, true);
    n->of.keys = take(t, sizeof *n->of.keys);
    *n->of.keys = (struct list){0}; /* a commit that failed may have left bytes here */
    publish(t, h->group_hash, n);
    (void)insert(&t->groups[cf], n);
    return n->of.keys;
}

static void add_row(struct tail *t, uint64_t number, const struct hashed_row *h)
{
    const struct record_row *r = &h->r;
    struct tail_node *n = find(t, h->hash, (uint8_t)r->cf, r->key);
    struct tail_row *row = take(t, sizeof *row);
    *row = (struct tail_row){.older = n == NULL ? NULL : n->of.newest,
                             .number = number,
                             .value = r->value.p,
                             .value_len = (uint32_t)r->value.len,
                             .deleted = r->op == ROW_DELETE};
    if (n != NULL) {
        STORE(n->of.newest, row);
        if (family_watched(r->cf))
            STORE(list_of(t, h)->disturbed, number);
        return;
    }
    n = add_node(t, h->hash, (uint8_t)r->cf, r->key, families[r->cf].scanned);
    n->of.newest = row;
    t->keys++;
    publish(t, h->hash, n);
    if (!families[r->cf].scanned)
        return;
    struct list *l = list_of(t, h);
    if (!insert(l, n) || r->op == ROW_DELETE)
        STORE(l->disturbed, number);
}

/* Each row of a record belongs somewhere else, and every look there is a miss of the caches. So
 * some rows are looked at together, one step further each time: their slots, the nodes in these,
 * what the nodes point at. Nothing is decided by it. */
static struct tail_node *expect_node(const struct tail *t, uint64_t hash)
{
    const struct table *table = t->table;
    uint64_t slot = table->slots[(uint32_t)hash & table->mask];
    struct tail_node *n = (slot ^ hash) >> tag_shift == 0 ? node_in(slot) : NULL;
    __builtin_prefetch(n);
    return n;
}

static void expect(const struct tail *t, struct hashed_row *rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct record_row *r = &rows[i].r;
        rows[i].hash = tail_hash(t, r->cf, r->key);
        __builtin_prefetch(&t->table->slots[(uint32_t)rows[i].hash & t->table->mask]);
        if (!families[r->cf].scanned)
            continue;
        rows[i].group_hash =
            hash_of(t, (uint8_t)(r->cf | group_mark), family_prefix(r->cf, r->key));
        __builtin_prefetch(&t->table->slots[(uint32_t)rows[i].group_hash & t->table->mask]);
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)expect_node(t, rows[i].hash);
        rows[i].group = families[rows[i].r.cf].scanned ? expect_node(t, rows[i].group_hash) : NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (rows[i].group == NULL)
            continue;
        __builtin_prefetch(rows[i].group->key);
        if ((rows[i].group->cf & group_mark) != 0)
            __builtin_prefetch(rows[i].group->of.keys);
    }
}

void tail_add(struct tail *t, uint64_t number, size_t record_bytes)
{
    enum { together = 16 };
    const char *record = take(t, record_bytes);
    struct str_view rest = record_rows((struct str_view){record, record_bytes});
    struct hashed_row rows[together];
    for (uint32_t n = together; n == together;) {
        for (n = 0; n < together && record_next(&rest, &rows[n].r);)
            n++;
        expect(t, rows, n);
        for (uint32_t i = 0; i < n; i++)
            add_row(t, number, &rows[i]);
    }
    STORE(t->newest, number);
}

/* ---- readers ---- */

uint64_t tail_newest(const struct tail *t)
{
    return LOAD(t->newest);
}

static const struct tail_row *as_of(const struct tail_node *n, uint64_t number)
{
    const struct tail_row *row = LOAD(n->of.newest);
    while (row != NULL && row->number > number)
        row = row->older;
    return row;
}

const struct tail_row *tail_find(const struct tail *t, uint64_t hash, enum cf cf,
                                 struct str_view key, uint64_t number)
{
    const struct tail_node *n = find(t, hash, (uint8_t)cf, key);
    return n == NULL ? NULL : as_of(n, number);
}

/* The first bytes of the key as numbers: most comparisons need no look at the key. 32 bytes, the
 * most that qsort moves by value. */
struct tail_sorted {
    uint64_t head[3];
    const struct tail_node *node;
};

static struct tail_sorted sorted_entry(const struct tail_node *n)
{
    uint8_t head[sizeof((struct tail_sorted *)0)->head] = {0};
    struct tail_sorted e = {.node = n};
    memcpy(head, n->key, MIN(sizeof head, n->key_len));
    for (size_t i = 0; i < ARRAY_LEN(e.head); i++) {
        uint64_t big_endian;
        memcpy(&big_endian, head + i * sizeof big_endian, sizeof big_endian);
        e.head[i] = __builtin_bswap64(big_endian);
    }
    return e;
}

static int by_key(const void *a, const void *b)
{
    const struct tail_sorted *x = a, *y = b;
    for (size_t i = 0; i < ARRAY_LEN(x->head); i++) {
        if (x->head[i] != y->head[i])
            return x->head[i] < y->head[i] ? -1 : 1;
    }
    return sv_cmp(key_of(x->node), key_of(y->node));
}

static bool is_before(const struct tail_cursor *c, struct str_view key)
{
    return c->to.p == NULL || sv_cmp(key, c->to) < 0;
}

/* The keys of a family without lists, from `from` on. */
static enum err sort(struct tail_cursor *c, const struct tail *t, enum cf cf, struct str_view from)
{
    const struct table *table = LOAD(t->table);
    c->sorted = malloc((table->mask + 1) * sizeof c->sorted[0]);
    if (c->sorted == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i <= table->mask; i++) {
        const struct tail_node *n = node_in(LOAD(table->slots[i]));
        if (n != NULL && n->cf == (uint8_t)cf && sv_cmp(key_of(n), from) >= 0 &&
            is_before(c, key_of(n)))
            c->sorted[c->sorted_len++] = sorted_entry(n);
    }
    qsort(c->sorted, c->sorted_len, sizeof c->sorted[0], by_key);
    return ERR_OK;
}

/* A list may be there before its first key is. */
static void skip_empty(struct tail_cursor *c)
{
    while (c->node == NULL && c->group != NULL) {
        c->group = LOAD(c->group->next[0]);
        c->node = c->group == NULL ? NULL : first_of(c->group->of.keys);
    }
}

/* Neighbours in the order of keys are strangers in memory. */
static void expect_sorted(const struct tail_cursor *c)
{
    enum { ahead = 6 };
    if (c->sorted_at + ahead < c->sorted_len)
        __builtin_prefetch(c->sorted[c->sorted_at + ahead].node);
    if (c->sorted_at + ahead / 2 < c->sorted_len) {
        const struct tail_node *n = c->sorted[c->sorted_at + ahead / 2].node;
        __builtin_prefetch(n->key);
        __builtin_prefetch(LOAD(n->of.newest));
    }
}

static void step(struct tail_cursor *c)
{
    if (c->sorted != NULL) {
        c->node = c->sorted_at < c->sorted_len ? c->sorted[c->sorted_at++].node : NULL;
        expect_sorted(c);
        return;
    }
    c->node = LOAD(c->node->next[0]);
    skip_empty(c);
}

/* Goes on to the first key that is there as of the cursor's number. */
static void settle(struct tail_cursor *c)
{
    c->valid = false;
    for (; c->node != NULL; step(c)) {
        c->key = key_of(c->node);
        if (!is_before(c, c->key))
            return;
        const struct tail_row *row = as_of(c->node, c->number);
        if (row == NULL)
            continue;
        if (row->number <= c->since)
            return;
        c->value = (struct str_view){row->value, row->value_len};
        c->deleted = row->deleted;
        c->valid = true;
        if (c->node->height > 0)
            __builtin_prefetch(LOAD(c->node->next[0])); /* while the caller is busy with this one */
        return;
    }
}

enum err tail_seek(struct tail_cursor *c, const struct tail *t, enum cf cf, struct str_view from,
                   struct str_view to, uint64_t number)
{
    *c = (struct tail_cursor){.to = to, .number = number};
    if (!families[cf].scanned) {
        TRY(sort(c, t, cf, from));
        step(c);
    } else {
        struct str_view prefix = family_prefix(cf, from);
        c->group = seek(&t->groups[cf], prefix, NULL);
        if (c->group != NULL)
            c->node = sv_eq(key_of(c->group), prefix) ? seek(c->group->of.keys, from, NULL)
                                                      : first_of(c->group->of.keys);
        skip_empty(c);
    }
    settle(c);
    return ERR_OK;
}

bool tail_front(struct tail_cursor *c, const struct tail *t, enum cf cf, struct str_view key,
                uint64_t since, uint64_t number)
{
    uint8_t mark = (uint8_t)(cf | group_mark);
    struct str_view prefix = family_prefix(cf, key);
    ASSERT(family_watched(cf));
    *c = (struct tail_cursor){.number = number, .since = since};
    const struct tail_node *group = find(t, hash_of(t, mark, prefix), mark, prefix);
    if (group == NULL)
        return true;
    if (LOAD(group->of.keys->disturbed) > since)
        return false;
    c->node = first_of(group->of.keys);
    settle(c);
    return true;
}

void tail_next(struct tail_cursor *c)
{
    step(c);
    settle(c);
}

void tail_cursor_deinit(struct tail_cursor *c)
{
    free(c->sorted);
    c->sorted = NULL;
}
