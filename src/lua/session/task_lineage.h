/* task_lineage.h - the lineage of what a task makes.
   SPDX-License-Identifier: MIT */
#ifndef CAST_TASK_LINEAGE_H
#define CAST_TASK_LINEAGE_H

#include "../compat/compat.h"
#include "../state/lineage.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Returns the lineage of a session that t makes now, in L, or NULL if there is
   none; pushes a box with the strong reference to it. Raises when a module
   makes sessions without end. */
cast_lineage *cast_lineage_push(lua_State *L, cast_state *S, cast_ltask *t);
/* True if t may make sessions whose lineage is not its own session's. */
static inline bool cast_lineage_can_differ(const cast_ltask *t) {
  return t->loading || (t->extra != NULL && t->extra->lineage != NULL);
}
/* t, of which that is true, spawns `task` in its own session: the sessions that
   `task` makes count as made by t. False: out of memory. */
bool cast_lineage_spawn(
  lua_State *L, cast_state *S, cast_ltask *t, cast_ltask *task);

#endif
