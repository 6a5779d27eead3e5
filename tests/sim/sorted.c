#include "sorted.h"

#include <stdlib.h>

void sorted_init(struct sorted *s)
{
    memset(s, 0, sizeof *s);
    s->rng = rng_make(1, 1);
}

void sorted_deinit(struct sorted *s)
{
    for (struct sorted_node *n = s->first[0], *next; n != NULL; n = next) {
        next = n->next[0];
        free((void *)(uintptr_t)n->value.p);
        free(n);
    }
    sorted_init(s);
}

/* The places whose next pointers lead to the first key not less than this one. */
static void find(const struct sorted *s, struct str_view key, struct sorted_node **links[])
{
    struct sorted_node *const *row = s->first;
    for (int level = sorted_levels - 1; level >= 0; level--) {
        while (row[level] != NULL && sv_cmp(row[level]->key, key) < 0)
            row = row[level]->next;
        links[level] = (struct sorted_node **)(uintptr_t)&row[level];
    }
}

struct sorted_node *sorted_seek(const struct sorted *s, struct str_view key)
{
    struct sorted_node **links[sorted_levels];
    find(s, key, links);
    return *links[0];
}

struct sorted_node *sorted_get(const struct sorted *s, struct str_view key)
{
    struct sorted_node *n = sorted_seek(s, key);
    return n != NULL && sv_eq(n->key, key) ? n : NULL;
}

static struct str_view copy(struct str_view v)
{
    char *p = malloc(v.len + 1);
    ASSERT(p != NULL);
    if (v.len > 0)
        memcpy(p, v.p, v.len);
    return (struct str_view){p, v.len};
}

void sorted_put(struct sorted *s, struct str_view key, struct str_view value)
{
    struct sorted_node **links[sorted_levels];
    find(s, key, links);
    struct sorted_node *n = *links[0];
    if (n != NULL && sv_eq(n->key, key)) {
        free((void *)(uintptr_t)n->value.p);
        n->value = copy(value);
        return;
    }
    int levels = 1;
    while (levels < sorted_levels && rng_one_in(&s->rng, 3))
        levels++;
    n = malloc(sizeof *n + (size_t)levels * sizeof n->next[0] + key.len + 1);
    ASSERT(n != NULL);
    char *text = (char *)&n->next[levels];
    memcpy(text, key.p, key.len);
    n->key = (struct str_view){text, key.len};
    n->value = copy(value);
    for (int level = 0; level < levels; level++) {
        n->next[level] = *links[level];
        *links[level] = n;
    }
    s->len++;
}

void sorted_delete(struct sorted *s, struct str_view key)
{
    struct sorted_node **links[sorted_levels];
    find(s, key, links);
    struct sorted_node *n = *links[0];
    if (n == NULL || !sv_eq(n->key, key))
        return;
    for (int level = 0; level < sorted_levels && *links[level] == n; level++)
        *links[level] = n->next[level];
    free((void *)(uintptr_t)n->value.p);
    free(n);
    s->len--;
}
