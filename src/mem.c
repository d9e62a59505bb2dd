/* mem.c - allocation, with accounting and injected failures in debug builds.
   SPDX-License-Identifier: MIT

   Owner: a block belongs to whoever asked for it. The counters below are
   atomic and relaxed throughout: they are figures and a switch for tests,
   nothing is published through them. */
#include "mem.h"

#include "../include/casting.h"
#include "os/os.h"

#include <stdlib.h>

#if CAST_DEBUG >= 1

static _Atomic int64_t live;    /* (a) blocks allocated and not yet freed */
static _Atomic uint64_t left;   /* (a) allocations to the failing one; 0 off */
static _Atomic bool sticky;     /* (a) the failing one stays the next one */
static _Atomic bool has_failed; /* (a) */
static _Atomic int spared;      /* (a) who wants no failures */

static void fail_arm(uint64_t n, bool stay) {
  atomic_store_explicit(&has_failed, false, memory_order_relaxed);
  atomic_store_explicit(&sticky, stay, memory_order_relaxed);
  atomic_store_explicit(&left, n, memory_order_relaxed);
}

/* Counts one allocation down; true when this is the one to fail. */
static bool fails_now(void) {
  uint64_t n = atomic_load_explicit(&left, memory_order_relaxed);
  bool stay;
  do {
    if (CAST_LIKELY(n == 0)) return false;
    if (atomic_load_explicit(&spared, memory_order_relaxed) > 0) return false;
    stay = n == 1 && atomic_load_explicit(&sticky, memory_order_relaxed);
  } while (!stay && !atomic_compare_exchange_weak_explicit(&left, &n, n - 1,
                      memory_order_relaxed, memory_order_relaxed));
  if (n != 1) return false;
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

bool cast_mem_fails(void) { return fails_now(); }

void cast_mem_spare(bool on) {
  atomic_fetch_add_explicit(&spared, on ? 1 : -1, memory_order_relaxed);
}

void cast_mem_fail_at(uint64_t n) { fail_arm(n, false); }

void cast_mem_fail_from(uint64_t n) { fail_arm(n, true); }

bool cast_mem_failed(void) {
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
bool cast_mem_failed(void) { return false; }
int64_t cast_mem_live(void) { return 0; }

#endif

/* Where memory comes from. Plain fields: set before anything is allocated, so
   before any other thread of ours exists. */
static struct {
  void *(*fn)(void *ud, void *ptr, size_t size); /* NULL: malloc */
  void *ud;
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

static void *get(size_t size) {
  if (CAST_UNLIKELY(!atomic_load_explicit(&source.used, memory_order_relaxed)))
    atomic_store_explicit(&source.used, true, memory_order_relaxed);
  if (CAST_UNLIKELY(source.fn != NULL)) return source.fn(source.ud, NULL, size);
  return malloc(size);
}

static void *resize(void *ptr, size_t size) {
  if (CAST_UNLIKELY(source.fn != NULL)) return source.fn(source.ud, ptr, size);
  return realloc(ptr, size);
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
  /* calloc knows fresh pages, which are zero already. */
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

/* A host's allocator knows no alignment: before the block lies where what was
   allocated begins. */
static void *aligned_within(size_t align, size_t size) {
  char *raw = get(size + align + sizeof(void *)), *at;
  uintptr_t up;
  if (raw == NULL) return NULL;
  up = ((uintptr_t)raw + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1);
  at = raw + (up - (uintptr_t)raw);
  memcpy(at - sizeof raw, &raw, sizeof raw);
  return at;
}

void *cast_alloc_aligned(size_t align, size_t size) {
  if (fails_now()) return NULL;
  if (CAST_UNLIKELY(source.fn != NULL))
    return counted(aligned_within(align, size));
  return counted(os_map(align, size));
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

/* With ptr NULL, osize is no size: newer Lua versions pass a type tag. */
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
