/* await.h - a library function that waits for an event.
   SPDX-License-Identifier: MIT */
#ifndef CAST_AWAIT_H
#define CAST_AWAIT_H

#include "../../event.h"
#include "../../types.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "park.h"

/* What a library function returns which waits for e: what the kind's `finish`
   pushes, now if e is set, else when the wait is over. The wait has a reference
   to t->arg, which begins with a cast_object; cast_enter has been called. */
static inline int cast_await_event(lua_State *L, cast_state *S, cast_ltask *t,
  cast_event *e, uint64_t deadline_ns, const cast_wait_kind *kind) {
  if (cast_event_wait(e, &t->base) == CAST_PARKED)
    return cast_park_about(L, S, t, deadline_ns, kind);
  return kind->finish(L, S, t, 0);
}

#endif
