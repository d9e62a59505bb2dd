/* inject.h - atomic operations that lose time now and then.
   SPDX-License-Identifier: MIT

   Races live in the moments between two atomic operations, which last
   nanoseconds, while a thread is descheduled for milliseconds: a test would
   have to run for days until a scheduler puts the one into the other. With
   -DCASTING_INJECT=ON this file is included before every source, and each
   atomic operation may first spin, cede the processor or sleep for a moment.
   Locks, wakes and sleeps are made of atomics, so they are all reached.

   What is drawn differs between runs, on purpose: run a test again and again.
   Used by `./dev check inject`, and by nothing else. gcc and clang only.
   Signal handlers run these operations too, so nothing here allocates. */
#ifndef CASTING_INJECT_H
#define CASTING_INJECT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct timespec, sched_yield */
#endif
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Not inlined: after a switch of C stacks a function may go on upon another
   thread, and must not use the address of its old thread's state. */
__attribute__((noinline, unused)) static void inject_delay(void) {
  static _Thread_local __attribute__((tls_model("initial-exec")))
  uint32_t state;
  uint32_t x = state;
  int saved = errno;
  if (x == 0) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    x = (uint32_t)now.tv_nsec ^ (uint32_t)(uintptr_t)&state;
    if (x == 0) x = 1;
  }
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  state = x;
  if (x % 32 == 0)
    for (uint32_t i = 0; i < x / 32 % 256; i++) __asm__ __volatile__("");
  if (x % 512 == 1) (void)sched_yield();
  if (x % 16384 == 2) {
    struct timespec moment = {0, 20000};
    (void)nanosleep(&moment, NULL);
  }
  errno = saved;
}

/* What <stdatomic.h> makes of its generic functions, with a delay before. */
#ifdef __clang__
#define INJECT_LOAD(p, o) __c11_atomic_load(p, o)
#define INJECT_STORE(p, v, o) __c11_atomic_store(p, v, o)
#define INJECT_EXCHANGE(p, v, o) __c11_atomic_exchange(p, v, o)
#define INJECT_ADD(p, v, o) __c11_atomic_fetch_add(p, v, o)
#define INJECT_SUB(p, v, o) __c11_atomic_fetch_sub(p, v, o)
#define INJECT_STRONG(p, e, v, y, n) \
  __c11_atomic_compare_exchange_strong(p, e, v, y, n)
#define INJECT_WEAK(p, e, v, y, n) \
  __c11_atomic_compare_exchange_weak(p, e, v, y, n)
#else
#define INJECT_LOAD(p, o)                    \
  ({                                         \
    __auto_type inject_p = (p);              \
    __typeof__((void)0, *inject_p) inject_v; \
    __atomic_load(inject_p, &inject_v, o);   \
    inject_v;                                \
  })
#define INJECT_STORE(p, v, o)                      \
  ({                                               \
    __auto_type inject_p = (p);                    \
    __typeof__((void)0, *inject_p) inject_v = (v); \
    __atomic_store(inject_p, &inject_v, o);        \
  })
#define INJECT_EXCHANGE(p, v, o)                               \
  ({                                                           \
    __auto_type inject_p = (p);                                \
    __typeof__((void)0, *inject_p) inject_v = (v), inject_old; \
    __atomic_exchange(inject_p, &inject_v, &inject_old, o);    \
    inject_old;                                                \
  })
#define INJECT_ADD(p, v, o) __atomic_fetch_add(p, v, o)
#define INJECT_SUB(p, v, o) __atomic_fetch_sub(p, v, o)
#define INJECT_CAS(p, e, v, w, y, n)                              \
  ({                                                              \
    __auto_type inject_p = (p);                                   \
    __typeof__((void)0, *inject_p) inject_v = (v);                \
    __atomic_compare_exchange(inject_p, (e), &inject_v, w, y, n); \
  })
#define INJECT_STRONG(p, e, v, y, n) INJECT_CAS(p, e, v, 0, y, n)
#define INJECT_WEAK(p, e, v, y, n) INJECT_CAS(p, e, v, 1, y, n)
#endif

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#define atomic_load_explicit(p, o) (inject_delay(), INJECT_LOAD(p, o))
#define atomic_store_explicit(p, v, o) (inject_delay(), INJECT_STORE(p, v, o))
#define atomic_exchange_explicit(p, v, o) \
  (inject_delay(), INJECT_EXCHANGE(p, v, o))
#define atomic_fetch_add_explicit(p, v, o) (inject_delay(), INJECT_ADD(p, v, o))
#define atomic_fetch_sub_explicit(p, v, o) (inject_delay(), INJECT_SUB(p, v, o))
#define atomic_compare_exchange_strong_explicit(p, e, v, y, n) \
  (inject_delay(), INJECT_STRONG(p, e, v, y, n))
#define atomic_compare_exchange_weak_explicit(p, e, v, y, n) \
  (inject_delay(), INJECT_WEAK(p, e, v, y, n))

#endif
