#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t cap, used; /* of data */
    _Alignas(16) char data[];
};

void arena_pool_init(struct arena_pool *p, uint32_t first_bytes, uint32_t keep_max,
                     uint64_t bytes_max)
{
    *p = (struct arena_pool){
        .first_bytes = first_bytes, .free_max = keep_max, .bytes_max = bytes_max};
}

void arena_pool_deinit(struct arena_pool *p)
{
    while (p->free != NULL) {
        struct arena_block *b = p->free;
        p->free = b->next;
        free(b);
    }
}

static struct arena_block *block_new(size_t cap)
{
    struct arena_block *b = malloc(sizeof *b + cap);
    if (b != NULL) {
        b->next = NULL;
        b->cap = cap;
        b->used = 0;
    }
    return b;
}

enum err arena_init(struct arena *a, struct arena_pool *p, uint64_t bytes_max)
{
    memset(a, 0, sizeof *a);
    if (p->bytes_used + p->first_bytes > p->bytes_max)
        return ERR_NOMEM;
    struct arena_block *b = p->free;
    if (b != NULL) {
        p->free = b->next;
        p->free_len--;
        b->next = NULL;
        b->used = 0;
    } else if ((b = block_new(p->first_bytes)) == NULL) {
        return ERR_NOMEM;
    }
    p->bytes_used += b->cap;
    *a = (struct arena){.pool = p,
                        .first = b,
                        .last = b,
                        .bytes = b->cap,
                        .charged = b->cap,
                        .bytes_max = bytes_max};
    return ERR_OK;
}

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->first->next;
    while (b != NULL) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    a->pool->bytes_used -= a->charged - a->first->cap;
    a->first->next = NULL;
    a->first->used = 0;
    a->last = a->first;
    a->bytes = a->charged = a->first->cap;
}

void arena_deinit(struct arena *a)
{
    if (a->first == NULL)
        return;
    arena_reset(a);
    struct arena_pool *p = a->pool;
    p->bytes_used -= a->first->cap;
    if (p->free_len < p->free_max) {
        a->first->next = p->free;
        p->free = a->first;
        p->free_len++;
    } else {
        free(a->first);
    }
    a->first = a->last = NULL;
}

bool arena_charge(struct arena *a)
{
    a->pool->bytes_used += a->bytes - a->charged;
    a->charged = a->bytes;
    return a->pool->bytes_used <= a->pool->bytes_max;
}

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

bool arena_reserve(struct arena *a, size_t n)
{
    struct arena_block *b = a->last;
    if (b->cap - b->used >= n)
        return true;
    size_t cap = MAX(n, MIN(b->cap * 2, (size_t)1 << 20));
    if (a->bytes + cap > a->bytes_max)
        cap = n; /* near the bound: exactly what is asked */
    if (a->bytes + cap > a->bytes_max || (b = block_new(cap)) == NULL)
        return false;
    a->last->next = b;
    a->last = b;
    a->bytes += cap;
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) /* rounding up would wrap to a small piece */
        return NULL;
    n = round16(n);
    if (!arena_reserve(a, n))
        return NULL;
    struct arena_block *b = a->last;
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

struct str_view arena_dup(struct arena *a, struct str_view s)
{
    char *p = arena_alloc(a, s.len + 1);
    if (p == NULL)
        return SV_NONE;
    if (s.len > 0)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return (struct str_view){p, s.len};
}

/* ---- buf ---- */

void buf_init(struct buf *b, struct arena *a, size_t cap)
{
    *b = (struct buf){.arena = a};
    if (cap > 0)
        buf_reserve(b, cap);
}

void buf_init_fixed(struct buf *b, void *p, size_t cap)
{
    *b = (struct buf){.p = p, .cap = cap};
}

/* True when p..p+cap is the newest piece of the arena and more fits behind it in the same block. */
static bool grow_in_place(struct buf *b, size_t cap)
{
    struct arena_block *block = b->arena->last;
    if (b->p == NULL || b->p + b->cap != block->data + block->used)
        return false;
    size_t more = round16(cap - b->cap);
    if (block->cap - block->used < more)
        return false;
    block->used += more;
    b->cap += more;
    return true;
}

bool buf_grow(struct buf *b, size_t more)
{
    if (b->arena == NULL || b->failed) {
        b->failed = true;
        return false;
    }
    size_t cap = round16(MAX(b->len + more, b->cap * 2));
    if (grow_in_place(b, cap))
        return true;
    char *p = arena_alloc(b->arena, cap);
    if (p == NULL) {
        cap = round16(b->len + more);
        p = arena_alloc(b->arena, cap);
    }
    if (p == NULL) {
        b->failed = true;
        return false;
    }
    if (b->len > 0)
        memcpy(p, b->p, b->len);
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1))
        return;
    va_start(args, fmt);
    vsnprintf(b->p + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}
