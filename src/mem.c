/* mem.c - allocation, with accounting and injected failures in debug builds.
   SPDX-License-Identifier: MIT

   Owner: a block belongs to the caller that asked for it. The counters below
   are atomic and relaxed throughout: they are figures and switches for tests,
   and nothing is published through them. */
#include "mem.h"

#include "../include/casting.h"
#include "limits.h"
#include "os/os.h"

#include <stdlib.h>

#if CAST_DEBUG >= 1

#define UNREAD UINT64_MAX /* of `left`: the environment was not read yet */

static _Atomic int64_t live; /* (a) blocks allocated and not yet freed */
/* (a) Allocations up to the failing one, itself included; 0: none fails. */
static _Atomic uint64_t left = UNREAD;
static _Atomic uint64_t run;    /* (a) how many fail in a row from there on */
static _Atomic uint64_t mean;   /* (a) mean gap between failures; 0: no more */
static _Atomic uint64_t chance; /* (a) state of the generator of the gaps */
static _Atomic bool has_failed; /* (a) an injected failure has happened */
static _Atomic int spared;      /* (a) calls of cast_mem_spare that are on */

/* Sets what is to fail, and forgets earlier failures. */
static void fail_arm(uint64_t n, uint64_t many, uint64_t gap) {
  atomic_store_explicit(&has_failed, false, memory_order_relaxed);
  atomic_store_explicit(&run, many, memory_order_relaxed);
  atomic_store_explicit(&mean, gap, memory_order_relaxed);
  atomic_store_explicit(&left, n, memory_order_relaxed);
}

/* Draws the next gap, from 1 to twice the mean (splitmix64). */
static uint64_t draw(uint64_t gap) {
  uint64_t x = atomic_fetch_add_explicit(
    &chance, UINT64_C(0x9E3779B97F4A7C15), memory_order_relaxed);
  x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
  return 1 + (x ^ x >> 31) % (2 * gap);
}

/* Reads "n" or "n:m" from an environment variable. */
static uint64_t read_pair(const char *name, uint64_t *second) {
  const char *text = getenv(name);
  char *end;
  uint64_t n;
  if (text == NULL) return 0;
  n = strtoull(text, &end, 10);
  if (*end == ':') *second = strtoull(end + 1, NULL, 10);
  return n;
}

/* At the first allocation of the process: no other thread of casting's runs. */
static void read_environment(void) {
  uint64_t many = 1, seed = 1, n = read_pair("CASTING_FAIL_AT", &many),
           gap = read_pair("CASTING_FAIL_EVERY", &seed);
  if (gap != 0)
    cast_mem_fail_every(gap, seed);
  else
    fail_arm(n, many, 0);
}

/* The value of `left` after the allocation that fails. */
static uint64_t next_failure(void) {
  uint64_t gap = atomic_load_explicit(&mean, memory_order_relaxed);
  if (gap != 0) return draw(gap);
  return atomic_load_explicit(&run, memory_order_relaxed) > 1 ? 1 : 0;
}

/* Counts one allocation down; true when this is the one to fail. */
static bool fails_now(void) {
  uint64_t n = atomic_load_explicit(&left, memory_order_relaxed);
  do {
    if (CAST_LIKELY(n == 0)) return false;
    if (atomic_load_explicit(&spared, memory_order_relaxed) > 0) return false;
    if (CAST_UNLIKELY(n == UNREAD)) {
      read_environment();
      return fails_now();
    }
  } while (!atomic_compare_exchange_weak_explicit(&left, &n,
    n == 1 ? next_failure() : n - 1, memory_order_relaxed,
    memory_order_relaxed));
  if (n != 1) return false;
  atomic_fetch_sub_explicit(&run, 1, memory_order_relaxed);
  atomic_store_explicit(&has_failed, true, memory_order_relaxed);
  return true;
}

static void count(void) {
  atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
}

static void *counted(void *fresh) {
  if (fresh != NULL) count();
  return fresh;
}

static void uncount(void) {
  int64_t old = atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
  CAST_ASSERT(old > 0);
  CAST_UNUSED(old);
}

bool cast_mem_must_fail(void) { return fails_now(); }

void cast_mem_spare(bool on) {
  atomic_fetch_add_explicit(&spared, on ? 1 : -1, memory_order_relaxed);
}

void cast_mem_fail_at(uint64_t n) { fail_arm(n, 1, 0); }

void cast_mem_fail_from(uint64_t n) { fail_arm(n, UINT64_MAX, 0); }

void cast_mem_fail_run(uint64_t n, uint64_t many) { fail_arm(n, many, 0); }

void cast_mem_fail_every(uint64_t gap, uint64_t seed) {
  atomic_store_explicit(&chance, seed, memory_order_relaxed);
  fail_arm(gap == 0 ? 0 : draw(gap), 1, gap);
}

bool cast_mem_has_failed(void) {
  return atomic_load_explicit(&has_failed, memory_order_relaxed);
}

int64_t cast_mem_live(void) {
  return atomic_load_explicit(&live, memory_order_relaxed);
}

#else

#define fails_now() false
#define counted(fresh) (fresh)
#define count() ((void)0)
#define uncount() ((void)0)

void cast_mem_fail_at(uint64_t n) { CAST_UNUSED(n); }
void cast_mem_fail_from(uint64_t n) { CAST_UNUSED(n); }
void cast_mem_fail_run(uint64_t n, uint64_t many) {
  CAST_UNUSED(n);
  CAST_UNUSED(many);
}
void cast_mem_fail_every(uint64_t gap, uint64_t seed) {
  CAST_UNUSED(gap);
  CAST_UNUSED(seed);
}
bool cast_mem_has_failed(void) { return false; }
int64_t cast_mem_live(void) { return 0; }

#endif

/* Where memory comes from. The first two are plain fields, since they are set
   before anything is allocated, so before any thread of casting's exists. */
static struct {
  void *(*fn)(void *ud, void *ptr, size_t size); /* (i) NULL: malloc */
  void *ud;                                      /* (i) its first argument */
  _Atomic bool used; /* (a) relaxed: only to refuse a late change */
} source;

int cast_mem_allocator(
  void *(*fn)(void *ud, void *ptr, size_t size), void *ud) {
  if (atomic_load_explicit(&source.used, memory_order_relaxed))
    return CASTING_EINVAL;
  source.fn = fn;
  source.ud = ud;
  return 0;
}

/* The first use of a page costs much more than its bytes do, above all in
   virtual machines: a large block asks for few large ones. */
static void *fresh_pages(void *p, size_t size) {
  if (CAST_UNLIKELY(size >= CAST_HUGE_LEAST) && p != NULL)
    os_huge_block(p, size);
  return p;
}

static void *get(size_t size) {
  if (CAST_UNLIKELY(!atomic_load_explicit(&source.used, memory_order_relaxed)))
    atomic_store_explicit(&source.used, true, memory_order_relaxed);
  if (CAST_UNLIKELY(source.fn != NULL)) return source.fn(source.ud, NULL, size);
  return fresh_pages(malloc(size), size);
}

static void *resize(void *ptr, size_t size) {
  if (CAST_UNLIKELY(source.fn != NULL)) return source.fn(source.ud, ptr, size);
  return fresh_pages(realloc(ptr, size), size);
}

void *cast_alloc(size_t size) {
  CAST_ASSERT(size > 0);
  if (fails_now()) return NULL;
  return counted(get(size));
}

void *cast_calloc(size_t size) {
  void *p;
  CAST_ASSERT(size > 0);
  if (fails_now()) return NULL;
  /* calloc does not clear fresh pages, which are zero already. */
  if (CAST_LIKELY(source.fn == NULL &&
                  atomic_load_explicit(&source.used, memory_order_relaxed)))
    return counted(calloc(1, size));
  p = get(size);
  if (p != NULL) memset(p, 0, size);
  return counted(p);
}

void *cast_realloc(void *ptr, size_t size) {
  CAST_ASSERT(size > 0);
  if (ptr == NULL) return cast_alloc(size);
  if (fails_now()) return NULL;
  return resize(ptr, size);
}

void cast_free(void *ptr) {
  if (ptr == NULL) return;
  uncount();
  if (CAST_UNLIKELY(source.fn != NULL))
    (void)source.fn(source.ud, ptr, 0);
  else
    free(ptr);
}

/* An allocator of the host's knows no alignment, so the block is cut out of a
   larger one, whose address is stored just before it. */
static void *aligned_within(size_t align, size_t size) {
  char *raw = get(size + align + sizeof(void *)), *at;
  uintptr_t up;
  if (raw == NULL) return NULL;
  up = ((uintptr_t)raw + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1);
  at = raw + (up - (uintptr_t)raw);
  memcpy(at - sizeof raw, &raw, sizeof raw);
  return at;
}

void *cast_alloc_aligned(size_t align, size_t size, bool huge) {
  void *p;
  if (fails_now()) return NULL;
  if (CAST_UNLIKELY(source.fn != NULL))
    return counted(aligned_within(align, size));
  p = os_map(align, size);
  if (p != NULL && huge) os_huge(p, size);
  return counted(p);
}

void cast_free_aligned(void *ptr, size_t size) {
  char *raw;
  if (CAST_LIKELY(source.fn == NULL)) {
    uncount();
    os_unmap(ptr, size);
  } else {
    memcpy(&raw, (char *)ptr - sizeof raw, sizeof raw);
    cast_free(raw);
  }
}

void cast_mem_kept(void) { uncount(); }

void cast_mem_used(void) { count(); }

/* If ptr is NULL, osize is no size: Lua 5.2 and later pass the type of object.
   */
void *cast_mem_lua(void *ud, void *ptr, size_t osize, size_t nsize) {
  CAST_UNUSED(ud);
  if (nsize == 0) {
    cast_free(ptr);
    return NULL;
  }
  if (ptr == NULL) return cast_alloc(nsize);
  if (nsize > osize) return cast_realloc(ptr, nsize);
  void *smaller = resize(ptr, nsize);
  return smaller != NULL ? smaller : ptr;
}
