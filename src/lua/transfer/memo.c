/* memo.c - the memo of a message: objects by address, in order of addition.
   SPDX-License-Identifier: MIT

   Open addressing over indices, with linear probing, so that growth moves four
   bytes an entry and indices stay valid. Entries are never removed but from the
   end (cut), so there are no tombstones: the index is made anew then.

   Owner: the encoder, or the packer, that holds it.

   1. With more than CAST_MEMO_FEW entries slots is a power of two, at least
      twice their number, so a probe always ends. If slots is not 0 each entry
      is in index. */
#include "memo.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"

/* What was allocated, beside the struct. */
static size_t bytes_of(const cast_memo *s) {
  size_t bytes = s->allocated * sizeof s->index[0];
  if (s->entries != s->few) bytes += s->capacity * sizeof s->entries[0];
  return bytes;
}

static void empty(cast_memo *s) {
  s->count = 0;
  s->capacity = CAST_MEMO_FEW;
  s->slots = 0;
  s->allocated = 0;
  s->shift = 0;
  s->index = NULL;
  s->entries = s->few;
}

void cast_memo_init(cast_memo *s, cast_account *a) {
  empty(s);
  s->account = a;
}

void cast_memo_fini(cast_memo *s) {
  cast_account_give(s->account, CAST_BYTES, bytes_of(s));
  cast_free(s->index);
  if (s->entries != s->few) cast_free(s->entries);
  empty(s);
}

void cast_memo_clear(cast_memo *s) {
  if (s->capacity > CAST_MEMO_KEPT) cast_memo_fini(s);
  s->count = 0;
  s->slots = 0;
}

/* Fibonacci hashing; the low bits of an address are the same in all. */
static uint32_t slot_of(const cast_memo *s, const void *key) {
  uint64_t h = ((uint64_t)(uintptr_t)key >> 3) * UINT64_C(0x9e3779b97f4a7c15);
  return (uint32_t)(h >> s->shift);
}

cast_memo_entry *cast_memo_look(const cast_memo *s, const void *key) {
  uint32_t mask = s->slots - 1;
  for (uint32_t i = slot_of(s, key); s->index[i] != 0; i = (i + 1) & mask) {
    cast_memo_entry *e = &s->entries[s->index[i] - 1];
    if (e->key == key) return e;
  }
  return NULL;
}

/* Puts the entry into the index, which has room for it. */
static void place(cast_memo *s, uint32_t entry) {
  uint32_t mask = s->slots - 1;
  uint32_t i = slot_of(s, s->entries[entry].key);
  while (s->index[i] != 0) i = (i + 1) & mask;
  s->index[i] = entry + 1;
}

void cast_memo_cut(cast_memo *s, uint32_t n) {
  CAST_ASSERT(n <= s->count);
  s->count = n;
  if (s->slots == 0) return;
  memset(s->index, 0, s->slots * sizeof s->index[0]);
  for (uint32_t i = 0; i < n; i++) place(s, i);
}

/* Makes the index anew, twice as large; in memory that an earlier message has
   left, if that is enough. False, and all as it was: no memory. */
static bool grow_index(cast_memo *s) {
  uint32_t slots = s->slots == 0 ? 4 * CAST_MEMO_FEW : 2 * s->slots;
  if (slots > s->allocated) {
    size_t more = (slots - s->allocated) * sizeof s->index[0];
    uint32_t *index;
    if (!cast_account_take(s->account, CAST_BYTES, more)) return false;
    index = cast_alloc(slots * sizeof index[0]);
    if (index == NULL) {
      cast_account_give(s->account, CAST_BYTES, more);
      return false;
    }
    cast_free(s->index);
    s->index = index;
    s->allocated = slots;
  }
  memset(s->index, 0, slots * sizeof s->index[0]);
  s->slots = slots;
  s->shift = 64;
  for (uint32_t n = slots; n > 1; n >>= 1) s->shift--;
  for (uint32_t i = 0; i < s->count; i++) place(s, i);
  return true;
}

/* Likewise, for the entries. The limit keeps 2 * (count + 1) in 32 bits. */
static bool grow_entries(cast_memo *s) {
  if (s->capacity > UINT32_MAX / 8) return false;
  cast_memo_entry *old = s->entries == s->few ? NULL : s->entries, *more;
  size_t had = old == NULL ? 0 : s->capacity * sizeof more[0];
  size_t bytes = 2 * (size_t)s->capacity * sizeof more[0];
  if (!cast_account_take(s->account, CAST_BYTES, bytes - had)) return false;
  more = cast_realloc(old, bytes);
  if (more == NULL) {
    cast_account_give(s->account, CAST_BYTES, bytes - had);
    return false;
  }
  if (old == NULL) memcpy(more, s->few, sizeof s->few);
  s->entries = more;
  s->capacity *= 2;
  return true;
}

cast_memo_entry *cast_memo_add_many(cast_memo *s, const void *key) {
  CAST_ASSERT(cast_memo_find(s, key) == NULL);
  if (s->count == s->capacity && !grow_entries(s)) return NULL;
  if (s->count >= CAST_MEMO_FEW && s->slots < 2 * (s->count + 1) &&
      !grow_index(s))
    return NULL;
  uint32_t i = s->count++;
  s->entries[i].key = key;
  if (s->slots > 0) place(s, i);
  return &s->entries[i];
}
