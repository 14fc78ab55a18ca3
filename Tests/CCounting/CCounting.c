#include "CCounting.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)
#define COUNTS 1
#endif

// The program's own malloc comes before the C library's, for everybody: the Swift runtime and the C library itself call
// this one too. What it counts is taken from the library's allocator by its other names.

static _Thread_local uint64_t thread_count __attribute__((tls_model("initial-exec")));
static _Atomic uint64_t count;
static _Atomic int64_t live;

bool counting_is_on(void) {
#if COUNTS
    return true;
#else
    return false;
#endif
}

uint64_t counting_allocations_of_thread(void) { return thread_count; }

uint64_t counting_allocations(void) { return atomic_load_explicit(&count, memory_order_relaxed); }

int64_t counting_live_bytes(void) { return atomic_load_explicit(&live, memory_order_relaxed); }

__attribute__((noinline)) void counting_mark(void) { __asm__ volatile("" ::: "memory"); }

#if COUNTS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static int64_t size_of(void *block) {
    return block ? (int64_t)(malloc_usable_size(block) + sizeof(size_t)) : 0;
}

static void *counted(void *block) {
    thread_count += 1;
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live, size_of(block), memory_order_relaxed);
    return block;
}

void *malloc(size_t size) { return counted(__libc_malloc(size)); }

void *calloc(size_t number, size_t size) { return counted(__libc_calloc(number, size)); }

void *realloc(void *block, size_t size) {
    int64_t before = size_of(block);
    void *moved = __libc_realloc(block, size);
    // A failed one leaves the old block where it is; one to nothing gives it back.
    if (moved || size == 0) atomic_fetch_sub_explicit(&live, before, memory_order_relaxed);
    return counted(moved);
}

void *memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *block = counted(__libc_memalign(alignment, size));
    if (!block) return ENOMEM;
    *result = block;
    return 0;
}

void free(void *block) {
    atomic_fetch_sub_explicit(&live, size_of(block), memory_order_relaxed);
    __libc_free(block);
}
#endif
