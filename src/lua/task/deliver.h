/* deliver.h - how a parked task goes on where the VM has no continuations.
   SPDX-License-Identifier: MIT */
#ifndef CAST_DELIVER_H
#define CAST_DELIVER_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

#if !CAST_HAS_YIELDK
/* Makes S->aux, unless it is there: before a task waits. Raises. */
void cast_deliver_ready(lua_State *L, cast_state *S);
/* The wait of t, which has yielded in cast_park, is over: pushes the results of
   the call onto t's coroutine and returns how many. If the call fails, has the
   error raised when the coroutine is resumed (t->raising); if that will not be
   resumed (t->last), pushes the error and returns 1. */
int cast_deliver(cast_state *S, cast_ltask *t);
#else
static inline void cast_deliver_ready(lua_State *L, cast_state *S) {
  CAST_UNUSED(L);
  CAST_UNUSED(S);
}
static inline int cast_deliver(cast_state *S, cast_ltask *t) {
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  return 0;
}
#endif
/* The turn that followed is over. */
void cast_deliver_end(cast_ltask *t);

#endif
