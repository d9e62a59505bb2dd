/* newtask.h - tasks of Lua: made, and freed.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NEWTASK_H
#define CAST_NEWTASK_H

#include "../../cycle.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* The type of task handles. */
extern const cast_type cast_task_type;
/* A task of session `home`, not started, with a reference for the caller; NULL:
   out of memory. own: the caller is the session's owner, and takes the memory
   from its slabs. */
cast_ltask *cast_ltask_make(cast_state *home, bool own);
/* The same with its handle pushed on L instead. Raises. */
cast_ltask *cast_ltask_new(lua_State *L, cast_state *home, bool own);
/* For tasks, of a cast_visitor (cycle.h). */
bool cast_ltask_show(cast_object *o, cast_visit *v);
bool cast_ltask_waits(cast_object *o);
uint32_t cast_ltask_looks(cast_object *o);
void cast_ltask_empty(cast_object *o, cast_msg *m);
/* Owner: the task has ended, but for telling that. Who has its handle may keep
   the struct for long: frees what may be large, and charges a sandbox for what
   is left; or for nothing any more, if a trusted session has made the task and
   alone can keep it. */
void cast_ltask_left(cast_ltask *t);
/* The task whose handle is argument i. Raises. */
cast_ltask *cast_ltask_check(lua_State *L, int i);

#endif
