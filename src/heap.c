/* heap.c - 4-ary min-heap: shallow, and children share a cache line.
   SPDX-License-Identifier: MIT

   Owner and invariants: see heap.h. The array holds the deadlines themselves,
   so sifting reads nothing else. Equal deadlines come out in any order.
   Rejected: a pairing heap, which needs no array, but four pointers per timer
   and a cache miss per comparison. */
#include "heap.h"

#include "../include/casting.h"
#include "limits.h"
#include "mem.h"

#define ARITY 4u

typedef struct cast_heap_entry entry;

#if CAST_DEBUG >= 2
static void walk(const cast_heap *h) {
  if (h->count <= CAST_HEAP_WALK_MAX) cast_heap_check(h);
}
#endif

void cast_heap_init(cast_heap *h) {
  h->at = NULL;
  h->count = 0;
  h->room = 0;
}

void cast_heap_fini(cast_heap *h) {
  CAST_ASSERT(h->count == 0);
  cast_free(h->at);
  cast_heap_init(h);
}

int cast_heap_reserve(cast_heap *h) {
  CAST_ASSERT(h->count <= h->room);
  if (h->count < h->room) return 0;
  if (h->room > UINT32_MAX / 2) return CASTING_ENOMEM;
  uint32_t room = h->room == 0 ? CAST_HEAP_FIRST : h->room * 2;
  uint64_t size = (uint64_t)room * sizeof(entry);
  if (size > PTRDIFF_MAX) return CASTING_ENOMEM;
  entry *at = cast_realloc(h->at, (size_t)size);
  if (at == NULL) return CASTING_ENOMEM;
  h->at = at;
  h->room = room;
  return 0;
}

/* Stores e at position i, and the position in its node. */
static inline void put(cast_heap *h, uint32_t i, entry e) {
  h->at[i] = e;
  e.node->index = i + 1;
}

/* Moves the hole at i towards the root until e fits into it. */
static void sift_up(cast_heap *h, uint32_t i, entry e) {
  while (i > 0) {
    uint32_t parent = (i - 1) / ARITY;
    if (h->at[parent].deadline_ns <= e.deadline_ns) break;
    put(h, i, h->at[parent]);
    i = parent;
  }
  put(h, i, e);
}

/* The child of i with the earliest deadline, or 0 if it has none. */
static uint32_t first_child(const cast_heap *h, uint32_t i) {
  uint64_t child = (uint64_t)i * ARITY + 1;
  if (child >= h->count) return 0;
  uint64_t end = child + ARITY < h->count ? child + ARITY : h->count;
  uint32_t least = (uint32_t)child;
  for (uint32_t c = least + 1; c < end; c++)
    if (h->at[c].deadline_ns < h->at[least].deadline_ns) least = c;
  return least;
}

/* Moves the hole at i towards the leaves until e fits into it. */
static void sift_down(cast_heap *h, uint32_t i, entry e) {
  for (;;) {
    uint32_t child = first_child(h, i);
    if (child == 0 || e.deadline_ns <= h->at[child].deadline_ns) break;
    put(h, i, h->at[child]);
    i = child;
  }
  put(h, i, e);
}

void cast_heap_push(cast_heap *h, cast_heap_node *n, uint64_t deadline_ns) {
  CAST_ASSERT(n->index == 0);
  CAST_ALWAYS(h->count < h->room);
  sift_up(h, h->count++, (entry){deadline_ns, n});
  CAST_CHECK(walk(h));
}

void cast_heap_remove(cast_heap *h, cast_heap_node *n) {
  if (n->index == 0) return;
  uint32_t i = n->index - 1;
  CAST_ALWAYS(i < h->count && h->at[i].node == n);
  entry last = h->at[--h->count];
  n->index = 0;
  if (last.node != n) {
    if (i > 0 && last.deadline_ns < h->at[(i - 1) / ARITY].deadline_ns)
      sift_up(h, i, last);
    else
      sift_down(h, i, last);
  }
  CAST_CHECK(walk(h));
}

void cast_heap_check(const cast_heap *h) {
  CAST_ALWAYS(h->count <= h->room);
  CAST_ALWAYS((h->room == 0) == (h->at == NULL));
  for (uint32_t i = 0; i < h->count; i++) {
    const entry *e = &h->at[i];
    CAST_ALWAYS(e->node->index == i + 1);
    CAST_ALWAYS(i == 0 || h->at[(i - 1) / ARITY].deadline_ns <= e->deadline_ns);
  }
}

/* The entries from i downwards. Those without a deadline have only such below
   them, so the walk ends there. */
static bool any_below(
  const cast_heap *h, uint32_t i, bool (*test)(cast_heap_node *n)) {
  if (i >= h->count || h->at[i].deadline_ns == UINT64_MAX) return false;
  if (test(h->at[i].node)) return true;
  for (uint32_t k = 1; k <= ARITY; k++)
    if (any_below(h, ARITY * i + k, test)) return true;
  return false;
}

bool cast_heap_any(const cast_heap *h, bool (*test)(cast_heap_node *n)) {
  return any_below(h, 0, test);
}
