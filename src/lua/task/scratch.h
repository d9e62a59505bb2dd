/* scratch.h - the one message that a task may have at hand.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SCRATCH_H
#define CAST_SCRATCH_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* The task or main program that calls, with an empty waiter.msg, for an
   operation that does not wait. Works in finalizers, too. Raises where neither
   runs. */
cast_ltask *cast_scratch(lua_State *L, cast_state *S);
/* What t has packed to send, in its waiter or in the cases of a select, and was
   not sent, is given back: transferred objects become the sender's again. */
void cast_unsend(lua_State *L, cast_state *S, cast_ltask *t);

#endif
