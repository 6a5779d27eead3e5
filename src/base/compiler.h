/* compiler.h - the words the whole house uses: MUST_USE, ASSERT, thread roles. */
#ifndef PARLEY_BASE_COMPILER_H
#define PARLEY_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, va) __attribute__((format(printf, fmt, va)))
#define LIKELY(x)            __builtin_expect(!!(x), 1)
#define UNLIKELY(x)          __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)         (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE           64
#define MIN(a, b)            ((a) < (b) ? (a) : (b))
#define MAX(a, b)            ((a) > (b) ? (a) : (b))

/* A broken invariant is not a failure of the world: say where, and stop before it spreads. Kept in
 * release. */
_Noreturn void assert_failed(const char *what, const char *file, int line);
#define ASSERT(x)                                                                                  \
    do {                                                                                           \
        if (UNLIKELY(!(x)))                                                                        \
            assert_failed(#x, __FILE__, __LINE__);                                                 \
    } while (0)
#ifdef PARLEY_DEBUG
#define ASSERT_SLOW(x) ASSERT(x)
#else
#define ASSERT_SLOW(x) ((void)sizeof(!(x)))
#endif

/* Thread roles for clang's -Wthread-safety: ON_THREAD(chan_thread) on a function makes a call from
 * code that does not hold that role a compile error. The loop that starts an actor claims the role
 * once. */
#ifdef __clang__
#define THREAD_ROLE(name)                                                                          \
    struct __attribute__((capability("role"))) name##_role {                                       \
        char unused;                                                                               \
    };                                                                                             \
    extern struct name##_role name
#define ON_THREAD(role)    __attribute__((requires_capability(role)))
#define CLAIM_THREAD(role) __attribute__((assert_capability(role)))
#else
#define THREAD_ROLE(name) extern char name
#define ON_THREAD(role)
#define CLAIM_THREAD(role)
#endif

/* ThreadSanitizer sees neither into ck's inline assembly nor through the kernel: each hand-over
 * says it aloud. */
#if defined(__SANITIZE_THREAD__)
#define PARLEY_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PARLEY_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PARLEY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PARLEY_ASAN 1
#endif
#endif
#ifdef PARLEY_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define TSAN_ACQUIRE(p) __tsan_acquire((void *)(uintptr_t)(p))
#define TSAN_RELEASE(p) __tsan_release((void *)(uintptr_t)(p))
#else
#define TSAN_ACQUIRE(p) ((void)(p))
#define TSAN_RELEASE(p) ((void)(p))
#endif

#endif
