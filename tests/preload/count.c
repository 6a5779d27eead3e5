/* count.c - preloaded into parleyd (LD_PRELOAD): counts, by thread and by who calls, what takes
 * memory from the general heap and what takes a lock. Counts are in a file that is mapped, so that
 * they can be read at any moment; tests/e2e/steady.test.mjs reads them.
 *
 * File, little-endian: rows of struct row; an empty row has thread 0. Who calls is told by the
 * return address. Where that is in a library, also by the nearest one in the program itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

enum { rows_max = 1 << 16, frames_max = 32, early_bytes_max = 1 << 16 };
enum kind { HEAP = 1, LOCK = 2 };

struct row {
    uint32_t thread; /* atomic: whose it is; only that thread writes the rest */
    uint32_t kind;
    uint64_t caller, in_program; /* addresses in memory; in_program: 0 when there is none */
    uint64_t count;
};

static struct row *rows;
static uintptr_t program_from, program_to;
/* initial-exec: no allocation behind the first use in a thread */
#define THREAD_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
THREAD_LOCAL uint32_t thread;
THREAD_LOCAL bool inside; /* the unwinder may take memory itself */

/* ---- who calls ---- */

static bool is_program(uintptr_t a)
{
    return a >= program_from && a < program_to;
}

struct walk {
    uintptr_t found;
    int frames;
};

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *c, void *arg)
{
    struct walk *w = arg;
    uintptr_t ip = _Unwind_GetIP(c);
    if (is_program(ip)) {
        w->found = ip;
        return _URC_END_OF_STACK;
    }
    return ++w->frames < frames_max ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static uintptr_t nearest_in_program(uintptr_t caller)
{
    struct walk w = {0};
    if (is_program(caller))
        return caller;
    inside = true;
    _Unwind_Backtrace(on_frame, &w);
    inside = false;
    return w.found;
}

/* ---- counting ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
    return x ^ (x >> 29);
}

static void count(enum kind kind, void *return_address)
{
    int error = errno;
    if (rows == NULL || inside)
        return;
    if (thread == 0)
        thread = (uint32_t)syscall(SYS_gettid);
    uintptr_t caller = (uintptr_t)return_address, at = nearest_in_program(caller);
    uint64_t i = mix(caller ^ mix(at ^ mix(thread ^ ((uint64_t)kind << 32))));
    for (int tries = 0; tries < rows_max; tries++, i++) {
        struct row *r = &rows[i % rows_max];
        uint32_t owner = __atomic_load_n(&r->thread, __ATOMIC_RELAXED);
        if (owner == 0 && __atomic_compare_exchange_n(&r->thread, &owner, thread, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            *r = (struct row){thread, kind, caller, at, 0};
            owner = thread;
        }
        if (owner == thread && r->kind == kind && r->caller == caller && r->in_program == at) {
            __atomic_store_n(&r->count, r->count + 1, __ATOMIC_RELAXED);
            break;
        }
    }
    errno = error;
}

/* ---- the start ---- */

static int on_object(struct dl_phdr_info *o, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < o->dlpi_phnum; i++) { /* the first object is the program */
        const ElfW(Phdr) *p = &o->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0) {
            program_from = o->dlpi_addr + p->p_vaddr;
            program_to = program_from + p->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("PARLEY_COUNT_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, rows_max * (off_t)sizeof *rows) != 0)
        return;
    dl_iterate_phdr(on_object, NULL);
    void *p = mmap(NULL, rows_max * sizeof *rows, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    rows = p == MAP_FAILED ? NULL : p;
}

/* ---- what is counted ---- */

/* What the dynamic linker takes while it looks a function up; never given back. */
static void *early(size_t n)
{
    static _Alignas(16) uint8_t room[early_bytes_max];
    static size_t used;
    size_t at = __atomic_fetch_add(&used, (n + 15) & ~(size_t)15, __ATOMIC_RELAXED);
    return at + n <= sizeof room ? room + at : NULL;
}

#define EXPORT __attribute__((visibility("default"), noinline))
#define NEXT(result, name, ...)                                                                    \
    static result (*next)(__VA_ARGS__);                                                            \
    if (next == NULL)                                                                              \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

EXPORT void *malloc(size_t n)
{
    THREAD_LOCAL bool looking;
    static void *(*next)(size_t);
    if (next == NULL) {
        if (looking)
            return early(n);
        looking = true;
        *(void **)&next = dlsym(RTLD_NEXT, "malloc");
        looking = false;
    }
    count(HEAP, __builtin_return_address(0));
    return next(n);
}

EXPORT void *calloc(size_t n, size_t bytes)
{
    THREAD_LOCAL bool looking;
    static void *(*next)(size_t, size_t);
    if (next == NULL) {
        if (looking)
            return early(n * bytes);
        looking = true;
        *(void **)&next = dlsym(RTLD_NEXT, "calloc");
        looking = false;
    }
    count(HEAP, __builtin_return_address(0));
    return next(n, bytes);
}

#define COUNTED(kind, result, name, parameters, arguments, ...)                                    \
    result name parameters;                                                                        \
    EXPORT result name parameters                                                                  \
    {                                                                                              \
        NEXT(result, name, __VA_ARGS__);                                                           \
        count(kind, __builtin_return_address(0));                                                  \
        return next arguments;                                                                     \
    }

COUNTED(HEAP, void *, realloc, (void *p, size_t n), (p, n), void *, size_t)
COUNTED(HEAP, void *, aligned_alloc, (size_t a, size_t n), (a, n), size_t, size_t)
COUNTED(HEAP, void *, memalign, (size_t a, size_t n), (a, n), size_t, size_t)
COUNTED(HEAP, int, posix_memalign, (void **p, size_t a, size_t n), (p, a, n), void **, size_t,
        size_t)
/* C++: new and new[], plain, that do not throw, and aligned. */
COUNTED(HEAP, void *, _Znwm, (size_t n), (n), size_t)
COUNTED(HEAP, void *, _Znam, (size_t n), (n), size_t)
COUNTED(HEAP, void *, _ZnwmRKSt9nothrow_t, (size_t n, const void *t), (n, t), size_t, const void *)
COUNTED(HEAP, void *, _ZnamRKSt9nothrow_t, (size_t n, const void *t), (n, t), size_t, const void *)
COUNTED(HEAP, void *, _ZnwmSt11align_val_t, (size_t n, size_t a), (n, a), size_t, size_t)
COUNTED(HEAP, void *, _ZnamSt11align_val_t, (size_t n, size_t a), (n, a), size_t, size_t)
COUNTED(LOCK, int, pthread_mutex_lock, (pthread_mutex_t * m), (m), pthread_mutex_t *)
COUNTED(LOCK, int, pthread_mutex_trylock, (pthread_mutex_t * m), (m), pthread_mutex_t *)
COUNTED(LOCK, int, pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l), pthread_rwlock_t *)
COUNTED(LOCK, int, pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l), pthread_rwlock_t *)
COUNTED(LOCK, int, pthread_spin_lock, (pthread_spinlock_t * l), (l), pthread_spinlock_t *)
