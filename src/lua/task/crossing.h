/* crossing.h - what leaves a session with the handles of its tasks.
   SPDX-License-Identifier: MIT */
#ifndef CAST_CROSSING_H
#define CAST_CROSSING_H

#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "outcome.h"

/* What the packer does about handles of tasks (handle.h). */
extern const cast_giving cast_task_giving;

/* The same for one task that gets known elsewhere without a message (as: see
   cast_ltask_share). Does nothing in a session that is not the task's: a handle
   that it passes on brings no more than it has itself. May run Lua code, and
   raise. */
void cast_ltask_cross(lua_State *L, cast_state *S, cast_ltask *t, uint8_t as);
/* Protected: the results of a task that is ending are packed: makes them
   complete, with what they lead to. May be called again after an error. */
void cast_crossing_end(lua_State *L, cast_ending *e);

#endif
