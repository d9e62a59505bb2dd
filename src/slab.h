/* slab.h - the memory of one session: small blocks cut out of slabs.
   SPDX-License-Identifier: MIT

   A Lua state makes and frees small objects by the thousand, and is run by
   one thread at a time. So its blocks of up to CAST_SLAB_SMALL bytes are cut
   out of slabs that belong to the state alone: no block has a header, and no
   lock is taken. Larger blocks are allocated with big.h. All slabs are given
   back when the state closes; empty ones are, too, in a purge, when most slabs
   are empty.

   The structs of tasks belong to the session, not to its Lua state. They are
   *lent* from the same slabs. Any thread may return such a block, into a list
   that the owner empties when it lends the next one.

   Owner: the runner that runs the session, but for `returned` and `bytes`.
   Invariants:
   1. A block is used, or free in the list of its size, or not cut off yet.
   2. `used` of a slab counts its used blocks. `nempty` counts the slabs without
      any, except the one that is being cut.
   3. `bytes` is the size of the state's used blocks, and of what is charged to
      it beside them; never more than `max`, but for what is in use when that is
      lowered. `max` may be a grant, which `regrant` changes.
   4. `lent` counts the blocks that are lent, and those that were returned but
      are still in the list. */
#ifndef CAST_SLAB_H
#define CAST_SLAB_H

#include <stdatomic.h>

#include "base.h"
#include "limits.h"

#define CAST_SLAB_SIZES (CAST_SLAB_SMALL / CAST_SLAB_STEP)

typedef struct cast_slab cast_slab;
typedef struct cast_slab_block cast_slab_block;

typedef struct cast_slabs {
  _Atomic size_t bytes; /* (a) used by the state; written by the owner alone,
                           others only read the figure: hence relaxed */
  size_t max;           /* (w) limit of bytes; 0: none */
  /* (i) The limit is a grant: makes it so large that there may be `wanted`
     bytes, if that can be had; or smaller, if that is far less than it is.
     NULL: the limit is fixed. */
  void (*regrant)(struct cast_slabs *s, size_t wanted);
  size_t low; /* (w) with fewer bytes than these it is called; 0: never */
  /* (i) Looks for garbage when there are too few bytes left of `max`, and runs
     no program's code; NULL: cannot. */
  void (*reclaim)(struct cast_slabs *s);
  char *at;               /* (w) the part of the slab that is being cut ... */
  char *end;              /* (w) ... which is not cut off yet; NULL: no slab */
  cast_slab *all;         /* (w) all slabs of the state */
  uint32_t nslabs;        /* (w) the number of slabs */
  uint32_t nempty;        /* (w) see invariant 2 */
  uint32_t lent;          /* (w) see invariant 4 */
  cast_slab_block *stray; /* (w) small blocks outside of slabs; see slab.c */
  _Atomic(cast_slab_block *) returned; /* (a) lent blocks that came back */
  /* (w) Free blocks by size, in steps of CAST_SLAB_STEP bytes. */
  cast_slab_block *free[CAST_SLAB_SIZES + 1];
} cast_slabs;

/* A cast_slabs that is all zero is empty. Gives all slabs back; no block is
   used any more. */
void cast_slabs_fini(cast_slabs *s);
/* Owner: the Lua state has closed, but blocks may still be lent: gives the
   slabs back that have none. cast_slabs_fini follows later. */
void cast_slabs_close(cast_slabs *s);

/* Owner: lends a block of CAST_SLAB_SMALL bytes at most; NULL when out of
   memory. The block does not count in `bytes`. */
void *cast_slabs_lend(cast_slabs *s, size_t size);
/* Any thread, before cast_slabs_fini: gives a lent block back. */
void cast_slabs_return(cast_slabs *s, void *block, size_t size);

/* Any thread: the bytes that the Lua state uses, with what is charged to it. */
static inline size_t cast_slabs_bytes(const cast_slabs *s) {
  return atomic_load_explicit(&s->bytes, memory_order_relaxed);
}

/* Owner: memory that belongs to the session, but comes from elsewhere, is
   counted: a block that had osize bytes (0: a new one) gets nsize (0: it is
   freed). False: that would be too much, even after `reclaim`. */
bool cast_slabs_charge(cast_slabs *s, size_t osize, size_t nsize);
/* Owner: how many bytes there may be more, SIZE_MAX without a limit. If these
   are fewer than are wanted it reclaims. */
size_t cast_slabs_spare(cast_slabs *s, size_t wanted);

/* A lua_Alloc; ud is the cast_slabs. Fails at the limit, out of memory, and
   where tests inject it; never when shrinking. */
void *cast_slabs_lua(void *ud, void *ptr, size_t osize, size_t nsize);

#endif
