/* block.c - the memory of messages that do not lie in their struct.
   SPDX-License-Identifier: MIT

   Owner: a kept block belongs to its runner, any other to the messages that
   refer to it. See block.h for the invariants.

   Rejected: lists that belong to the sending state. A state that only sends
   would never get a block back, and one that only receives would keep what it
   never uses; most channels go one way. */
#include "block.h"

#include "lock.h"
#include "mem.h"

/* A kept block, at its beginning. */
typedef struct cast_kept_block {
  struct cast_kept_block *next; /* the next one of the same size class */
} kept;

/* The class of a block with `whole` bytes; CAST_BLOCK_CLASSES if it is too
   large to be kept. */
static size_t class_of(size_t whole) {
  size_t i = (whole - 1) / CAST_BLOCK_STEP;
  return i < CAST_BLOCK_CLASSES ? i : CAST_BLOCK_CLASSES;
}

/* The bytes of each block of a class. */
static size_t room_of(size_t class) { return (class + 1) * CAST_BLOCK_STEP; }

/* The bytes of a block with its header and its references. */
static size_t whole_of(const cast_block *b) {
  return sizeof *b + b->nrefs * sizeof b->items[0] + b->size;
}

/* Takes a kept block, of which there is one; NULL: an injected failure. */
static cast_block *take(cast_blocks *blocks, size_t class) {
  kept *k = blocks->free[class];
  if (cast_mem_must_fail()) return NULL;
  blocks->free[class] = k->next;
  blocks->bytes -= room_of(class);
  cast_mem_used();
  return (cast_block *)(void *)k;
}

static cast_block *get(cast_blocks *blocks, size_t whole) {
  size_t class = class_of(whole);
  if (class == CAST_BLOCK_CLASSES) return cast_alloc(whole);
  if (blocks != NULL && blocks->free[class] != NULL) return take(blocks, class);
  return cast_alloc(room_of(class));
}

cast_block *cast_block_new(cast_blocks *blocks, uint32_t size, uint32_t nrefs) {
  uint64_t items = (uint64_t)nrefs * sizeof(cast_object *);
  uint64_t whole = sizeof(cast_block) + items + size;
  CAST_ASSERT(cast_lock_holds_none());
  if (whole > PTRDIFF_MAX) return NULL;
  cast_block *b = get(blocks, (size_t)whole);
  if (b == NULL) return NULL;
  atomic_init(&b->refs, 1);
  b->nrefs = nrefs;
  b->size = size;
  if (nrefs > 0) memset(b->items, 0, (size_t)items);
  return b;
}

void cast_block_free(cast_blocks *blocks, cast_block *b) {
  size_t class = class_of(whole_of(b));
  CAST_ASSERT(cast_lock_holds_none());
#ifndef CAST_PLAIN_MEMORY
  if (blocks != NULL && class < CAST_BLOCK_CLASSES &&
      blocks->bytes + room_of(class) <= CAST_BLOCKS_KEPT) {
    kept *k = (kept *)(void *)b;
    k->next = blocks->free[class];
    blocks->free[class] = k;
    blocks->bytes += room_of(class);
    cast_mem_kept();
    return;
  }
#endif
  CAST_UNUSED(blocks);
  CAST_UNUSED(class);
  cast_free(b);
}

void cast_blocks_fini(cast_blocks *blocks) {
  for (size_t i = 0; i < CAST_BLOCK_CLASSES; i++) {
    kept *k;
    while ((k = blocks->free[i]) != NULL) {
      blocks->free[i] = k->next;
      cast_mem_used();
      cast_free(k);
    }
  }
  blocks->bytes = 0;
}
