/* turn.h - calls that need not wait let others run now and then.
   SPDX-License-Identifier: MIT

   A task gives the others of its session their turn when it waits. One whose
   socket always has something to read, or room to be written to, would never
   wait, and whoever is at the other end of the socket decides that. So each
   CAST_CALLS_MOST-th call in a row of one task takes a turn: before its work
   (cast_wait_turn, where its kind of wait has an `again`), or after it. A call
   that has a timeout of 0 takes its turn before its work, too, so that what it
   finds is still true when it returns, and what it takes is not lost with a
   cancellation. (tokio gives each task such a budget.) */
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
  S->streak.owed = false;
  return true;
}
/* Owner: counts a call of t that does not wait. False: it must not be made, and
   the next one that may wait takes the turn. */
static inline bool cast_turn_is_left(cast_state *S, const cast_ltask *t) {
  if (S->streak.task == t && S->streak.ncalls + 1 >= CAST_CALLS_MOST)
    return false;
  return !cast_turn_is_due(S, t);
}
/* The same for a call that has read so many bytes of a file:
   CAST_FILE_TURN_MOST of them are as much as CAST_CALLS_MOST calls. */
static inline bool cast_turn_is_due_for(
  cast_state *S, const cast_ltask *t, size_t bytes) {
  if (S->streak.task == t)
    S->streak.ncalls +=
      (uint32_t)(bytes / (CAST_FILE_TURN_MOST / CAST_CALLS_MOST));
  return cast_turn_is_due(S, t);
}
/* A library function returns what this returns, after its work: true, when the
   others have had their turn. After cast_enter. */
int cast_turn_take(lua_State *L, cast_state *S, cast_ltask *t);
/* The turn of a call that has a timeout of 0, if it is due; in place, so that
   the call goes on after it. After cast_enter, before the call looks at
   anything. May raise. */
void cast_turn_first(lua_State *L, cast_state *S, cast_ltask *t);
/* A turn in place, whatever is due. After cast_enter; may raise. */
void cast_turn_take_in_place(lua_State *L, cast_state *S, cast_ltask *t);
/* For a select with a timeout of 0, which learns too late that it has sockets,
   and may be in a finalizer: _owe notes that its turn is due (`owed`), and then
   the next one takes it (_pay), unless it must not wait. */
void cast_turn_owe(cast_state *S, const cast_ltask *t);
void cast_turn_pay(lua_State *L, cast_state *S);

#endif
