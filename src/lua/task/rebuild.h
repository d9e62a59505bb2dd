/* rebuild.h - messages whose values are being rebuilt.
   SPDX-License-Identifier: MIT */
#ifndef CAST_REBUILD_H
#define CAST_REBUILD_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* A message whose values are being rebuilt. That may run Lua code (require,
   a constructor of __save), which may receive in turn, so the message does not
   stay in the task's waiter. One that an error has left behind is found by
   its place in the call stack, or when the task can yield: then nothing is
   being rebuilt in it. There are few at a time, so all of a session are in
   one list. */
struct cast_rebuild {
  cast_rebuild *outer;
  cast_ltask *task;
  lua_State *L;
  int depth; /* calls on L; 0: unknown */
  cast_msg msg;
};

/* Moves *m to where it stays while its values are rebuilt. Raises. */
cast_rebuild *cast_rebuild_begin(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);
/* They have been, and b->msg is empty. */
void cast_rebuild_end(cast_state *S, cast_rebuild *b);
/* Pushes the values of *m, which becomes empty, and returns how many. Raises
   when one cannot be rebuilt. */
int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m);
/* Forgets what failed rebuilds of t (NULL: of all) have left, down to `last`,
   which stays. */
void cast_rebuild_drop(cast_state *S, cast_ltask *t, const cast_rebuild *last);
/* In a place that cannot yield: forgets the rebuilds that errors have left. */
void cast_rebuild_drop_stale(lua_State *L, cast_state *S, cast_ltask *t);

#endif
