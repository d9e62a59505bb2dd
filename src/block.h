/* block.h - the memory of messages that do not lie in their struct.
   SPDX-License-Identifier: MIT

   One block for each message, counted by those that share it. Who runs
   sessions (a runner, context.h) keeps those that became free, to use them
   again: a message that goes from one of its sessions to another costs no
   call of the allocator, and takes no lock. Others give them back.

   1. A small block has all the room of its class (room_of), so it serves for
      any message of that class. It is freed with cast_free all the same.
   2. Kept are at most CAST_BLOCKS_KEPT bytes. As in big.h, what is kept does
      not count as live; with CAST_PLAIN_MEMORY nothing is. */
#ifndef CAST_BLOCK_H
#define CAST_BLOCK_H

#include "limits.h"
#include "object.h"

typedef struct cast_block {
  _Atomic uint32_t refs; /* (a) messages that share it */
  uint32_t nrefs;        /* (i) */
  size_t size;           /* (i) payload bytes behind the references */
  cast_object *items[];  /* (i) nrefs pointers, then the payload */
} cast_block;

/* A runner's; used by who runs its session. All zero: none is kept. */
typedef struct cast_blocks {
  size_t bytes;                                     /* (w) */
  struct cast_kept_block *free[CAST_BLOCK_CLASSES]; /* (w) */
} cast_blocks;

/* A block with one reference, the pointers NULL; NULL when out of memory, or
   when it cannot be so large. `blocks` may be NULL. */
cast_block *cast_block_new(cast_blocks *blocks, uint32_t size, uint32_t nrefs);
/* Frees it; its objects are no longer there. `blocks` may be NULL. */
void cast_block_free(cast_blocks *blocks, cast_block *b);
/* Gives back all that is kept. */
void cast_blocks_fini(cast_blocks *blocks);

#endif
