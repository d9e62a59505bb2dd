/* park.c - how a library function waits.
   SPDX-License-Identifier: MIT

   A task that calls from its own coroutine, with nothing in between that cannot
   yield, yields to the session's loop (run.c). That resumes the coroutine when
   the wait is over; the call goes on in a continuation where the version has
   them, else the results are what it is resumed with (deliver.c). Everywhere
   else the task blocks in place: it keeps its C stack, and its session goes on
   upon another one (context.h). So do main programs, always. Yielding is
   preferred because a task that has yielded costs no C stack.
   Owner: the task's session. The task is in a queue already, so another thread
   may have ended its wait, and nothing here may fail. */
#include "park.h"

#include "../../base.h"
#include "../../fork.h"
#include "../../host.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../task.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/compat.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/last.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "complete.h"
#include "enter.h"

/* -- where can one yield -------------------------------------------------- */

#if !CAST_HAS_YIELDK
/* Can t yield here and go on later? Without continuations an error can only be
   raised in the Lua function that has called the library function. If a C
   function has called, t waits in place (5.1's pcall does not come here: under
   it no coroutine can yield). If nothing has, it is
   the task's own function, and t ends with what its wait brings (deliver.c): so
   it may yield. */
static bool can_go_on(lua_State *L, cast_ltask *t) {
  lua_Debug ar;
  bool yes;
  if (!lua_getstack(L, 1, &ar)) return t->last = true;
  if (!lua_getinfo(L, "f", &ar)) return false;
  yes = !lua_iscfunction(L, -1);
  lua_pop(L, 1);
  return yes;
}
#endif

/* -- waiting -------------------------------------------------------------- */

/* The deadline of a wait of a task that has scopes, or is cancelled: the next
   time at which one of these could end it, if that is before the call's own.
   The call's own is kept for cast_scope_extended_until, which may put the other
   off. */
static uint64_t limit_deadline(cast_ltask *t, uint64_t deadline_ns) {
  cast_extra *x =
    cast_extra_make(t); /* without it, see cast_scope_extended_until */
  uint64_t next = cast_scope_deadline(t, os_now());
  t->limited = x != NULL;
  if (x != NULL) x->limit_ns = deadline_ns;
  return next < deadline_ns ? next : deadline_ns;
}

int cast_park_about(lua_State *L, cast_state *S, cast_ltask *t,
  uint64_t deadline_ns, const cast_wait_kind *kind) {
  cast_ref(t->arg);
  t->owns_arg = true;
  return cast_park(L, S, t, deadline_ns, kind);
}

int cast_park(lua_State *L, cast_state *S, cast_ltask *t, uint64_t deadline_ns,
  const cast_wait_kind *kind) {
  /* A finalizer may have forked since cast_enter. */
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  t->kind = kind;
  t->limited = false;
  if (CAST_UNLIKELY(cast_scope_is_needed(t)))
    deadline_ns = limit_deadline(t, deadline_ns);
  if (t == S->main && cast_last_is_waiting(S))
    deadline_ns = cast_last_until(S, deadline_ns);
  cast_wait_until(&t->base, deadline_ns);
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->base.status, CAST_WAITING, memory_order_relaxed);
#if !CAST_HAS_YIELDK
  t->in_place = t->in_place || !can_go_on(L, t);
#endif
  CAST_CHECK(cast_ltask_prove(t));
  if (CAST_UNLIKELY(S->loads.first != NULL)) cast_load_park(L, S, t);
  if (t->in_place) {
    bool can_preempt = S->preempt.can_preempt;
    /* Other tasks run meanwhile, each with its own `running` (preempt.c).
       Relaxed: read by this thread, or the one that goes on with the task. */
    lua_State *running =
      atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
    atomic_store_explicit(&S->preempt.running, NULL, memory_order_relaxed);
    do {
      if (t == S->main)
        cast_host_block(S->host);
      else
        cast_task_block(&t->base);
    } while (!cast_forked && cast_waits_again(t));
    atomic_store_explicit(&S->preempt.running, running, memory_order_relaxed);
    S->preempt.can_preempt = can_preempt;
    if (CAST_UNLIKELY(t->loading)) cast_load_resume(L, S, t);
    cast_lua_running(L);
    if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
    cast_stop_watch(S, t, L);
    return cast_complete(L, S, t);
  }
  t->parked = true;
#if CAST_LUA >= 503
  return lua_yieldk(L, 0, (lua_KContext)t, cast_resumed);
#elif CAST_LUA == 502
  return lua_yieldk(L, 0, 0, cast_resumed);
#else
  /* All the arguments are yielded, and so stay on the stack while the task
     waits: handles among them keep what the wait is about. */
  return lua_yield(L, lua_gettop(L));
#endif
}
