/* msg.h - a message: a flat, owned run of bytes plus counted references.
   SPDX-License-Identifier: MIT

   The runtime moves messages and never looks inside; src/lua/pack.c writes and
   reads them. A message is a plain struct: copying the bytes moves it (the old
   place must then be forgotten or zeroed). It holds `nrefs` object pointers,
   then `size` bytes; together at most CAST_MSG_INLINE bytes they lie in the
   struct itself, else in one counted, immutable block that several messages
   may share (broadcast).

   Invariants:
   1. size == 0 means "no message"; all-zero bytes are such a one.
   2. Each of the nrefs pointers owns one reference: of the message when
      inline, of the block when not.
   3. A block is written only before its first cast_msg is handed on. */
#ifndef CAST_MSG_H
#define CAST_MSG_H

#include "block.h"

typedef struct cast_msg {
  uint32_t size;
  uint32_t nrefs;
  union {
    unsigned char bytes[CAST_MSG_INLINE];
    uint64_t word; /* of short ones, see cast_msg_move */
    cast_object *items[CAST_MSG_INLINE / sizeof(cast_object *)];
    cast_block *block;
  } u;
} cast_msg;

static inline bool cast_msg_is_empty(const cast_msg *m) { return m->size == 0; }

static inline bool cast_msg_is_inline(uint32_t size, uint32_t nrefs) {
  return (uint64_t)size + (uint64_t)nrefs * sizeof(cast_object *) <=
         CAST_MSG_INLINE;
}

/* Makes room for `size` (> 0) payload bytes and `nrefs` references. The
   caller then fills cast_msg_items (each pointer with one reference of its
   own) and cast_msg_data. The pointers start as NULL and a NULL is skipped by
   drop and dup, so a half filled message may be dropped. What *m held before
   is forgotten. 0 or CASTING_ENOMEM (then *m is empty). */
int cast_msg_init(cast_msg *m, uint32_t size, uint32_t nrefs);
/* Releases everything and empties *m; an empty one is fine. */
void cast_msg_drop(cast_msg *m);
/* The same two with the blocks that the runner keeps; NULL: there is none. */
int cast_msg_init_from(
  cast_msg *m, uint32_t size, uint32_t nrefs, cast_blocks *blocks);
void cast_msg_drop_to(cast_msg *m, cast_blocks *blocks);
/* The same from a type's release (object.h). */
void cast_msg_drop_later(cast_msg *m, cast_object **more);
/* Makes *to another message with the same content (references counted).
   Never allocates, so it cannot fail. */
void cast_msg_dup(cast_msg *to, const cast_msg *from);

/* The same for the results of a task: in a message with NULL pointers these
   become references to `self`. 0 or CASTING_ENOMEM (then *to is empty). */
int cast_msg_dup_of(cast_msg *to, const cast_msg *from, cast_object *self);

static inline cast_object **cast_msg_items(cast_msg *m) {
  return cast_msg_is_inline(m->size, m->nrefs) ? m->u.items : m->u.block->items;
}
static inline unsigned char *cast_msg_data(cast_msg *m) {
  return (unsigned char *)(cast_msg_items(m) + m->nrefs);
}
/* Moves: *from becomes empty. Most messages are short, and were written a
   moment ago: read word by word as they were written, they come out of the
   processor's store buffer (a wider read waits until the writes are done). */
static inline void cast_msg_move(cast_msg *to, cast_msg *from) {
  to->size = from->size;
  to->nrefs = from->nrefs;
  if (CAST_LIKELY(from->size <= sizeof from->u.word && from->nrefs == 0))
    to->u.word = from->u.word;
  else
    to->u = from->u;
  from->size = 0;
  from->nrefs = 0;
}

/* A string shared by every message and state that holds it. */
typedef struct cast_bytes {
  cast_object object;
  size_t size; /* (i) */
  char data[]; /* (i) once shared: size bytes and a '\0' */
} cast_bytes;

extern const cast_type cast_bytes_type;
/* Undefined content; NULL when out of memory. */
cast_bytes *cast_bytes_new(size_t size);

#endif
