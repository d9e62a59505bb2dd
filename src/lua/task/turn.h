/* turn.h - calls that need not wait let others run now and then.
   SPDX-License-Identifier: MIT

   A task gives the others of its session their turn when it waits. One whose
   socket always has something to read, or room to be written to, would never
   wait, and whoever is at the other end of the socket decides that. So each
   CAST_CALLS_MOST-th call in a row of one task takes a turn: before its work
   (cast_wait_turn, where its kind of wait has an `again`), or after it. (tokio
   gives each task such a budget.) */
#ifndef CAST_TURN_H
#define CAST_TURN_H

#include "../../limits.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Owner: shall this call of t take a turn? */
static inline bool cast_turn_is_due(cast_state *S, const cast_ltask *t) {
  if (S->streak.task != t) {
    S->streak.task = t;
    S->streak.ncalls = 0;
  }
  if (CAST_LIKELY(++S->streak.ncalls < CAST_CALLS_MOST)) return false;
  S->streak.ncalls = 0;
  return true;
}
/* A library function returns what this returns, after its work: true, when the
   others have had their turn. After cast_enter. */
int cast_turn_take(lua_State *L, cast_state *S, cast_ltask *t);

#endif
