/* heap.h - intrusive 4-ary min-heap of deadlines.
   SPDX-License-Identifier: MIT

   Owner: the session whose deadlines it has, or the timer lock. Invariants:
   1. No entry's deadline is below its parent's, (i - 1) / 4.
   2. at[i].node->index == i + 1 for every entry; index 0 means "not in".
   The deadline is in the entry only: a task's node takes four bytes. */
#ifndef CAST_HEAP_H
#define CAST_HEAP_H

#include "base.h"

typedef struct cast_heap_node {
  uint32_t index; /* its position in the array + 1; 0: in no heap */
} cast_heap_node;

typedef struct cast_heap {
  struct cast_heap_entry {
    uint64_t deadline_ns; /* UINT64_MAX: none, but it keeps its room */
    cast_heap_node *node;
  } * at;         /* the array; NULL while room is 0 */
  uint32_t count; /* entries in use */
  uint32_t room;  /* entries allocated */
} cast_heap;

void cast_heap_init(cast_heap *h);
void cast_heap_fini(cast_heap *h); /* must be empty */
/* Makes room for one more entry, so that the next cast_heap_push cannot fail: 0
   or CASTING_ENOMEM. */
int cast_heap_reserve(cast_heap *h);
void cast_heap_push(cast_heap *h, cast_heap_node *n, uint64_t deadline_ns);
void cast_heap_remove(cast_heap *h, cast_heap_node *n); /* if it is in */
/* The node with the earliest deadline, or NULL. */
static inline cast_heap_node *cast_heap_top(const cast_heap *h) {
  return h->count == 0 ? NULL : h->at[0].node;
}
/* The deadline of n, which is in the heap. */
static inline uint64_t cast_heap_deadline(
  const cast_heap *h, const cast_heap_node *n) {
  return h->at[n->index - 1].deadline_ns;
}
/* The earliest deadline, or UINT64_MAX. */
static inline uint64_t cast_heap_next(const cast_heap *h) {
  return h->count == 0 ? UINT64_MAX : h->at[0].deadline_ns;
}
/* Does test(n) hold for an entry with a deadline (not UINT64_MAX)? */
bool cast_heap_any(const cast_heap *h, bool (*test)(cast_heap_node *n));
/* Proof walk of both invariants. */
void cast_heap_check(const cast_heap *h);

#endif
