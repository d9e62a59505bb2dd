/* slab.c - the memory of one session: small blocks cut out of slabs.
   SPDX-License-Identifier: MIT

   Owner: the runner that runs the session; no locks. See slab.h for the
   invariants.

   A slab is aligned to its size, so the address of a block gives its slab.
   Blocks of all sizes share the slabs, because a new state should need few of
   them. The price is that a slab is given back only when none of its blocks is
   used; but the memory that a program of many small objects frees is mostly
   used again by the same program. Rejected: pages with blocks of one size, as
   mimalloc has them. A state of 20 KB would need up to sixty-four pages.

   Lua relies on it that shrinking a block never fails, but a large block that
   becomes a small one needs a place in a slab. If there is no memory for that,
   the block stays where it is and becomes a *stray*: its last bytes link it
   into a list. While that list is not empty, each small block that is freed is
   looked up in it.

   With CAST_PLAIN_MEMORY, for tools that watch malloc, there are no slabs: each
   block is allocated by itself. */
#include "slab.h"

#include "big.h"
#include "region.h"

/* The beginning of a slab. */
struct cast_slab {
  void *region;    /* belongs to region.c */
  cast_slab *next; /* the next one of the state */
  uint32_t used;   /* the number of used blocks */
  uint32_t empty;  /* during a purge: it is going to be given back */
};

/* A free, returned or stray block. */
struct cast_slab_block {
  cast_slab_block *next; /* the next one in the same list */
  size_t size;           /* of a returned one: its bytes */
};

#define HEAD ((sizeof(cast_slab) + CAST_SLAB_STEP - 1) & ~(CAST_SLAB_STEP - 1))
/* The least size of a large block: behind the bytes of the largest small block
   there is room for the link of a stray. */
#define LARGE (CAST_SLAB_SMALL + sizeof(cast_slab_block))

_Static_assert(CAST_SLAB_SMALL % CAST_SLAB_STEP == 0, "sizes end evenly");

/* The index of the list of free blocks for a size. */
static inline unsigned class_of(size_t size) {
  return (unsigned)((size + CAST_SLAB_STEP - 1) / CAST_SLAB_STEP);
}

#ifdef CAST_PLAIN_MEMORY
static inline bool is_small(size_t size) { return size == 0; }
static inline size_t large(size_t size) { return size; }
#else
static inline bool is_small(size_t size) { return size <= CAST_SLAB_SMALL; }
static inline size_t large(size_t size) { return size < LARGE ? LARGE : size; }
#endif

static inline cast_slab *slab_of(const void *block) {
  return (cast_slab *)((uintptr_t)block & ~(uintptr_t)(CAST_SLAB_SIZE - 1));
}

/* Is this the slab that new blocks are cut out of? */
static inline bool is_being_cut(const cast_slabs *s, const cast_slab *slab) {
  return s->at != NULL && slab_of(s->at - 1) == slab;
}

void cast_slabs_fini(cast_slabs *s) {
  cast_slab *slab = s->all, *next;
  for (; slab != NULL; slab = next) {
    next = slab->next;
    cast_region_give(slab);
  }
  memset(s, 0, sizeof *s);
}

/* -- slabs ---------------------------------------------------------------- */

static void push_free(cast_slabs *s, unsigned size, void *block) {
  cast_slab_block *b = block;
  b->next = s->free[size];
  s->free[size] = b;
}

/* Begins to cut a new slab; the rest of the old one becomes a free block. */
static bool new_slab(cast_slabs *s) {
  cast_slab *slab = cast_region_slab(s->nslabs >= CAST_SLABS_FEW);
  if (slab == NULL) return false;
  if (s->at != NULL) {
    cast_slab *old = slab_of(s->at - 1);
    unsigned rest = class_of((size_t)(s->end - s->at));
    if (rest > 0) push_free(s, rest, s->at);
    if (old->used == 0) s->nempty++;
  }
  slab->used = 0;
  slab->empty = 0;
  slab->next = s->all;
  s->all = slab;
  s->nslabs++;
  s->at = (char *)slab + HEAD;
  s->end = (char *)slab + CAST_SLAB_SIZE;
  return true;
}

/* Gives the empty slabs back: marks them, takes their blocks out of the lists
   of free ones, then takes the slabs out of the list of all. */
static void purge(cast_slabs *s) {
  for (cast_slab *slab = s->all; slab != NULL; slab = slab->next)
    slab->empty = slab->used == 0 && !is_being_cut(s, slab);
  for (unsigned i = 1; i <= CAST_SLAB_SIZES; i++) {
    cast_slab_block **link = &s->free[i], *b;
    while ((b = *link) != NULL)
      if (slab_of(b)->empty)
        *link = b->next;
      else
        link = &b->next;
  }
  for (cast_slab **link = &s->all, *slab; (slab = *link) != NULL;) {
    if (slab->empty) {
      *link = slab->next;
      s->nslabs--;
      cast_region_give(slab);
    } else {
      link = &slab->next;
    }
  }
  s->nempty = 0;
}

/* -- strays --------------------------------------------------------------- */

/* Where the link of a stray block lies: behind its bytes. */
static cast_slab_block *link_of(void *block) {
  return (cast_slab_block *)(void *)((char *)block + CAST_SLAB_SMALL);
}

static void add_stray(cast_slabs *s, void *block) {
  cast_slab_block *link = link_of(block);
  link->next = s->stray;
  s->stray = link;
}

/* Takes the block out of the list of strays; false if it is not one. */
static bool take_stray(cast_slabs *s, void *block) {
  cast_slab_block **link = &s->stray;
  for (; *link != NULL; link = &(*link)->next) {
    if (*link != link_of(block)) continue;
    *link = (*link)->next;
    return true;
  }
  return false;
}

/* -- blocks --------------------------------------------------------------- */

/* There is no free block of class i: cuts a new one. */
static CAST_NOINLINE void *cut(cast_slabs *s, unsigned i) {
  size_t size = (size_t)i * CAST_SLAB_STEP;
  if ((size_t)(s->end - s->at) < size && !new_slab(s)) return NULL;
  char *b = s->at;
  s->at += size;
  slab_of(b)->used++;
  return b;
}

static inline void *small_alloc(cast_slabs *s, size_t size) {
  unsigned i = class_of(size);
  cast_slab_block *b = s->free[i];
  if (CAST_UNLIKELY(b == NULL)) return cut(s, i);
  s->free[i] = b->next;
  cast_slab *slab = slab_of(b);
  if (CAST_UNLIKELY(slab->used++ == 0) && !is_being_cut(s, slab)) s->nempty--;
  return b;
}

/* The last used block of a slab was freed. */
static CAST_NOINLINE void emptied(cast_slabs *s, const cast_slab *slab) {
  if (is_being_cut(s, slab)) return;
  s->nempty++;
  if (s->nempty >= CAST_SLABS_PURGE && s->nempty > s->nslabs / 2) purge(s);
}

static inline void small_free(cast_slabs *s, void *block, size_t size) {
  cast_slab *slab = slab_of(block);
  if (CAST_UNLIKELY(s->stray != NULL) && take_stray(s, block)) {
    cast_big_free(block, LARGE);
    return;
  }
  push_free(s, class_of(size), block);
  CAST_ASSERT(slab->used > 0);
  if (CAST_UNLIKELY(--slab->used == 0)) emptied(s, slab);
}

/* Owner: frees the blocks that other threads have returned. */
static void take_back(cast_slabs *s) {
  cast_slab_block *b, *next;
  /* Relaxed: a block that is returned just now is found next time. */
  if (atomic_load_explicit(&s->returned, memory_order_relaxed) == NULL) return;
  /* PAIR returned: acquire what was done with the blocks. The list is only ever
     taken as a whole, so there is no ABA problem. */
  b = atomic_exchange_explicit(&s->returned, NULL, memory_order_acquire);
  for (; b != NULL; b = next) {
    next = b->next;
    CAST_ASSERT(s->lent > 0);
    s->lent--;
    small_free(s, b, b->size);
  }
}

/* Changes the size of a block, in place or by copying it. NULL when out of
   memory, but never when it shrinks. */
static CAST_NOINLINE void *resize(
  cast_slabs *s, void *ptr, size_t osize, size_t nsize) {
  bool grows = nsize > osize;
  void *to;
  if (!is_small(osize) && !is_small(nsize)) {
    to = cast_big_realloc(ptr, large(osize), large(nsize));
    return to != NULL || grows ? to : ptr;
  }
  if (is_small(osize) && is_small(nsize) && class_of(osize) == class_of(nsize))
    return ptr;
  if (grows && cast_mem_must_fail()) return NULL;
  to = is_small(nsize) ? small_alloc(s, nsize) : cast_big_alloc(large(nsize));
  if (to == NULL) {
    if (grows) return NULL;
    /* The block stays where it is. One that was small is merely larger than its
       new size; one that was large becomes a stray. */
    if (!is_small(osize)) add_stray(s, ptr);
    return ptr;
  }
  memcpy(to, ptr, grows ? osize : nsize);
  if (is_small(osize))
    small_free(s, ptr, osize);
  else
    cast_big_free(ptr, large(osize));
  return to;
}

/* -- the allocator -------------------------------------------------------- */

/* Relaxed: the owner alone writes the figure. */
static inline void account(cast_slabs *s, size_t more, size_t less) {
  size_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
  atomic_store_explicit(&s->bytes, bytes + more - less, memory_order_relaxed);
}

/* Would the state use more than its limit? If that is a grant, it may become
   larger here. */
static bool is_over_max(cast_slabs *s, size_t osize, size_t nsize) {
  size_t wanted;
  if (nsize <= osize || s->max == 0) return false;
  wanted = cast_slabs_bytes(s) - osize + nsize;
  if (CAST_LIKELY(wanted <= s->max)) return false;
  if (s->regrant != NULL) s->regrant(s, wanted);
  return wanted > s->max;
}

/* Some bytes have become free: part of a grant may be given back. */
static inline void note_less(cast_slabs *s) {
  if (CAST_UNLIKELY(cast_slabs_bytes(s) < s->low))
    s->regrant(s, cast_slabs_bytes(s));
}

/* All cases of the allocator that cast_slabs_lua does not handle itself. */
static CAST_NOINLINE void *general(
  cast_slabs *s, void *ptr, size_t osize, size_t nsize) {
  void *p;
  if (nsize == 0) {
    account(s, 0, osize);
    if (is_small(osize))
      small_free(s, ptr, osize);
    else
      cast_big_free(ptr, large(osize));
    note_less(s);
    return NULL;
  }
  if (is_over_max(s, osize, nsize)) return NULL;
  if (ptr != NULL)
    p = resize(s, ptr, osize, nsize);
  else if (is_small(nsize))
    p = cast_mem_must_fail() ? NULL : small_alloc(s, nsize);
  else
    p = cast_big_alloc(large(nsize));
  if (p != NULL) account(s, nsize, osize);
  if (nsize < osize) note_less(s);
  return p;
}

/* Nearly all blocks are small, and a free one of their size is there. This
   function handles only such blocks, and makes no other call than the last, so
   it needs no stack frame. */
void *cast_slabs_lua(void *ud, void *ptr, size_t osize, size_t nsize) {
  cast_slabs *s = ud;
  if (nsize == 0) {
    if (ptr == NULL) return NULL;
    cast_slab *slab = slab_of(ptr);
    if (!is_small(osize) || s->stray != NULL || slab->used == 1)
      return general(s, ptr, osize, 0);
    account(s, 0, osize);
    slab->used--;
    push_free(s, class_of(osize), ptr);
    return NULL;
  }
  if (ptr != NULL) return general(s, ptr, osize, nsize);
  /* ptr is NULL: osize is the type of object, not a size. */
  if (!is_small(nsize) || s->max != 0) return general(s, NULL, 0, nsize);
  cast_slab_block *b = s->free[class_of(nsize)];
  if (b == NULL || slab_of(b)->used == 0) return general(s, NULL, 0, nsize);
  if (cast_mem_must_fail()) return NULL;
  account(s, nsize, 0);
  s->free[class_of(nsize)] = b->next;
  slab_of(b)->used++;
  return b;
}

/* -- what comes from elsewhere -------------------------------------------- */

static size_t spare(const cast_slabs *s) {
  size_t bytes = cast_slabs_bytes(s);
  if (s->max == 0) return SIZE_MAX;
  return bytes < s->max ? s->max - bytes : 0;
}

size_t cast_slabs_spare(cast_slabs *s, size_t wanted) {
  if (s->regrant != NULL && spare(s) < wanted)
    s->regrant(s, cast_slabs_bytes(s) + wanted);
  if (CAST_UNLIKELY(spare(s) < wanted) && s->reclaim != NULL) s->reclaim(s);
  return spare(s);
}

bool cast_slabs_charge(cast_slabs *s, size_t osize, size_t nsize) {
  if (nsize > osize && cast_slabs_spare(s, nsize - osize) < nsize - osize)
    return false;
  account(s, nsize, osize);
  note_less(s);
  return true;
}

void cast_slabs_close(cast_slabs *s) {
  take_back(s);
  if (s->lent == 0) {
    cast_slabs_fini(s);
    return;
  }
  if (s->at != NULL) {
    const cast_slab *slab = slab_of(s->at - 1);
    s->at = s->end = NULL;
    if (slab->used == 0) s->nempty++;
  }
  purge(s);
}

/* -- lending -------------------------------------------------------------- */

#ifdef CAST_PLAIN_MEMORY
void *cast_slabs_lend(cast_slabs *s, size_t size) {
  CAST_UNUSED(s);
  return cast_alloc(size);
}

void cast_slabs_return(cast_slabs *s, void *block, size_t size) {
  CAST_UNUSED(s);
  CAST_UNUSED(size);
  cast_free(block);
}
#else
void *cast_slabs_lend(cast_slabs *s, size_t size) {
  CAST_ASSERT(size >= sizeof(cast_slab_block) && is_small(size));
  take_back(s);
  if (cast_mem_must_fail()) return NULL;
  void *block = small_alloc(s, size);
  if (block != NULL) s->lent++;
  return block;
}

void cast_slabs_return(cast_slabs *s, void *block, size_t size) {
  cast_slab_block *b = block;
  cast_slab_block *head =
    atomic_load_explicit(&s->returned, memory_order_relaxed);
  b->size = size;
  do {
    b->next = head;
    /* PAIR returned: release what was done with the block. */
  } while (!atomic_compare_exchange_weak_explicit(
    &s->returned, &head, b, memory_order_release, memory_order_relaxed));
}
#endif
