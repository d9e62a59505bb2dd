/* memo.h - which objects a message has already, by address.
   SPDX-License-Identifier: MIT

   Entries lie in the order of their addition and keep their index. The first
   few are searched one by one; then a hash of indices is made. Nothing is
   allocated before the first addition beyond the entries inside. */
#ifndef CAST_MEMO_H
#define CAST_MEMO_H

#include "../../base.h"

#define CAST_MEMO_FEW 8u

typedef struct cast_memo_entry {
  const void *key;
  uint32_t tag;   /* where the object's tag lies in the encoding */
  uint32_t seq;   /* its number */
  uint32_t state; /* encode.c's */
} cast_memo_entry;

typedef struct cast_memo {
  uint32_t count;
  uint32_t capacity;  /* of entries */
  uint32_t slots;     /* of index in use; 0: few entries, no index */
  uint32_t allocated; /* of index */
  uint32_t shift;     /* 64 - log2(slots) */
  uint32_t *index;    /* entry + 1, or 0 */
  cast_memo_entry *entries;
  cast_memo_entry few[CAST_MEMO_FEW];
} cast_memo;

void cast_memo_init(cast_memo *s);
void cast_memo_fini(cast_memo *s);
/* Forgets all entries, and gives much memory back. */
void cast_memo_clear(cast_memo *s);

/* Forgets the entries from index n on. */
void cast_memo_cut(cast_memo *s, uint32_t n);

/* In memo.c: the search once there is an index. */
cast_memo_entry *cast_memo_look(const cast_memo *s, const void *key);

/* The entry of `key`, or NULL. Valid until the next addition. */
static inline cast_memo_entry *cast_memo_find(
  const cast_memo *s, const void *key) {
  if (s->slots > 0) return cast_memo_look(s, key);
  for (uint32_t i = 0; i < s->count; i++)
    if (s->entries[i].key == key) return &s->entries[i];
  return NULL;
}

/* In memo.c: the addition to more than a few. */
cast_memo_entry *cast_memo_add_many(cast_memo *s, const void *key);

/* Adds `key`, which is not there. NULL when out of memory. */
static inline cast_memo_entry *cast_memo_add(cast_memo *s, const void *key) {
  if (CAST_UNLIKELY(s->count >= CAST_MEMO_FEW))
    return cast_memo_add_many(s, key);
  cast_memo_entry *e = &s->entries[s->count++];
  e->key = key;
  return e;
}

#endif
