/* rebuild.h - messages whose values are being rebuilt.
   SPDX-License-Identifier: MIT */
#ifndef CAST_REBUILD_H
#define CAST_REBUILD_H

#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* A message whose values are being rebuilt. If an error leaves it behind, that
   is found out by its place in the call stack when the task enters the next
   blocking call (enter.c); where the task can yield, nothing is being rebuilt
   in it at all. There are few at a time, so all of a session are in one
   list. */
struct cast_rebuild {
  cast_rebuild *outer; /* the next one in S->rebuilds */
  cast_ltask *task;    /* that rebuilds */
  lua_State *L;        /* where */
  int depth;           /* calls active in L; 0: unknown, in its own coroutine */
  cast_msg msg;
  cast_object *held; /* one more thing that goes with it; or NULL */
};

/* Moves *m to where it stays while its values are rebuilt. Raises. */
cast_rebuild *cast_rebuild_begin(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);
/* All values were pushed, and b->msg is empty: b is in no more use. */
void cast_rebuild_end(cast_state *S, cast_rebuild *b);
/* Pushes the values of *m, which becomes empty, and returns how many. Raises
   when one cannot be rebuilt. */
int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);
/* Forgets what failed rebuilds of t (NULL: of all) have left, down to `last`,
   which stays. */
void cast_rebuild_drop(cast_state *S, cast_ltask *t, const cast_rebuild *last);
/* The same for those that errors have left, by a look at the stack of L, in
   which t runs and cannot yield. */
void cast_rebuild_drop_stale(lua_State *L, cast_state *S, cast_ltask *t);

#endif
