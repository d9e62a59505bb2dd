/* msg.c - messages: inline, or one counted block.
   SPDX-License-Identifier: MIT

   See msg.h for owners and invariants. */
#include "msg.h"

#include "../include/casting.h"
#include "big.h"

_Static_assert(CAST_MSG_INLINE % sizeof(cast_object *) == 0,
  "inline references fill the inline bytes evenly");
_Static_assert(sizeof(cast_msg) == 8 + CAST_MSG_INLINE,
  "a message has no padding, so all-zero bytes and copies are exact");

static bool is_inline(const cast_msg *m) {
  return cast_msg_is_inline(m->size, m->nrefs);
}

static void unref_all(cast_object **items, uint32_t n, cast_object **more) {
  for (uint32_t i = 0; i < n; i++)
    if (items[i] != NULL) cast_unref_later(items[i], more);
}

static void ref_all(cast_object *const *items, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (items[i] != NULL) cast_ref(items[i]);
}

/* Drops one message's reference to a block; frees the last one's. */
static void block_unref(
  cast_block *b, cast_object **more, cast_blocks *blocks) {
  /* PAIR block: each sharer releases its reads of the block, the last one
     acquires them all before it frees. */
  uint32_t old = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
  CAST_ASSERT(old > 0);
  if (old != 1) return;
  unref_all(b->items, b->nrefs, more);
  cast_block_free(blocks, b);
}

int cast_msg_init_from(
  cast_msg *m, uint32_t size, uint32_t nrefs, cast_blocks *blocks) {
  CAST_ASSERT(size > 0);
  memset(m, 0, sizeof *m);
  if (!cast_msg_is_inline(size, nrefs)) {
    m->u.block = cast_block_new(blocks, size, nrefs);
    if (m->u.block == NULL) return CASTING_ENOMEM;
  }
  m->size = size;
  m->nrefs = nrefs;
  return 0;
}

int cast_msg_init(cast_msg *m, uint32_t size, uint32_t nrefs) {
  return cast_msg_init_from(m, size, nrefs, NULL);
}

/* Empties *m before it drops any reference, so that an object that ends here
   never meets the message half released. */
static void drop(cast_msg *m, cast_object **more, cast_blocks *blocks) {
  if (cast_msg_is_empty(m)) return;
  cast_msg old;
  cast_msg_move(&old, m);
  if (is_inline(&old))
    unref_all(old.u.items, old.nrefs, more);
  else
    block_unref(old.u.block, more, blocks);
}

void cast_msg_drop_later(cast_msg *m, cast_object **more) {
  drop(m, more, NULL);
}

void cast_msg_drop_to(cast_msg *m, cast_blocks *blocks) {
  cast_object *more = NULL;
  drop(m, &more, blocks);
  cast_object_end_all(more);
}

void cast_msg_drop(cast_msg *m) { cast_msg_drop_to(m, NULL); }

void cast_msg_dup(cast_msg *to, const cast_msg *from) {
  CAST_ASSERT(to != from);
  *to = *from;
  if (cast_msg_is_empty(from)) return;
  if (is_inline(from)) {
    ref_all(from->u.items, from->nrefs);
  } else {
    cast_block *b = from->u.block;
    CAST_ASSERT(b->size == from->size && b->nrefs == from->nrefs);
    /* Relaxed: *from has a reference, so nothing is published. */
    uint32_t old = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    CAST_ASSERT(old > 0 && old < UINT32_MAX);
    CAST_UNUSED(old);
  }
}

int cast_msg_complete(cast_msg *m, cast_object *self) {
  cast_object **items = cast_msg_items(m);
  bool whole = true;
  for (uint32_t i = 0; i < m->nrefs; i++) whole &= items[i] != NULL;
  if (CAST_LIKELY(whole)) return 0;
  if (is_inline(m)) {
    for (uint32_t i = 0; i < m->nrefs; i++)
      if (items[i] == NULL) items[i] = cast_ref(self);
    return 0;
  }
  cast_msg from;
  cast_msg_move(&from, m);
  int rc = cast_msg_init(m, from.size, from.nrefs);
  if (rc == 0) {
    cast_object **to = cast_msg_items(m);
    for (uint32_t i = 0; i < from.nrefs; i++)
      to[i] = cast_ref(items[i] != NULL ? items[i] : self);
    memcpy(cast_msg_data(m), items + from.nrefs, from.size);
  }
  cast_msg_drop(&from);
  return rc;
}

/* The bytes of a string's memory. Never less than the struct has: its padding
   at the end may be written, too. */
static size_t whole_bytes(size_t size) {
  size_t whole = size + offsetof(cast_bytes, data) + 1;
  return whole < sizeof(cast_bytes) ? sizeof(cast_bytes) : whole;
}

static void bytes_free(cast_object *o) {
  cast_bytes *b = CAST_CONTAINER(o, cast_bytes, object);
  cast_big_free(b, whole_bytes(b->size));
}

const cast_type cast_bytes_type = {"string", bytes_free, NULL};

cast_bytes *cast_bytes_new(size_t size) {
  if (size > PTRDIFF_MAX - sizeof(cast_bytes)) return NULL;
  cast_bytes *b = cast_big_alloc(whole_bytes(size));
  if (b == NULL) return NULL;
  cast_object_init(&b->object, &cast_bytes_type);
  b->size = size;
  b->data[size] = '\0';
  return b;
}
