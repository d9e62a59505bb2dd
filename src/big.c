/* big.c - large blocks of memory, kept for a while to be used again.
   SPDX-License-Identifier: MIT

   Owner: a block in the cache is the cache's, else its user's. The one lock
   is a leaf: big blocks are rare, and what is done with one takes longer.

   Kept blocks are as good as freed: cast_mem_live does not count them. With
   CAST_PLAIN_MEMORY, for tools that watch malloc, none is kept. */
#include "big.h"

#include "lock.h"

#include <stdlib.h>

#define STEPS 8u  /* sizes from one power of two to the next */
#define FIRST 16u /* log2(CAST_BIG_MIN) */
#define CLASSES (STEPS * (CAST_BIG_BITS - FIRST))

_Static_assert(CAST_BIG_MIN == 1u << FIRST, "FIRST is its logarithm");

typedef struct kept {
  struct kept *next;
} kept;

static struct {
  cast_lock lock;
  size_t bytes;        /* (c) kept */
  kept *free[CLASSES]; /* (c) */
} cache = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

static unsigned log2_of(size_t size) {
  unsigned n = 0;
  while (size > 1) {
    size >>= 1;
    n++;
  }
  return n;
}

size_t cast_big_round(size_t size) {
  CAST_ASSERT(cast_big(size));
  size_t step = ((size_t)1 << log2_of(size)) / STEPS;
  if (size > PTRDIFF_MAX - step) return size;
  return (size + step - 1) / step * step;
}

/* The list for a rounded size; CLASSES: it is not kept. */
static unsigned class_of(size_t rounded) {
  unsigned bits = log2_of(rounded);
#ifdef CAST_PLAIN_MEMORY
  bits = CAST_BIG_BITS;
#endif
  if (bits >= CAST_BIG_BITS) return CLASSES;
  size_t step = ((size_t)1 << bits) / STEPS;
  return (bits - FIRST) * STEPS + (unsigned)(rounded / step) - STEPS;
}

static void *fresh(size_t size) {
  if (size == CAST_BIG_MIN) return cast_alloc_aligned(CAST_BIG_MIN, size);
  return cast_alloc(size);
}

static bool is_aligned(const void *ptr) {
  return ((uintptr_t)ptr & (CAST_BIG_MIN - 1)) == 0;
}

void *cast_big_alloc(size_t size) {
  if (!cast_big(size)) return cast_alloc(size);
  size = cast_big_round(size);
  unsigned i = class_of(size);
  if (i == CLASSES) return fresh(size);
  cast_lock_take(&cache.lock);
  kept *b = cache.free[i];
  if (b != NULL) {
    cache.free[i] = b->next;
    cache.bytes -= size;
  }
  cast_lock_drop(&cache.lock);
  return b != NULL ? cast_mem_reuse(b) : fresh(size);
}

void cast_big_free(void *ptr, size_t size) {
  if (ptr == NULL) return;
  if (!cast_big(size)) {
    cast_free(ptr);
    return;
  }
  size = cast_big_round(size);
  unsigned i = class_of(size);
  kept *b = ptr;
  bool keep = false;
  if (i != CLASSES && (i > 0 || is_aligned(ptr))) {
    cast_lock_take(&cache.lock);
    keep = CAST_BIG_KEPT - cache.bytes >= size;
    if (keep) {
      b->next = cache.free[i];
      cache.free[i] = b;
      cache.bytes += size;
    }
    cast_lock_drop(&cache.lock);
  }
  if (keep)
    cast_mem_unused();
  else
    cast_free(ptr);
}

void *cast_big_realloc(void *ptr, size_t osize, size_t nsize) {
  if (ptr == NULL) return cast_big_alloc(nsize);
  if (cast_big(osize)) osize = cast_big_round(osize);
  if (cast_big(nsize)) nsize = cast_big_round(nsize);
  if (osize == nsize) return ptr;
  return cast_realloc(ptr, nsize);
}

void cast_big_flush(void) {
  for (unsigned i = 0; i < CLASSES; i++) {
    cast_lock_take(&cache.lock);
    kept *b = cache.free[i], *next;
    cache.free[i] = NULL;
    for (kept *k = b; k != NULL; k = k->next)
      cache.bytes -=
        ((size_t)1 << (FIRST + i / STEPS)) / STEPS * (STEPS + i % STEPS);
    cast_lock_drop(&cache.lock);
    for (; b != NULL; b = next) {
      next = b->next;
      free(b); /* not counted as live */
    }
  }
}

size_t cast_big_kept(void) {
  cast_lock_take(&cache.lock);
  size_t bytes = cache.bytes;
  cast_lock_drop(&cache.lock);
  return bytes;
}
