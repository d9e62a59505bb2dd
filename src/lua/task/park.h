/* park.h - how a library function waits.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PARK_H
#define CAST_PARK_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* To be returned by a library function after CAST_PARKED: waits, then returns
   what the kind's finish pushes. */
int cast_park(lua_State *L, cast_state *S, cast_ltask *t, uint64_t deadline_ns,
  const cast_wait_kind *kind);
/* The same, with a reference to t->arg, which begins with a cast_object. */
int cast_park_about(lua_State *L, cast_state *S, cast_ltask *t,
  uint64_t deadline_ns, const cast_wait_kind *kind);

#endif
