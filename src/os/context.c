/* context.c - C stacks: their memory, and what the tools must be told.
   SPDX-License-Identifier: MIT

   Owner: a context belongs to its maker; while it runs, to the running thread.
   The struct of a made context lies at the top of its own stack, so that a
   context is one mapping. Invariants:
   1. Below a stack lie CAST_STACK_GUARD bytes of its mapping that fault on any
      access.
   2. No instrumented code runs between telling a sanitizer and the jump.

   What the tools need to be told: ThreadSanitizer, a fiber for each context;
   AddressSanitizer, the bounds of the stack that runs, and the fake stack that
   it may keep for each; LeakSanitizer, that these stacks hold references, since
   they lie outside of the threads' own; valgrind, the bounds, to tell a switch
   from a very large frame. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_STACK */
#include "os.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../limits.h"
#include "switch.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define OS_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define OS_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define OS_TSAN 1
#endif
#if defined(OS_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(OS_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif

#if defined(__GNUC__)
#define OS_BARE \
  __attribute__((noinline, no_sanitize_address, no_sanitize_thread))
#else
#define OS_BARE
#endif

struct os_context {
  os_place place;        /* where execution stands, while it does not run */
  void (*entry)(void *); /* the function with which it starts, ... */
  void *arg;             /* ... and the argument of that */
  char *base;            /* the mapping; NULL for an adopted stack */
  size_t size;           /* the bytes of the mapping */
  char *low;             /* the lowest address of the stack, without guard */
  size_t room;           /* the bytes of the stack */
#if defined(OS_TSAN)
  void *fiber; /* ThreadSanitizer's */
#endif
#if defined(OS_ASAN)
  void *fake; /* AddressSanitizer's frames of this stack while it is left */
#endif
#if defined(VALGRIND_STACK_REGISTER)
  unsigned valgrind; /* the number under which valgrind knows the stack */
#endif
};

/* -- what the tools are told ---------------------------------------------- */

#if defined(OS_ASAN)

/* Asks AddressSanitizer for the bounds of the running stack. It tells them only
   at the end of a switch, so one is begun and ended in place. */
OS_BARE static void asan_bounds(char **low, size_t *room) {
  void *fake = NULL;
  const void *bottom = NULL;
  size_t size = 0;
  __sanitizer_start_switch_fiber(&fake, &fake, sizeof fake);
  __sanitizer_finish_switch_fiber(fake, &bottom, &size);
  __sanitizer_start_switch_fiber(&fake, bottom, size);
  __sanitizer_finish_switch_fiber(fake, NULL, NULL);
  *low = (char *)(uintptr_t)bottom;
  *room = size;
}

/* Frees the fake stack of a context that will not be continued.
   AddressSanitizer does that only when a stack is left for good, so this
   pretends to enter the stack and to leave it. */
OS_BARE static void asan_forget(os_context *c) {
  void *mine = NULL;
  const void *bottom = NULL;
  size_t size = 0;
  if (c->fake != NULL) {
    __sanitizer_start_switch_fiber(&mine, c->low, c->room);
    __sanitizer_finish_switch_fiber(c->fake, &bottom, &size);
    __sanitizer_start_switch_fiber(NULL, bottom, size);
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);
    c->fake = NULL;
  }
  __asan_unpoison_memory_region(c->low, c->room);
}

#endif

static void tools_made(os_context *c) {
#if defined(OS_TSAN)
  c->fiber = __tsan_create_fiber(0);
  __tsan_set_fiber_name(c->fiber, "casting C stack");
#endif
#if defined(OS_ASAN)
  c->fake = NULL;
  __lsan_register_root_region(c->low, c->room);
#endif
#if defined(VALGRIND_STACK_REGISTER)
  c->valgrind = VALGRIND_STACK_REGISTER(c->low, c->low + c->room);
#endif
  (void)c;
}

void os_defined(void *p, size_t size) {
#if defined(VALGRIND_MAKE_MEM_DEFINED)
  (void)VALGRIND_MAKE_MEM_DEFINED(p, size);
#endif
  (void)p;
  (void)size;
}

static void tools_adopted(os_context *c) {
#if defined(OS_TSAN)
  c->fiber = __tsan_get_current_fiber();
#endif
#if defined(OS_ASAN)
  c->fake = NULL;
  asan_bounds(&c->low, &c->room);
#endif
  (void)c;
}

/* The frames on the stack are abandoned. */
static void tools_reset(os_context *c) {
#if defined(OS_TSAN)
  __tsan_destroy_fiber(c->fiber);
  c->fiber = __tsan_create_fiber(0);
  __tsan_set_fiber_name(c->fiber, "casting C stack");
#endif
#if defined(OS_ASAN)
  asan_forget(c);
#endif
  (void)c;
}

static void tools_gone(os_context *c) {
#if defined(OS_TSAN)
  __tsan_destroy_fiber(c->fiber);
#endif
#if defined(OS_ASAN)
  asan_forget(c);
  __lsan_unregister_root_region(c->low, c->room);
#endif
#if defined(VALGRIND_STACK_REGISTER)
  VALGRIND_STACK_DEREGISTER(c->valgrind);
#endif
  (void)c;
}

/* -- switching ------------------------------------------------------------ */

/* The first code on a stack. Not instrumented, because of invariant 2. */
OS_BARE static void begin(void *arg) {
  os_context *c = arg;
#if defined(OS_ASAN)
  __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
  c->entry(c->arg);
  abort(); /* there is nothing to return to */
}

OS_BARE void os_context_switch(os_context *from, os_context *to) {
#if defined(OS_ASAN)
  __sanitizer_start_switch_fiber(&from->fake, to->low, to->room);
#endif
#if defined(OS_TSAN)
  __tsan_switch_to_fiber(to->fiber, 0);
#endif
  place_jump(&from->place, &to->place);
#if defined(OS_ASAN)
  __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
}

/* -- sizes ---------------------------------------------------------------- */

static size_t limit_of(int what) {
  struct rlimit limit;
  if (getrlimit(what, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur > SIZE_MAX)
    return SIZE_MAX;
  return (size_t)limit.rlim_cur;
}

size_t os_stack_limit(void) { return limit_of(RLIMIT_STACK); }
size_t os_space_limit(void) { return limit_of(RLIMIT_AS); }

size_t os_context_left(const os_context *c) {
#if defined(__GNUC__)
  /* Not a variable's address: a sanitizer may keep it elsewhere. */
  const char *here = __builtin_frame_address(0);
#else
  char variable;
  const char *here = &variable;
#endif
  if (c->base == NULL) return SIZE_MAX;
  return here > c->low ? (size_t)(here - c->low) : 0;
}

/* -- life ----------------------------------------------------------------- */

static size_t page_size(void) {
  long size = sysconf(_SC_PAGESIZE);
  return size > 0 ? (size_t)size : 4096;
}

/* Maps a stack with its guard (invariant 1); NULL when out of memory or of
   mappings. The system counts it as two mappings. */
static char *map_stack(size_t size, size_t guard) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
  flags |= MAP_NORESERVE;
#endif
#if defined(MAP_STACK)
  flags |= MAP_STACK;
#endif
  void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (base == MAP_FAILED) return NULL;
#if defined(MADV_NOHUGEPAGE)
  /* Otherwise the first touch of a stack may take a page of two megabytes. */
  (void)madvise(base, size, MADV_NOHUGEPAGE);
#endif
  if (mprotect(base, guard, PROT_NONE) != 0) {
    (void)munmap(base, size);
    return NULL;
  }
  return base;
}

os_context *os_context_new(size_t size, void (*entry)(void *), void *arg) {
  size_t page = page_size();
  size_t guard = (CAST_STACK_GUARD + page - 1) & ~(page - 1);
  size_t head = (sizeof(os_context) + 63) & ~(size_t)63;
  if (size > SIZE_MAX / 2) return NULL;
  if (size < CAST_CONTEXT_LEAST) size = CAST_CONTEXT_LEAST;
  size = (guard + size + head + page - 1) & ~(page - 1);
  char *base = map_stack(size, guard);
  if (base == NULL) return NULL;
  os_context *c = (void *)(base + size - head);
  c->base = base;
  c->size = size;
  c->low = base + guard;
  c->room = size - guard - head;
  c->entry = entry;
  c->arg = arg;
  place_make(&c->place, c->low, c->room, begin, c);
  tools_made(c);
  return c;
}

void os_context_reset(os_context *c, void (*entry)(void *), void *arg) {
  tools_reset(c);
  c->entry = entry;
  c->arg = arg;
  place_make(&c->place, c->low, c->room, begin, c);
}

/* What is nearer than a few pages stays, as this function and the system call
   need some. */
size_t os_context_trim(os_context *c) {
  size_t page = page_size(), left = os_context_left(c), unused;
  if (c->base == NULL) return 0;
  unused = left > CAST_STACK_NEAR ? (left - CAST_STACK_NEAR) & ~(page - 1) : 0;
#if defined(MADV_DONTNEED)
  if (unused > 0) (void)madvise(c->low, unused, MADV_DONTNEED);
#endif
  return c->room - unused;
}

os_context *os_context_adopt(void) {
  os_context *c = calloc(1, sizeof *c);
  if (c != NULL) tools_adopted(c);
  return c;
}

void os_context_free(os_context *c) {
  if (c->base == NULL) {
    free(c);
    return;
  }
  tools_gone(c);
  (void)munmap(c->base, c->size);
}
