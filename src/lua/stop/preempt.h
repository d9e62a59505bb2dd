/* preempt.h - tasks that compute on: made to give way, or to stop.
   SPDX-License-Identifier: MIT

   Whether a task must stop is asked of scope.h; here it is made to. */
#ifndef CAST_PREEMPT_H
#define CAST_PREEMPT_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* Owner, also in a signal handler: might the task that runs have to stop? */
bool cast_stop_is_wanted(cast_state *S);
/* In a hook: raises if t must stop and has computed on for long enough. True: L
   has yielded, and nothing may be done in it any more. */
bool cast_stop_check_hook(lua_State *L, cast_state *S, cast_ltask *t);
/* co has yielded because its task was ended in it: makes it one that has failed
   with the error of that. */
void cast_stop_fail(cast_state *S, lua_State *co);
/* The coroutine that L had resumed was ended like that, so L is, too. For a
   function called in L: returns what that is to return, or raises. */
int cast_stop_pass_on(lua_State *L, cast_state *S);
/* A coroutine that may have been ended has returned from being resumed with
   `status`. Returns the status that is to be gone by. */
static inline int cast_stop_outcome(cast_state *S, lua_State *co, int status) {
  if (CAST_LIKELY(!S->preempt.ended)) return status;
  cast_stop_fail(S, co);
  return LUA_ERRRUN;
}
/* In an allocator: must the task that runs stop, and was its hook not called
   for CAST_FORCE_NS? Then it executes no instructions. */
bool cast_stop_is_overdue(cast_state *S);
/* LuaJIT: has a hook that is set now seen at the next instruction of L, unless
   that cannot be done. Elsewhere it always is. */
void cast_stop_interpret(lua_State *L);
/* Has cast_preempt_hook called after every `count` instructions of L. */
void cast_stop_hook(cast_state *S, lua_State *L, int count);
/* For a blocking call of t, made in L and t->at: raises if t must stop. */
void cast_stop_check(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* From now on each instruction of t raises. */
void cast_stop_force(lua_State *L, cast_ltask *t);
/* Must all tasks of a host have the hook, whether or not they have to stop? So
   it is while the host ends, when whatever computes has to let others run. */
static inline bool cast_stop_has_hook(cast_state *S) {
  /* Relaxed: it is set by this state's owner. */
  if (S->host == NULL) return false;
  return S->last.waits ||
         atomic_load_explicit(&S->ending, memory_order_relaxed);
}
/* t is about to go on in L: sets the watchdog, or a host's hook, so that t is
   looked at when it may have to stop. */
void cast_stop_watch(cast_state *S, cast_ltask *t, lua_State *L);
/* Before and after code of the program runs in co, as t, but outside of the
   turn of t: such as what __tostring of its error does. It can be stopped, but
   gives way to nobody. */
void cast_preempt_begin(cast_state *S, cast_ltask *t, lua_State *co);
static inline void cast_preempt_end(cast_state *S, lua_State *co);
/* The debug hook that looks: raises, yields, or lets the task go on. */
void cast_preempt_hook(lua_State *L, lua_Debug *ar);
/* ops->preempt: as in a signal handler. Sets the hook on the task that
   computes. */
void cast_preempt_request(cast_session *s);
/* LuaJIT: takes a hook of ours away that L has not called, for others would
   call it. */
#if CAST_LUAJIT
void cast_preempt_drop(cast_state *S, lua_State *L);
#else
static inline void cast_preempt_drop(cast_state *S, lua_State *L) {
  CAST_UNUSED(S);
  CAST_UNUSED(L);
}
#endif
/* Also at the end of a task's turn. To be called before anything is freed, as
   the signal handler may come at any moment. (The compiler keeps the order: the
   calls that follow are opaque to it.) Relaxed: for that handler, which runs in
   this thread. */
static inline void cast_preempt_end(cast_state *S, lua_State *co) {
  atomic_store_explicit(&S->preempt.running, NULL, memory_order_relaxed);
  if (CAST_UNLIKELY(atomic_load_explicit(
                      &S->preempt.hooked, memory_order_relaxed) != NULL)) {
    atomic_store_explicit(&S->preempt.hooked, NULL, memory_order_relaxed);
    atomic_store_explicit(&S->preempt.unserved, true, memory_order_relaxed);
  }
  cast_preempt_drop(S, co);
}
/* The Lua state is closed while its task runs, which never goes on. Relaxed:
   for this thread. */
static inline void cast_preempt_forget(cast_state *S) {
  atomic_store_explicit(&S->preempt.running, NULL, memory_order_relaxed);
  atomic_store_explicit(&S->preempt.hooked, NULL, memory_order_relaxed);
}
/* ops->urgent of a host: must the task that it runs be looked at? */
bool cast_preempt_is_urgent(cast_session *s);
/* Does L raise an error at its next instruction? In a signal handler, too. */
bool cast_hook_is_raising(lua_State *L);
#if !CAST_HAS_YIELDK
/* Keeps the error on the top of L, which it takes, for the hook. Raises. */
void cast_hook_raise_keep(lua_State *L);
/* Has that error, or nil if none was kept, raised at co's next instruction. */
void cast_hook_raise(cast_state *S, lua_State *co);
#endif
#if CAST_LUAJIT
/* L calls a function that may wait: raises the error now, if that is still to
   be done. */
void cast_hook_raise_late(lua_State *L);
#else
static inline void cast_hook_raise_late(lua_State *L) { CAST_UNUSED(L); }
#endif

#endif
