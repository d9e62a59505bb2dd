/* deliver.h - how a parked task goes on where the VM has no continuations.
   SPDX-License-Identifier: MIT */
#ifndef CAST_DELIVER_H
#define CAST_DELIVER_H

#include "state.h"

#if !CAST_HAS_YIELDK
/* Sees to it that S->aux is there. Raises. */
void cast_deliver_ready(lua_State *L, cast_state *S);
/* After a yield of cast_park: pushes the results onto t's coroutine and returns
   how many, or prepares the raising of an error there (t->raising). If t->last,
   pushes the error. */
int cast_deliver(cast_state *S, cast_ltask *t);
#endif
/* Is L to raise such an error at its next instruction? In a signal handler,
   too. */
bool cast_deliver_raises(lua_State *L);
#if CAST_LUAJIT
/* L calls a function that may wait: raises the error now, if that is still to
   be done. */
void cast_deliver_late(lua_State *L);
#endif
/* The stretch that followed is over. */
void cast_deliver_end(cast_ltask *t);

#endif
