/* memo.h - which objects a message has already, by address.
   SPDX-License-Identifier: MIT

   The memo of an encoding, as in Python's pickle: an object that is met again
   becomes a reference to its first place, so sharing and cycles are kept. It is
   also the set of tables of classes.c, which uses the keys only.

   An address is good only as long as its object lives: the encoder sees to that
   (cast_encoder_anchor).

   Entries lie in the order of their addition and keep their index. The first
   few are searched one by one, which is the fastest for most messages; then a
   hash table of indices is made. Nothing is allocated for CAST_MEMO_FEW of
   them. */
#ifndef CAST_MEMO_H
#define CAST_MEMO_H

#include "../../account.h"
#include "../../base.h"
#include "../../limits.h"

/* The last three are the encoder's own, and its business. */
typedef struct cast_memo_entry {
  const void *key; /* the object's address */
  uint32_t tag;    /* offset of its tag in the encoding */
  uint32_t seq;    /* its number in the message */
  uint32_t state;  /* how far it is written: CAST_MEMO_*, in encoder.h */
} cast_memo_entry;

typedef struct cast_memo {
  uint32_t count;           /* entries in use */
  uint32_t capacity;        /* entries that there is room for */
  uint32_t slots;           /* of the index, in use; 0: few entries, no index */
  uint32_t allocated;       /* slots that there is room for */
  uint32_t shift;           /* 64 - log2(slots), for the hash */
  uint32_t *index;          /* by hash: the entry's index + 1, or 0 */
  cast_memo_entry *entries; /* `few`, or memory of their own */
  cast_account *account;    /* (i) what lies outside of the struct is charged to
                               it; NULL: to nobody */
  cast_memo_entry few[CAST_MEMO_FEW];
} cast_memo;

void cast_memo_init(cast_memo *s, cast_account *a);
void cast_memo_fini(cast_memo *s);
/* Forgets all entries, and gives the memory back if it is much. */
void cast_memo_clear(cast_memo *s);

/* Forgets the entries from index n on: what was written of them is undone. */
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

/* Adds `key`, which is not there. NULL when out of memory, or the account has
   no room. */
static inline cast_memo_entry *cast_memo_add(cast_memo *s, const void *key) {
  if (CAST_UNLIKELY(s->count >= CAST_MEMO_FEW))
    return cast_memo_add_many(s, key);
  cast_memo_entry *e = &s->entries[s->count++];
  e->key = key;
  return e;
}

#endif
