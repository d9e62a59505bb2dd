/* family.c - the sessions of a host.
   SPDX-License-Identifier: MIT

   Each host has a list of the sessions that were made in it, in its sessions,
   in the sessions of those and so on: all of them end when the host does.

   Locks: one lock guards the lists of all hosts (CAST_RANK_HOST). It is taken
   only when a session is made, has closed, or when sessions are looked for. */
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

/* Called with the session that the last call has returned, to visit them all
   while the lock is free in between. */
cast_state *cast_state_child(cast_state *root, cast_state *after) {
  cast_list *l;
  cast_state *S = NULL;
  cast_lock_take(&tree);
  l = after == NULL ? root->children.next : after->sibling.next;
  /* A session that has left the list meanwhile leads to itself. The visit then
     begins anew, which is harmless: callers only ask sessions to close. */
  if (after != NULL && l == &after->sibling) l = root->children.next;
  if (l != &root->children) {
    S = CAST_CONTAINER(l, cast_state, sibling);
    cast_session_ref_weak(&S->session);
  }
  cast_lock_drop(&tree);
  return S;
}

/* All in one piece, for a task dump: the list does not change meanwhile. A root
   that C has made is no session, and so not among them. */
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

/* The weak reference keeps the root's memory, which has the list: the host may
   end while a session is stuck in C code, and that session leaves the list
   whenever it comes to its own end. */
void cast_family_enter(cast_state *S, cast_state *root) {
  S->root = root;
  cast_session_ref_weak(&root->session);
  cast_lock_take(&tree);
  cast_list_push(&root->children, &S->sibling);
  cast_lock_drop(&tree);
}
