/* base.h - macros every file uses: assertions, hints, container_of.
   SPDX-License-Identifier: MIT

   Assertions are proofs. Three levels:
     CAST_ALWAYS(c)  on in every build: a violation would corrupt memory
     CAST_ASSERT(c)  on in debug builds (CAST_DEBUG >= 1): cheap
     CAST_CHECK(e)   on in test builds (CAST_DEBUG >= 2): walks a structure */
#ifndef CAST_BASE_H
#define CAST_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef CAST_DEBUG
#define CAST_DEBUG 0
#endif

/* Ends the process with a message that names the broken proof. */
_Noreturn void cast_panic(const char *file, int line, const char *what);

#define CAST_ALWAYS(c) ((c) ? (void)0 : cast_panic(__FILE__, __LINE__, #c))
#if CAST_DEBUG >= 1
#define CAST_ASSERT(c) CAST_ALWAYS(c)
#else
#define CAST_ASSERT(c) ((void)sizeof(!(c)))
#endif
#if CAST_DEBUG >= 2
#define CAST_CHECK(e) (e)
#else
#define CAST_CHECK(e) ((void)0)
#endif

#if defined(__GNUC__)
#define CAST_LIKELY(c) __builtin_expect(!!(c), 1)
#define CAST_UNLIKELY(c) __builtin_expect(!!(c), 0)
#define CAST_NOINLINE __attribute__((noinline))
#define CAST_INLINE inline __attribute__((always_inline))
/* Heads a function that is called when the library is loaded. */
#define CAST_AT_LOAD __attribute__((constructor)) static void
#else
#define CAST_LIKELY(c) (c)
#define CAST_UNLIKELY(c) (c)
#define CAST_NOINLINE
#define CAST_INLINE inline
#error "how does this compiler have a function called by the loader?"
#endif

/* The struct that holds `member` at address `ptr`. */
#define CAST_CONTAINER(ptr, type, member) \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define CAST_UNUSED(x) ((void)(x))

#endif
