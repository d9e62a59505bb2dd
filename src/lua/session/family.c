/* family.c - the sessions of a host.
   SPDX-License-Identifier: MIT

   Locks: the list of a host's sessions (CAST_RANK_HOST), one lock for all
   hosts, taken only when sessions are made, closed or counted. */
#include "family.h"

#include "../../base.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../session.h"
#include "../state/state.h"

static cast_lock tree = CAST_LOCK_STATIC(CAST_RANK_HOST);

void cast_family_leave(cast_state *S) {
  cast_lock_take(&tree);
  cast_list_remove(&S->sibling);
  cast_lock_drop(&tree);
}

/* All sessions of the host, a weak reference each, for the closer. */
cast_state *cast_state_child(cast_state *root, cast_state *after) {
  cast_list *l;
  cast_state *S = NULL;
  cast_lock_take(&tree);
  l = after == NULL ? root->children.next : after->sibling.next;
  /* It has left the tree meanwhile: from the beginning, which is harmless. */
  if (after != NULL && l == &after->sibling) l = root->children.next;
  if (l != &root->children) {
    S = CAST_CONTAINER(l, cast_state, sibling);
    cast_session_ref_weak(&S->session);
  }
  cast_lock_drop(&tree);
  return S;
}

uint32_t cast_state_family(cast_state *root, cast_state **all, uint32_t room) {
  uint32_t n = 0;
  if (root->host != NULL) all[n++] = root;
  cast_lock_take(&tree);
  for (cast_list *l = root->children.next; n < room && l != &root->children;
       l = l->next)
    all[n++] = CAST_CONTAINER(l, cast_state, sibling);
  for (uint32_t i = 0; i < n; i++) cast_session_ref_weak(&all[i]->session);
  cast_lock_drop(&tree);
  return n;
}

/* Enters the tree of the host, whose memory it keeps: the host may end while
   a session is stuck, which leaves the tree whenever it can. */
void cast_family_enter(cast_state *S, cast_state *root) {
  S->root = root;
  cast_session_ref_weak(&root->session);
  cast_lock_take(&tree);
  cast_list_push(&root->children, &S->sibling);
  cast_lock_drop(&tree);
}
