/* list.h - intrusive doubly linked list with a sentinel.
   SPDX-License-Identifier: MIT

   Owner: the owner of the head, or the lock that guards it. Invariants:
   1. head.next ... returns to head; every node->next->prev == node.
   2. A node that is in no list points to itself (cast_list_init,
      cast_list_remove), so removing it again does nothing. */
#ifndef CAST_LIST_H
#define CAST_LIST_H

#include "base.h"

typedef struct cast_list cast_list;
struct cast_list {
  cast_list *next; /* of a head: the first node, or the head itself */
  cast_list *prev; /* of a head: the last node, or the head itself */
};

static inline void cast_list_init(cast_list *l) {
  l->next = l;
  l->prev = l;
}

static inline bool cast_list_is_empty(const cast_list *l) {
  return l->next == l;
}

/* Appends `node` at the tail of the list `l`. */
static inline void cast_list_push(cast_list *l, cast_list *node) {
  node->prev = l->prev;
  node->next = l;
  l->prev->next = node;
  l->prev = node;
}

/* Puts `node` at the front of the list `l`. */
static inline void cast_list_unshift(cast_list *l, cast_list *node) {
  cast_list_push(l->next, node); /* before the first node, or the sentinel */
}

/* Takes `node` out of the list that it is in, if any. */
static inline void cast_list_remove(cast_list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  cast_list_init(node);
}

/* Takes the first node out and returns it; NULL if the list is empty. */
static inline cast_list *cast_list_shift(cast_list *l) {
  cast_list *node = l->next;
  if (node == l) return NULL;
  cast_list_remove(node);
  return node;
}

/* Moves all nodes of the list `from` to the tail of `l`. */
static inline void cast_list_append(cast_list *l, cast_list *from) {
  if (cast_list_is_empty(from)) return;
  from->next->prev = l->prev;
  l->prev->next = from->next;
  from->prev->next = l;
  l->prev = from->prev;
  cast_list_init(from);
}

/* Proof walk of invariant 1; returns the number of nodes. */
static inline size_t cast_list_check(const cast_list *l) {
  size_t n = 0;
  for (const cast_list *i = l->next; i != l; i = i->next, n++)
    CAST_ALWAYS(i->next->prev == i);
  CAST_ALWAYS(l->next->prev == l);
  return n;
}

#endif
