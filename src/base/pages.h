/* pages.h - zeroed memory for tables that are sized for the worst: the kernel gives a page when it
 * is first written, so what is never used costs address space only. calloc promises the zeroes but
 * not that: an allocator may write them itself. Thread: any. */
#ifndef PARLEY_BASE_PAGES_H
#define PARLEY_BASE_PAGES_H

#include "base/compiler.h"

void *pages_take(size_t len, size_t object_bytes); /* NULL: no memory; aligned to a cache line */
void pages_give(void *p, size_t len, size_t object_bytes); /* the same sizes; NULL is fine */

#endif
