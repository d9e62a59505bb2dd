/* big.c - large blocks of memory, kept for a while to be used again.
   SPDX-License-Identifier: MIT

   Owner: a block in the cache belongs to the cache, any other to its user. The
   one lock is a leaf: big blocks are rare, and using one takes much longer than
   taking the lock. The invariants are in big.h.

   Kept blocks count as freed: cast_mem_live leaves them out. With
   CAST_PLAIN_MEMORY, for tools that watch malloc, no block is kept. The child
   of a fork has no cache either: a thread of the parent may have been in the
   middle of changing it. */
#include "big.h"

#include "fork.h"
#include "lock.h"

#include <stdlib.h>

#define STEPS 8u  /* sizes from one power of two to the next */
#define FIRST 16u /* log2(CAST_BIG_MIN) */
#define CLASSES (STEPS * (CAST_BIG_BITS - FIRST))

_Static_assert(CAST_BIG_MIN == 1u << FIRST, "FIRST is its logarithm");

/* A block in the cache, at its beginning. */
typedef struct kept {
  struct kept *next; /* the next one of the same size class */
} kept;

static struct {
  cast_lock lock;
  size_t bytes;        /* (lock) the bytes of all kept blocks */
  kept *free[CLASSES]; /* (lock) the kept blocks of each size class */
} cache = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

static unsigned log2_of(size_t size) {
  unsigned n = 0;
  while (size > 1) {
    size >>= 1;
    n++;
  }
  return n;
}

/* The distance between two classes of sizes with `bits` bits. It is never zero
   for big sizes, which a static checker cannot know. */
static size_t step_of(unsigned bits) {
  size_t step = ((size_t)1 << bits) / STEPS;
  return step > 0 ? step : 1;
}

size_t cast_big_round(size_t size) {
  CAST_ASSERT(cast_is_big(size));
  size_t step = step_of(log2_of(size));
  if (size > PTRDIFF_MAX - step) return size;
  return (size + step - 1) / step * step;
}

/* The index of the list for a rounded size. */
static unsigned class_of(size_t rounded) {
  unsigned bits = log2_of(rounded);
  size_t step = step_of(bits);
  return (bits - FIRST) * STEPS + (unsigned)(rounded / step) - STEPS;
}

/* Does a block of this size go into the cache when it is freed? */
static bool is_kept(size_t rounded) {
#ifdef CAST_PLAIN_MEMORY
  CAST_UNUSED(rounded);
  return false;
#else
  return rounded >> CAST_BIG_BITS == 0 && !cast_forked;
#endif
}

/* Takes a block out of list i; NULL if it is empty. */
static kept *take(unsigned i, size_t size) {
  cast_lock_take(&cache.lock);
  kept *b = cache.free[i];
  if (b != NULL) {
    cache.free[i] = b->next;
    cache.bytes -= size;
  }
  cast_lock_drop(&cache.lock);
  if (b != NULL) cast_mem_used();
  return b;
}

/* Puts a block into list i; false if the cache is full. */
static bool keep(unsigned i, size_t size, void *ptr) {
  kept *b = ptr;
  cast_lock_take(&cache.lock);
  bool room = CAST_BIG_KEPT - cache.bytes >= size;
  if (room) {
    b->next = cache.free[i];
    cache.free[i] = b;
    cache.bytes += size;
  }
  cast_lock_drop(&cache.lock);
  if (room) cast_mem_kept();
  return room;
}

void *cast_big_alloc(size_t size) {
  if (!cast_is_big(size)) return cast_alloc(size);
  size = cast_big_round(size);
  kept *b = is_kept(size) ? take(class_of(size), size) : NULL;
  if (b == NULL) return cast_alloc(size);
  if (!cast_mem_must_fail()) return b;
  cast_free(b);
  return NULL;
}

void cast_big_free(void *ptr, size_t size) {
  if (ptr == NULL) return;
  if (cast_is_big(size)) {
    size = cast_big_round(size);
    if (is_kept(size) && keep(class_of(size), size, ptr)) return;
  }
  cast_free(ptr);
}

void *cast_big_realloc(void *ptr, size_t osize, size_t nsize) {
  if (ptr == NULL) return cast_big_alloc(nsize);
  if (cast_is_big(osize)) osize = cast_big_round(osize);
  if (cast_is_big(nsize)) nsize = cast_big_round(nsize);
  if (osize == nsize) return ptr;
  return cast_realloc(ptr, nsize);
}

/* The size of the blocks in list i: the inverse of class_of. */
static size_t size_of(unsigned i) {
  return ((size_t)1 << (FIRST + i / STEPS)) / STEPS * (STEPS + i % STEPS);
}

void cast_big_flush(void) {
  kept *b;
  for (unsigned i = 0; i < CLASSES; i++)
    while ((b = take(i, size_of(i))) != NULL) cast_free(b);
}

size_t cast_big_kept(void) {
  cast_lock_take(&cache.lock);
  size_t bytes = cache.bytes;
  cast_lock_drop(&cache.lock);
  return bytes;
}
