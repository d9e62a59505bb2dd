/* deliver.h - how a parked task goes on where the VM has no continuations.
   SPDX-License-Identifier: MIT */
#ifndef CAST_DELIVER_H
#define CAST_DELIVER_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

#if !CAST_HAS_YIELDK
/* Sees to it that S->aux is there. Raises. */
void cast_deliver_ready(lua_State *L, cast_state *S);
/* After a yield of cast_park: pushes the results onto t's coroutine and returns
   how many, or prepares the raising of an error there (t->raising). If t->last,
   pushes the error. */
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
/* The run that followed is over. */
void cast_deliver_end(cast_ltask *t);

#endif
