/* slab.h - the memory of one session: small blocks cut out of slabs.
   SPDX-License-Identifier: MIT

   A Lua state makes and frees small objects by the thousand, and is run by
   one thread at a time. So its blocks of up to CAST_SLAB_SMALL bytes come out
   of slabs of its own, by size, without a header and without a lock; larger
   ones are big.h's. The state's closing gives all slabs back, and so does a
   purge when most of them are empty.

   What belongs to a session and not to its state, its tasks, is *lent* from
   the same slabs. Any thread may return it, into a list that the owner empties
   when it lends the next block.

   Invariants:
   1. A block is used, free in the list of its size, or not cut off yet.
   2. `used` of a slab counts its used blocks; nempty counts the slabs that
      have none, without the one that is being cut.
   3. bytes is what the state uses, by its own count; never more than max.
   4. lent counts blocks that are lent, or returned and still in the list. */
#ifndef CAST_SLAB_H
#define CAST_SLAB_H

#include <stdatomic.h>

#include "base.h"
#include "limits.h"

#define CAST_SLAB_SIZES (CAST_SLAB_SMALL / CAST_SLAB_STEP)

typedef struct cast_slab cast_slab;
typedef struct cast_slab_block cast_slab_block;

typedef struct cast_slabs {
  _Atomic size_t bytes; /* in use; written by the owner, for others to read:
                           hence relaxed */
  size_t max;           /* of bytes; 0: no limit */
  char *at; /* what is not cut off yet of the slab that is being cut */
  char *end;
  cast_slab *all;
  uint32_t nslabs, nempty, lent;
  cast_slab_block *stray; /* small now, but not from a slab; see slab.c */
  _Atomic(cast_slab_block *) returned; /* (a) */
  cast_slab_block *free[CAST_SLAB_SIZES + 1];
} cast_slabs;

/* All-zero is an empty one. */
void cast_slabs_fini(cast_slabs *s);
/* The same for the Lua state's part, while blocks may still be lent. */
void cast_slabs_close(cast_slabs *s);

/* Owner: a block, CAST_SLAB_SMALL bytes at most; NULL when out of memory. It
   does not count in `bytes`. */
void *cast_slabs_lend(cast_slabs *s, size_t size);
/* Any thread, before cast_slabs_fini. */
void cast_slabs_return(cast_slabs *s, void *block, size_t size);

/* What the Lua state uses; any thread. */
static inline size_t cast_slabs_bytes(const cast_slabs *s) {
  return atomic_load_explicit(&s->bytes, memory_order_relaxed);
}

/* A lua_Alloc; ud is the cast_slabs. Fails at the limit, out of memory, and
   where tests inject it; never when shrinking. */
void *cast_slabs_lua(void *ud, void *ptr, size_t osize, size_t nsize);

#endif
