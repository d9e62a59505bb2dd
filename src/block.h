/* block.h - the memory of messages that do not lie in their struct.
   SPDX-License-Identifier: MIT

   A message that does not fit into its struct has one block, and a block
   counts the messages that share it. A runner (context.h) keeps blocks that
   became free and uses them again: a message between two sessions that it runs
   needs neither a call of the allocator nor a lock. Threads that run no
   session free them. Invariants:
   1. A small block has the room of its size class (block.c), so that it serves
      for any message of the class. It is freed with cast_free nevertheless.
   2. A runner keeps at most CAST_BLOCKS_KEPT bytes. As in big.h, kept blocks do
      not count as live, and with CAST_PLAIN_MEMORY no block is kept. */
#ifndef CAST_BLOCK_H
#define CAST_BLOCK_H

#include "limits.h"
#include "object.h"

typedef struct cast_block {
  _Atomic uint32_t refs; /* (a) the number of messages that share it */
  uint32_t nrefs;        /* (i) the number of pointers in items */
  size_t size;           /* (i) the number of payload bytes behind them */
  cast_object *items[];  /* (i) nrefs pointers, then the payload */
} cast_block;

/* The blocks that one runner keeps. All zero, it is empty. */
typedef struct cast_blocks {
  size_t bytes;                                     /* (w) of all in `free` */
  struct cast_kept_block *free[CAST_BLOCK_CLASSES]; /* (w) by size class */
} cast_blocks;

/* Returns a block with one reference and NULL pointers; NULL when out of
   memory, or when no block can be so large. `blocks` may be NULL. No lock is
   held, here and when it is freed. */
cast_block *cast_block_new(cast_blocks *blocks, uint32_t size, uint32_t nrefs);
/* Frees a block whose objects were released before, or keeps it in `blocks`,
   which may be NULL. */
void cast_block_free(cast_blocks *blocks, cast_block *b);
/* Frees all kept blocks. */
void cast_blocks_fini(cast_blocks *blocks);

#endif
