/* scratch.h - the one message that a task may have at hand.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SCRATCH_H
#define CAST_SCRATCH_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* The task, or main program, that calls, as the scratch (waiter.msg) of what
   does not wait: works where tasks do not run, too, such as in finalizers. */
cast_ltask *cast_scratch(lua_State *L, cast_state *S);
/* What t has packed for sending, and was not sent, goes back. */
void cast_unsend(lua_State *L, cast_state *S, cast_ltask *t);

#endif
