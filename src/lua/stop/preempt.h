/* preempt.h - tasks that compute on: made to give way, or to stop.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PREEMPT_H
#define CAST_PREEMPT_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Owner, as in a signal handler: is there anything to look at? */
bool cast_stop_is_wanted(cast_state *S);
/* In a hook: raises if t is past its time. */
void cast_stop_check_hook(lua_State *L, cast_state *S, cast_ltask *t);
/* LuaJIT: a hook that is set now is seen at the next instruction of L, if that
   can be done. */
void cast_stop_interpret(lua_State *L);
/* Has the hook called after `count` instructions of L. */
void cast_stop_hook(lua_State *L, int count);
/* A host begins to end: hooks are to work although it is in a finalizer. */
void cast_stop_allow(cast_state *S);
/* For a blocking call of t: raises if t, or a cancel scope that t->at is in, is
   past its time at now_ns. */
void cast_stop_check(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* From now on each instruction of t raises. */
void cast_stop_force(lua_State *L, cast_ltask *t);
/* Are a host's tasks to have a hook, whoever wants something of them? */
static inline bool cast_stop_has_hook(cast_state *S) {
  /* Relaxed: it is set by this state's owner. */
  if (S->host == NULL) return false;
  return S->last.waits ||
         atomic_load_explicit(&S->ending, memory_order_relaxed);
}
/* t is about to go on in L: sees to it that it is stopped in time. */
void cast_stop_watch(cast_state *S, cast_ltask *t, lua_State *L);
/* The hook: whatever computes looks up. */
void cast_preempt_hook(lua_State *L, lua_Debug *ar);
/* ops->preempt: as in a signal handler. The task that computes will look up. */
void cast_preempt_request(cast_session *s);
/* ops->urgent of a host. */
bool cast_preempt_is_urgent(cast_session *s);
/* Is L to raise an error at its next instruction? In a signal handler, too. */
bool cast_hook_is_raising(lua_State *L);
#if !CAST_HAS_YIELDK
/* Keeps the error on the top of L, which it takes, for the hook. Raises. */
void cast_hook_raise_keep(lua_State *L);
/* Has that error, or nil if none was kept, raised at co's next instruction. */
void cast_hook_raise(lua_State *co);
#endif
#if CAST_LUAJIT
/* L calls a function that may wait: raises the error now, if that is still to
   be done. */
void cast_hook_raise_late(lua_State *L);
#else
static inline void cast_hook_raise_late(lua_State *L) { CAST_UNUSED(L); }
#endif

#endif
