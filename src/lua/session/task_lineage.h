/* task_lineage.h - the lineage of what a task makes.
   SPDX-License-Identifier: MIT */
#ifndef CAST_TASK_LINEAGE_H
#define CAST_TASK_LINEAGE_H

#include "../compat/compat.h"
#include "../state/lineage.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* The lineage of a session that t makes now, in L: pushes a box that holds a
   reference, or that holds NULL if there is none. Raises if a module makes
   sessions without end. */
cast_lineage *cast_lineage_push(lua_State *L, cast_state *S, cast_ltask *t);
/* May t make sessions of another lineage than its own session's? */
static inline bool cast_lineage_can_differ(const cast_ltask *t) {
  return t->loading || (t->extra != NULL && t->extra->lineage != NULL);
}
/* If so: t spawns `task` in its own session. False: out of memory. */
bool cast_lineage_spawn(
  lua_State *L, cast_state *S, cast_ltask *t, cast_ltask *task);

#endif
