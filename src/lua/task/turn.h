/* turn.h - calls that need not wait let others run now and then.
   SPDX-License-Identifier: MIT

   A task gives the others of its session their turn when it waits. One whose
   socket always has something to read, or room to be written to, would never
   wait, and whoever is at the other end of the socket decides that. So each
   CAST_CALLS_MOST-th call in a row of one task takes a turn (cast_wait_turn)
   before it does its work. (tokio gives each task such a budget.) */
#ifndef CAST_TURN_H
#define CAST_TURN_H

#include "../../limits.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Owner: shall this call of t take a turn first? */
static inline bool cast_turn_is_due(cast_state *S, const cast_ltask *t) {
  if (S->streak.task != t) {
    S->streak.task = t;
    S->streak.ncalls = 0;
  }
  if (CAST_LIKELY(++S->streak.ncalls < CAST_CALLS_MOST)) return false;
  S->streak.ncalls = 0;
  return true;
}

#endif
