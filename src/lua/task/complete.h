/* complete.h - what a blocking call does when its wait is over.
   SPDX-License-Identifier: MIT */
#ifndef CAST_COMPLETE_H
#define CAST_COMPLETE_H

#include "../../base.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/scope.h"
#include "park.h"

/* cast_park without a deadline, inlined for calls that mostly yield and mostly
   get one number. It leaves out what only tasks need that are in a scope or
   wait in place, as main programs and tasks that load modules do. */
#if CAST_HAS_OURS
int cast_resumed(lua_State *L, int status, lua_KContext ctx);
static inline int cast_park_quick(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_wait_kind *kind) {
  if (CAST_UNLIKELY(t->in_place || cast_scope_is_needed(t)))
    return cast_park(L, S, t, OS_FOREVER, kind);
  t->kind = kind;
  t->limited = false;
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->base.status, CAST_WAITING, memory_order_relaxed);
  t->parked = true;
  return lua_yieldk(L, 0, (lua_KContext)t, cast_resumed);
}
#else
#define cast_park_quick(L, S, t, kind) cast_park(L, S, t, OS_FOREVER, kind)
#endif
/* The wait of t has ended: does its kind want to wait for more? Then t waits,
   and is not to go on. */
bool cast_wait_again(cast_ltask *t);
static inline bool cast_waits_again(cast_ltask *t) {
  return CAST_UNLIKELY(t->kind->again != NULL) && t->base.wait.result == 0 &&
         cast_wait_again(t);
}
/* After the wait, however it has ended: takes the task off all queues. */
void cast_wait_over(cast_ltask *t);
/* After the wait: pushes the results of the call and returns how many, or
   raises. */
int cast_complete(lua_State *L, cast_state *S, cast_ltask *t);
#if CAST_LUA == 502
int cast_resumed(lua_State *L);
#endif

#endif
