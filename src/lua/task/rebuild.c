/* rebuild.c - messages whose values are being rebuilt.
   SPDX-License-Identifier: MIT

   To rebuild values may run Lua code (require, a constructor of __save), which
   may receive in turn, so the message does not stay in the task's waiter.
   Owner: the session's. */
#include "rebuild.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/number.h"
#include "../transfer/pack.h"

void cast_rebuild_drop(cast_state *S, cast_ltask *t, const cast_rebuild *last) {
  cast_rebuild **link = &S->rebuilds.first, *b;
  while ((b = *link) != NULL && b != last) {
    if (t != NULL && b->task != t) {
      link = &b->outer;
      continue;
    }
    *link = b->outer;
    cast_msg_drop(&b->msg);
    cast_free(b);
  }
}

/* Is L no deeper than that? */
static bool is_within(lua_State *L, int depth) {
  lua_Debug ar;
  return !lua_getstack(L, depth, &ar);
}

/* In a place that cannot yield: which rebuilds have been left by an error? */
void cast_rebuild_drop_stale(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_rebuild *b = S->rebuilds.first;
  while (b != NULL && (b->task != t || (b->L == L && is_within(L, b->depth))))
    b = b->outer;
  cast_rebuild_drop(S, t, b);
}

cast_rebuild *cast_rebuild_begin(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b =
    S->rebuilds.spare != NULL ? S->rebuilds.spare : cast_alloc(sizeof *b);
  if (b == NULL) cast_raise_memory(L);
  S->rebuilds.spare = NULL;
  b->outer = S->rebuilds.first;
  b->task = t;
  b->L = L;
  b->depth = L == t->co ? 0 : cast_stack_depth(L);
  cast_msg_move(&b->msg, m);
  S->rebuilds.first = b;
  return b;
}

void cast_rebuild_end(cast_state *S, cast_rebuild *b) {
  cast_rebuild **link;
  cast_rebuild_drop(S, b->task, b);
  for (link = &S->rebuilds.first; *link != b; link = &(*link)->outer) continue;
  *link = b->outer;
  cast_free(S->rebuilds.spare); /* of another one meanwhile */
  S->rebuilds.spare = b;
}

int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b;
  int n;
  if (CAST_LIKELY(cast_number_unpack(L, m))) return 1;
  /* A value takes a byte at least. Where a C function's own slots will do,
     the stack is not made larger: it would stay so while the task waits. */
  if (m->size > LUA_MINSTACK / 2 && m->size <= CAST_MSG_INLINE && m->nrefs == 0)
    luaL_checkstack(L, CAST_MSG_INLINE, NULL);
  n = cast_unpack_simple(L, m);
  if (CAST_LIKELY(n >= 0)) return n;
  b = cast_rebuild_begin(L, S, t, m);
  n = cast_unpack(S->packer, L, &b->msg);
  cast_rebuild_end(S, b);
  return n;
}
