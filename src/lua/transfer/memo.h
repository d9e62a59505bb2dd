/* memo.h - which objects a message has already, by address.
   SPDX-License-Identifier: MIT

   Entries lie in the order of their addition and keep their index. The first
   few are searched one by one; then a hash of indices is made. Nothing is
   allocated before the first addition beyond the entries inside. */
#ifndef CAST_MEMO_H
#define CAST_MEMO_H

#include "../../base.h"

#define CAST_SEEN_FEW 8u

typedef struct cast_seen_entry {
  const void *key;
  uint32_t tag;   /* where the object's tag lies in the encoding */
  uint32_t seq;   /* its number */
  uint32_t state; /* encode.c's */
} cast_seen_entry;

typedef struct cast_seen {
  uint32_t count;
  uint32_t capacity;  /* of entries */
  uint32_t slots;     /* of index in use; 0: few entries, no index */
  uint32_t allocated; /* of index */
  uint32_t shift;     /* 64 - log2(slots) */
  uint32_t *index;    /* entry + 1, or 0 */
  cast_seen_entry *entries;
  cast_seen_entry few[CAST_SEEN_FEW];
} cast_seen;

void cast_seen_init(cast_seen *s);
void cast_seen_fini(cast_seen *s);
/* Forgets all entries, and gives much memory back. */
void cast_seen_clear(cast_seen *s);

/* Forgets the entries from index n on. */
void cast_seen_cut(cast_seen *s, uint32_t n);

/* In memo.c: the search once there is an index. */
cast_seen_entry *cast_seen_look(const cast_seen *s, const void *key);

/* The entry of `key`, or NULL. Valid until the next addition. */
static inline cast_seen_entry *cast_seen_find(
  const cast_seen *s, const void *key) {
  if (s->slots > 0) return cast_seen_look(s, key);
  for (uint32_t i = 0; i < s->count; i++)
    if (s->entries[i].key == key) return &s->entries[i];
  return NULL;
}

/* In memo.c: the addition to more than a few. */
cast_seen_entry *cast_seen_add_many(cast_seen *s, const void *key);

/* Adds `key`, which is not there. NULL when out of memory. */
static inline cast_seen_entry *cast_seen_add(cast_seen *s, const void *key) {
  if (CAST_UNLIKELY(s->count >= CAST_SEEN_FEW))
    return cast_seen_add_many(s, key);
  cast_seen_entry *e = &s->entries[s->count++];
  e->key = key;
  return e;
}

#endif
