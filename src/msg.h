/* msg.h - a message: a flat, owned run of bytes plus counted references.
   SPDX-License-Identifier: MIT

   The runtime moves messages and never looks inside; the binding writes and
   reads them (lua/transfer). A message is a plain struct: copying its bytes
   moves it, and the old copy must then be forgotten or zeroed. It has `nrefs`
   object pointers, followed by `size` bytes. If these need at most
   CAST_MSG_INLINE bytes together, they lie in the struct itself; else they lie
   in one counted, immutable block that several messages may share (broadcast).

   Owner: the waiter, the ring of a channel, or the local variable that has it.
   Invariants:
   1. size == 0 means "no message". A message that is all zero is such a one.
   2. Each of the nrefs pointers owns one reference: of the message if it is
      inline, of the block if it is not.
   3. A block is written only before the first message with it is handed on. */
#ifndef CAST_MSG_H
#define CAST_MSG_H

#include "block.h"

typedef struct cast_msg {
  uint32_t size;  /* the bytes of the payload; 0: no message */
  uint32_t nrefs; /* the pointers in front of it */
  union {
    unsigned char bytes[CAST_MSG_INLINE]; /* inline: all of it */
    uint64_t word; /* inline, without pointers: see cast_msg_move */
    cast_object *items[CAST_MSG_INLINE / sizeof(cast_object *)]; /* inline */
    cast_block *block; /* not inline */
    void *many; /* size == 0: what a waiter has to send in its place (chan.h) */
  } u;
} cast_msg;

static inline bool cast_msg_is_empty(const cast_msg *m) { return m->size == 0; }

/* Does a message of this size lie in its struct? */
static inline bool cast_msg_is_inline(uint32_t size, uint32_t nrefs) {
  return (uint64_t)size + (uint64_t)nrefs * sizeof(cast_object *) <=
         CAST_MSG_INLINE;
}

/* Makes room for `size` (> 0) payload bytes and `nrefs` pointers. The caller
   then fills cast_msg_items (each pointer with a reference of its own) and
   cast_msg_data. The pointers are NULL at first, and NULL is skipped by drop
   and dup, so a message that is filled in part may be dropped. The former
   content of *m is forgotten. 0 or CASTING_ENOMEM (then *m is empty). */
int cast_msg_init(cast_msg *m, uint32_t size, uint32_t nrefs);
/* Drops all references and empties *m, which may be empty already. */
void cast_msg_drop(cast_msg *m);
/* The same two with the blocks that a runner keeps; NULL: no runner. */
int cast_msg_init_from(
  cast_msg *m, uint32_t size, uint32_t nrefs, cast_blocks *blocks);
void cast_msg_drop_to(cast_msg *m, cast_blocks *blocks);
/* cast_msg_drop for a type's release (object.h). */
void cast_msg_drop_later(cast_msg *m, cast_object **more);
/* Makes *to another message with the same content, with references of its own.
   Never allocates, so it cannot fail. */
void cast_msg_dup(cast_msg *to, const cast_msg *from);
/* *m was made by cast_msg_dup of the results of a task, which may contain a
   handle of that task: a NULL pointer stands for it, so that the task does not
   refer to itself. Here it becomes a reference to `self`. That may take a copy
   of the whole message, so no lock is held. 0 or CASTING_ENOMEM (then *m is
   empty). */
int cast_msg_complete(cast_msg *m, cast_object *self);

/* The pointers of a message; and the bytes behind them. */
static inline cast_object **cast_msg_items(cast_msg *m) {
  return cast_msg_is_inline(m->size, m->nrefs) ? m->u.items : m->u.block->items;
}
static inline unsigned char *cast_msg_data(cast_msg *m) {
  return (unsigned char *)(cast_msg_items(m) + m->nrefs);
}
/* Moves a message; *from becomes empty. Most messages are short and were
   written just before. Reading them word by word, as they were written,
   forwards them from the processor's store buffer; a wider read would have to
   wait until the writes have reached the cache. */
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

/* A string that all messages and states with a reference to it share. */
typedef struct cast_bytes {
  cast_object object; /* must be first */
  size_t size;        /* (i) bytes without the '\0' */
  char data[];        /* (i) once shared: size bytes and a '\0' */
} cast_bytes;

extern const cast_type cast_bytes_type;
/* Returns a string with undefined content; NULL when out of memory. */
cast_bytes *cast_bytes_new(size_t size);

#endif
