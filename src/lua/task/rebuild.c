/* rebuild.c - messages whose values are being rebuilt.
   SPDX-License-Identifier: MIT

   To rebuild values may run Lua code (require, a constructor of __save), which
   may receive in turn, and may raise an error. So the message does not stay in
   the task's waiter, where the next wait would overwrite it, nor in a C
   variable, where it would be lost: it is in a list of the state until it is
   rebuilt, or until it is found that an error has left it behind (rebuild.h).
   Owner: the session's.
   Invariant: the rebuilds of one task stand in S->rebuilds with the innermost
   first. */
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
    if (CAST_UNLIKELY(b->held != NULL)) cast_unref(b->held);
    cast_free(b);
  }
}

/* Has L no more active calls than that? */
static bool is_within(lua_State *L, int depth) {
  lua_Debug ar;
  return !lua_getstack(L, depth, &ar);
}

/* A rebuild that is under way has called what runs now, so L has more active
   calls than when it began. One that began as deep as L is now has been left by
   an error, and so have all of t that stand before one that is under way. */
void cast_rebuild_drop_stale(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_rebuild *b = S->rebuilds.first;
  while (b != NULL && (b->task != t || (b->L == L && is_within(L, b->depth))))
    b = b->outer;
  cast_rebuild_drop(S, t, b);
}

/* The depth is counted only where a later look needs it: in its own coroutine t
   can most often yield, and then all its rebuilds are stale. */
cast_rebuild *cast_rebuild_begin(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b =
    S->rebuilds.spare != NULL ? S->rebuilds.spare : cast_alloc(sizeof *b);
  if (b == NULL) cast_raise_memory(L);
  S->rebuilds.spare = NULL;
  b->outer = S->rebuilds.first;
  b->task = t;
  b->held = NULL;
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
  if (CAST_UNLIKELY(b->held != NULL)) cast_unref(b->held);
  b->held = NULL;
  cast_free(S->rebuilds.spare); /* one that has ended meanwhile */
  S->rebuilds.spare = b;
}

/* From the cheapest way to the dearest: a number, plain values, anything. */
int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b;
  int n;
  if (CAST_LIKELY(cast_number_unpack(L, m))) return 1;
  /* Room for as many values as there are bytes, at most. Where the slots that
     every C function has will do, the stack is not made larger: it would stay
     large while the task waits. */
  if (m->size > LUA_MINSTACK / 2 && m->size <= CAST_MSG_INLINE && m->nrefs == 0)
    luaL_checkstack(L, CAST_MSG_INLINE, NULL);
  n = cast_unpack_simple(L, m);
  if (CAST_LIKELY(n >= 0)) return n;
  b = cast_rebuild_begin(L, S, t, m);
  n = cast_unpack(S->packer, L, &b->msg);
  cast_rebuild_end(S, b);
  return n;
}
