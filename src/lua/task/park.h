/* park.h - how a library function waits.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PARK_H
#define CAST_PARK_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* A library function returns what this returns, when an operation of the
   runtime has queued its task (CAST_PARKED): waits, until deadline_ns at most,
   then pushes what the kind's finish pushes, or raises. t->arg is set. Where
   the task yields this need not return: the call goes on in a continuation. */
int cast_park(lua_State *L, cast_state *S, cast_ltask *t, uint64_t deadline_ns,
  const cast_wait_kind *kind);
/* The same, with a reference to t->arg, which begins with a cast_object: for
   kinds whose argument a handle on the stack would not keep for certain. */
int cast_park_about(lua_State *L, cast_state *S, cast_ltask *t,
  uint64_t deadline_ns, const cast_wait_kind *kind);

#endif
