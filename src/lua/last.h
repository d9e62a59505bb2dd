/* last.h - waits of finalizers while a host's state closes.
   SPDX-License-Identifier: MIT

   lua_close runs finalizers of the program before the first of ours, which ends
   everything (cast_state_end). Such a finalizer may wait: the host's tasks run
   meanwhile. So that the end comes, all these waits together take CAST_LAST_NS
   at most, and a task that computes lets go when one is over.
   Owner: the host's thread. */
#ifndef CAST_LAST_H
#define CAST_LAST_H

#include "probe.h"
#include "state.h"

/* L has just become a host's. Raises. */
void cast_last_open(lua_State *L, cast_state *S);
/* t, of a host, is about to wait on L, which is not its own coroutine: is that
   such a wait? Raises, if their time is up. */
bool cast_last_enter_slow(lua_State *L, cast_state *S, cast_ltask *t);
static inline void cast_last_other(cast_state *S, const cast_ltask *t) {
  if (t != S->main) return;
  S->last.task = NULL;
  S->last.since_ns = 0;
}
static inline bool cast_last_enter(lua_State *L, cast_state *S, cast_ltask *t) {
  if (S->L == NULL) S->L = cast_main_thread(L);
#if CAST_LUAJIT
  if (S->L != NULL) return cast_last_enter_slow(L, S, t);
#else
  if (CAST_UNLIKELY(S->L != NULL && !cast_has_hooks(S->L)))
    return cast_last_enter_slow(L, S, t);
#endif
  cast_last_other(S, t);
  return false;
}
/* t waits now: until when, at most. */
uint64_t cast_last_until(cast_state *S, cast_ltask *t, uint64_t deadline_ns);
/* The wait of t has ended for want of time. Raises, if it was all the time that
   there is. */
void cast_last_over(lua_State *L, cast_state *S, cast_ltask *t);
/* A finalizer of ours, called in L, is to end everything. Was that the
   collector in a task, while such a wait is under way (5.1 calls what lua_close
   has put aside)? Then that wait ends, and who waited is to end everything. */
bool cast_last_defer(lua_State *L, cast_state *S);
static inline bool cast_last_ended(const cast_state *S) {
  return CAST_UNLIKELY(S->last.ended);
}
/* It does so, and raises, its wait being over; kind: NULL if there was none. */
_Noreturn void cast_last_end_now(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_wait_kind *kind);
/* When a host that ends now is to have ended. */
uint64_t cast_last_end(cast_state *S);

/* May there be one under way? */
static inline bool cast_last_waits(const cast_state *S) {
  return CAST_UNLIKELY(S->last.task != NULL);
}

/* Is it to end, while a task computes? */
bool cast_last_is_due(const cast_state *S);
static inline bool cast_last_due(const cast_state *S) {
  return cast_last_waits(S) && cast_last_is_due(S);
}

#endif
