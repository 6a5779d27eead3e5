#include "base/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Smaller ones come from the heap, where a page may be shared. Under AddressSanitizer all do: it
 * watches the heap only. */
#ifdef PARLEY_ASAN
static bool mapped(size_t bytes)
{
    (void)bytes;
    return false;
}
#else
enum { pages_min = 65536 };
static bool mapped(size_t bytes)
{
    return bytes >= pages_min;
}
#endif

void *pages_take(size_t len, size_t object_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(len, object_bytes, &bytes) || bytes > SIZE_MAX - CACHE_LINE)
        return NULL;
    if (mapped(bytes)) {
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    size_t rounded = (MAX(bytes, (size_t)1) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
    void *p = aligned_alloc(CACHE_LINE, rounded);
    if (p != NULL)
        memset(p, 0, rounded);
    return p;
}

void pages_give(void *p, size_t len, size_t object_bytes)
{
    if (p == NULL)
        return;
    if (mapped(len * object_bytes))
        munmap(p, len * object_bytes);
    else
        free(p);
}
