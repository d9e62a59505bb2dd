/* preempt.c - tasks that compute on: made to give way, or to stop.
   SPDX-License-Identifier: MIT

   A Lua state that runs may be touched by its own thread alone. So a thread
   that wants something of a task that computes sends a preempt signal to the
   task's thread (os_preempt). The handler (cast_preempt_request)
   sets a debug hook on the coroutine that runs, as lua.c does on Ctrl-C, and at
   the next instruction the hook looks. If the task must stop, it raises the
   error. If other sessions wait for the thread, it yields, through the
   coroutines that the user has nested, and the task goes on first when its
   session's turn comes again. While nobody asks, there is no hook, and so no
   cost.

   Whether a task must stop is decided in scope.c. A task that is past its time
   meets the error at its blocking calls. For one that makes none there are
   times: the first look from CAST_STOP_NS after its time on finds that it
   computes, and CAST_STOP_NS later the error is raised wherever the task is,
   once, so that its clean-up can run; CAST_FORCE_NS later it is raised at
   every instruction, whatever catches it. (There are two looks because the
   task may only have collected garbage until the first.) A shield and a
   __close handler put it off, for CAST_GRACE_NS at most; a finalizer never
   meets it, as Lua runs those without hooks. A loop that catches the error of
   each blocking call is found by those calls.

   A task may have nested more protected calls than can be unwound one by one in
   any time: from 5.2 on a hundred thousand, and each takes as long as the stack
   is deep. So if it is the whole task that must stop, then at that last stage
   the hook does not raise, but yields, which no protected call sees; and nobody
   goes on with the coroutine (end_here). It counts as one that has failed with
   the error, and its __close handlers run. What has resumed it is ended in the
   same way (coroutine.c). Where a coroutine cannot yield, in a function that C
   has called, each instruction raises; of such calls there are as many as Lua
   allows, some hundred.

   The watchdog (watchdog.c) sends the signals. A host's tasks are looked at by
   another timer, which asks cast_watchdog_is_due; and when the host ends, they
   have the hook anyway (it stands, cast_stop_has_hook).

   LuaJIT differs in three points. Compiled code sees no hooks: what computes
   there is reached when it comes back to the interpreter, or never; so there
   are sessions in which nothing is compiled (limited.c). While the compiler
   records a trace no hook may be set (recorder.h), and one that is set in the
   middle of LuaJIT's own work on hooks may be lost: so sysmon repeats a request
   that was not served (`again` of the runner). And the hook is that of all
   coroutines of the state: it stands in for the program's (interrupt.c), may be
   called where no task runs (comes_badly), and is taken away at the end of the
   task's turn (cast_preempt_end).

   Owner: the session's.
   Invariants:
   1. `running`, if it is not NULL, is the coroutine that executes: it is set
      before each resumption of a coroutine, by us or by coroutine.resume and
      wrap (coroutine.c), and set back before anything can be freed, and while a
      task waits in place. It is NULL while a task is started or ended.
   2. `can_preempt`: each coroutine between `running` and the task's own was
      resumed by our coroutine.resume or wrap, and all of them can yield. Only
      then may a hook yield, because no code of the user's sees that yield.
   3. `preempted` is true from a yield of the hook until the task's resumer has
      seen it.
   4. `hooked` is the coroutine on which a request, or cast_stop_force, has set
      the hook, until that is called, or the task's turn ends. A coroutine that
      has just ended, or yielded, will not call it: so the function that had
      resumed that coroutine has the hook set again where the task goes on, as
      it has before it resumes another (coroutine.c). A request that is lost
      with the turn is repeated by the watchdog.
   5. `ended` is true from a yield of the hook that ends the task until the
      resumer has seen it; `preempted` is true then as well. */
#include "preempt.h"

#include "../../base.h"
#include "../../fork.h"
#include "../../host.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../../sched.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../compat/recorder.h"
#include "../compat/seal.h"
#include "../compat/yieldable.h"
#include "../state/interrupt.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/memory.h"
#include "../state/state.h"
#include "budget.h"
#include "cancel.h"
#include "last.h"
#include "scope.h"
#include "verdict.h"
#include "watchdog.h"

#if CAST_LUAJIT
#include <luajit.h>
#endif

/* -- preempt signals ------------------------------------------------------ */

/* Lua marks a function whose hook has yielded: when that goes on, its next
   event is taken for the one that yielded, and no hook is called for it. If
   there were no hook by then, the mark would stay, and cost a hook of the
   user's its first event. So this hook takes that event. */
static void after_yield(lua_State *L, lua_Debug *ar) {
  CAST_UNUSED(ar);
  cast_hook_clear(L);
}

/* Do other sessions wait for this thread, and can the task yield in L here
   (invariant 2)? */
static bool can_give_way(lua_State *L, cast_state *S) {
  cast_worker *w = S->session.runner->worker;
  return w != NULL && S->preempt.can_preempt && cast_sched_has_backlog(w) &&
         L == atomic_load_explicit(&S->preempt.running, memory_order_relaxed) &&
         cast_is_yieldable(L);
}

/* On sysmon's thread, relaxed: each is looked at again soon. */
bool cast_preempt_is_urgent(cast_session *s) {
  cast_state *S = cast_state_of(s);
  return atomic_load_explicit(&S->ending, memory_order_relaxed) ||
         cast_watchdog_is_due(S) || cast_hook_has_changed(S);
}

/* If the main program was interrupted, it goes on first. The task that computes
   has its frames on this C stack, so it blocks in place, and has its turn when
   the main program waits again, or ends. */
static void let_main_go(lua_State *L, cast_state *S, cast_ltask *t) {
  lua_State *running =
    atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
  if (cast_host_reserve(S->host) != 0) return;
  if (!S->session.ops->interrupted(&S->session) && !cast_last_is_due(S)) return;
  atomic_store_explicit(&S->preempt.running, NULL, memory_order_relaxed);
  cast_stop_allow(S); /* hooks, for others: this is one */
  cast_task_yield(&t->base);
  cast_task_block(&t->base);
  atomic_store_explicit(&S->preempt.running, running, memory_order_relaxed);
  if (cast_stop_has_hook(S)) cast_stop_watch(S, t, L);
  if (cast_stop_is_wanted(S)) (void)cast_stop_check_hook(L, S, t);
}

#if CAST_LUAJIT
/* Is this no moment to look? Calling the hook has stopped the recorder, but the
   next instruction of this universe has it clean up: so the hook comes after
   that. And LuaJIT's hook may be called where no task runs, as in a coroutine
   that makes what one has waited for: sysmon asks again. */
static bool comes_badly(lua_State *L, cast_state *S) {
  if (cast_stop_has_hook(S)) return false;
  if (cast_recorder_works(S->L)) {
    cast_hook_put(S, L, cast_preempt_hook, 1);
    return true;
  }
  /* Relaxed: for this thread. The main program never has `running` set. */
  return S->session.current != NULL && cast_current(S) != NULL &&
         atomic_load_explicit(&S->preempt.running, memory_order_relaxed) ==
           NULL;
}

/* What was asked for is done. Relaxed: sysmon reads it, at any time. */
static void note_look(cast_state *S) {
  atomic_store_explicit(&S->session.runner->again, false, memory_order_relaxed);
}
#else
static bool comes_badly(lua_State *L, cast_state *S) {
  CAST_UNUSED(L);
  CAST_UNUSED(S);
  return false;
}
static void note_look(cast_state *S) { CAST_UNUSED(S); }
#endif

/* The order matters. The hook is taken away before anything is looked at, since
   the look may lead to a new request, which must not be undone; and before
   anything is raised or yielded, since none of it comes back here. */
void cast_preempt_hook(lua_State *L, lua_Debug *ar) {
  cast_state *S = cast_state_find_in_hook(L);
  cast_ltask *t;
  CAST_UNUSED(ar);
  if (CAST_UNLIKELY(cast_forked)) { /* set before */
    cast_hook_clear(L);
    return;
  }
  t = S != NULL && S->session.current != NULL
        ? cast_ltask_of(S->session.current)
        : NULL;
  if (S == NULL) {
    cast_hook_clear(L);
    return;
  }
  /* A hook that stands stays. Relaxed: its own thread has set it. */
  if (!cast_stop_has_hook(S)) cast_hook_drop(S, L);
  atomic_store_explicit(&S->preempt.hooked, NULL, memory_order_relaxed);
  if (t != NULL && !t->doomed && cast_state_starved(S)) cast_state_collect(S);
  if (comes_badly(L, S)) return;
  note_look(S);
  if (t != NULL && cast_stop_is_wanted(S) && cast_stop_check_hook(L, S, t))
    return;
  if (t == NULL || t == S->main) return;
  if (S->host != NULL) {
    let_main_go(L, S, t);
  } else if (can_give_way(L, S)) {
    S->preempt.preempted = true;
    if (!CAST_LUAJIT && lua_gethook(L) == NULL)
      lua_sethook(L, after_yield, LUA_MASKCOUNT, 1);
    lua_yield(L, 0);
  }
}

/* Is there a hook of somebody else's? One that stops the program goes before
   ours; a debugger's or profiler's before a fair share, since the pool makes up
   for that with another thread. */
static bool is_taken(cast_state *S, lua_Hook hook) {
  if (hook == NULL || hook == after_yield) return false;
  if (CAST_LUAJIT && hook == cast_preempt_hook) return false;
  return !cast_stop_is_wanted(S) || (CAST_LUAJIT && cast_hook_has_changed(S));
}

#if CAST_LUAJIT
/* May the hook be set at this moment? If not, or should it be lost, sysmon asks
   again: a signal may come while LuaJIT itself, or the program, changes the
   hook, and then the one or the other is undone. For that it is set anew from
   scratch, as LuaJIT does nothing for one that it takes to be set.
   Relaxed: sysmon reads it, at any time. */
static bool is_moment(cast_state *S, lua_State *L) {
  if (!cast_recorder_is_known() && !S->preempt.interpreted) return false;
  atomic_store_explicit(&S->session.runner->again, true, memory_order_relaxed);
  if (!cast_recorder_rests(S->L, S->preempt.interpreted)) return false;
  if (lua_gethook(L) == cast_preempt_hook) {
    lua_sethook(L, NULL, 0, 0);
    lua_sethook(L, cast_preempt_hook, LUA_MASKCOUNT, 1);
  }
  return true;
}
#else
static bool is_moment(cast_state *S, lua_State *L) {
  CAST_UNUSED(S);
  CAST_UNUSED(L);
  return true;
}
#endif

/* Runs in a signal handler, in the middle of anything, even of Lua itself. What
   it does is what lua.c's handler does: lua_sethook is written for that. */
void cast_preempt_request(cast_session *s) {
  cast_state *S = cast_state_of(s);
  lua_State *L =
    atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
  lua_State *hooked =
    atomic_load_explicit(&S->preempt.hooked, memory_order_relaxed);
  if (L == NULL || s->current == NULL) {
    /* Nothing can be interrupted here; run_task (run.c) looks at the budget
       when the next task goes on. Relaxed: for this thread. */
    atomic_store_explicit(&S->preempt.unserved, true, memory_order_relaxed);
    return;
  }
  atomic_store_explicit(&S->preempt.hooked, NULL, memory_order_relaxed);
  if (S->host != NULL && s->current == &S->main->base) return;
  if (is_taken(S, lua_gethook(L))) return;
  /* L still has the hook that raises what the task's wait has ended with. That
     one has the watchdog set itself. */
  if (cast_hook_is_raising(L) || !is_moment(S, L)) return;
  if (hooked != L)
    atomic_store_explicit(&S->preempt.asked_ns, os_now(), memory_order_relaxed);
  atomic_store_explicit(&S->preempt.hooked, L, memory_order_relaxed);
  cast_hook_put(S, L, cast_preempt_hook, 1);
}

/* Relaxed: what is missed now is found by the next request, or the watchdog. */
bool cast_stop_is_wanted(cast_state *S) {
  cast_task *base = S->session.current;
  cast_ltask *t;
  if (base == NULL) return false;
  t = cast_ltask_of(base);
  return cast_scope_is_needed(t) || cast_cancel_is_requested(t) ||
         S->session.metered || cast_cancel_has_requests(S) ||
         atomic_load_explicit(&S->close.posted, memory_order_relaxed);
}

/* 5.4 walks a chain of __call without executing an instruction, and for each
   link moves all arguments: a cycle takes minutes until the stack is full, but
   asks for a larger stack meanwhile. Relaxed: for this thread, or for a request
   that is as good a moment later. */
bool cast_stop_is_overdue(cast_state *S) {
  cast_task *base = S->session.current;
  uint64_t asked =
    atomic_load_explicit(&S->preempt.asked_ns, memory_order_relaxed);
  if (base == NULL ||
      atomic_load_explicit(&S->preempt.hooked, memory_order_relaxed) == NULL ||
      os_now() - asked < CAST_FORCE_NS)
    return false;
  return cast_cancel_is_requested(cast_ltask_of(base)) ||
         atomic_load_explicit(&S->close.posted, memory_order_relaxed) ||
         cast_cancel_has_requests(S) || cast_budget_has_passed(S);
}

#if CAST_LUAJIT
static int flush(lua_State *L) {
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
  return 0;
}

/* Compiled loops see no hooks, so all machine code is thrown away, and they are
   interpreted again. LuaJIT refuses that with an error while a finalizer runs,
   or waits, in whatever coroutine; it compiles nothing then, but code that was
   compiled before goes on. L may be suspended: then the call is made
   elsewhere. */
void cast_stop_interpret(lua_State *L) {
  lua_Debug ar;
  if (lua_status(L) != LUA_OK || !lua_getstack(L, 0, &ar))
    L = cast_state_find(L)->work;
  if (cast_lua_cpcall(L, flush, NULL) != LUA_OK) lua_pop(L, 1);
}

#else
void cast_stop_interpret(lua_State *L) { CAST_UNUSED(L); }
#endif

void cast_stop_hook(cast_state *S, lua_State *L, int count) {
  cast_stop_interpret(L);
  cast_hook_put(S, L, cast_preempt_hook, count);
}

void cast_stop_force(lua_State *L, cast_ltask *t) {
  cast_state *S = cast_state_of(t->base.session);
  cast_stop_hook(S, L, 1);
  /* Hooks are a coroutine's own: this one goes on when L has failed. Those
     between the two get theirs as they go on (invariant 4). */
  if (t->co != NULL && t->co != L)
    cast_hook_put(S, t->co, cast_preempt_hook, 1);
  /* Relaxed: for the signal handler, which runs in this thread. */
  atomic_store_explicit(&S->preempt.hooked, L, memory_order_relaxed);
}

/* As the hook does for a task that computes, this makes each instruction raise
   if the task has gone on for CAST_FORCE_NS: it may catch the errors of
   blocking calls for ever. */
void cast_stop_check(lua_State *L, cast_ltask *t, uint64_t now_ns) {
  uint64_t since;
  cast_cancel_observe(t);
  if (!cast_scope_is_past(t, now_ns, &since)) return;
  /* Before raising: there may be no memory for the error, and what is raised
     instead may be caught. */
  if (now_ns - since >= CAST_FORCE_NS) cast_stop_force(t->at, t);
  if (cast_scope_push_error(L, t, now_ns)) lua_error(L);
}

/* Is L in a Lua function around a scope (lib_scope.c)? Between its pcall and
   its `leave` nothing may be raised, since the scope would not be left. Where
   there are continuations, a C function does it, in which no hook is called. */
static bool is_leaving(lua_State *L) {
  lua_Debug ar;
  bool is = false;
  if (CAST_HAS_YIELDK) return false;
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "f", &ar)) return false;
  for (int i = 0; i < 2; i++) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &cast_scope_makers[i]);
    is = is || lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is;
}

/* A hook that stands is called more often than the watchdog fires: the error is
   raised once in CAST_WATCHDOG_NS, so that clean-up can run in between. */
static bool may_raise(cast_ltask *t, uint64_t now) {
  cast_extra *x = cast_extra_make(t); /* without memory: yes */
  if (x == NULL) return true;
  if (now < x->again_ns) return false;
  x->again_ns = now + CAST_WATCHDOG_NS;
  return true;
}

/* 5.2 and 5.3 forget which function it is that a hook suspends, and take the
   last slot of its frame for it, which has anything in it. It is remembered
   only when the coroutine goes on. One that is ended here never does, and
   whoever looks at its stack would crash. So the function is kept, and comes
   into that slot. */
#if CAST_LUA == 502 || CAST_LUA == 503
static void keep_function(lua_State *L, cast_state *S) {
  lua_Debug ar;
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "f", &ar)) return;
  lua_xmove(L, S->work, 1);
  S->preempt.kept = true;
}

static void put_function(lua_State *co, cast_state *S) {
  if (!S->preempt.kept) return;
  S->preempt.kept = false;
  lua_pop(co, 1);
  lua_xmove(S->work, co, 1);
}
#else
static void keep_function(lua_State *L, cast_state *S) {
  CAST_UNUSED(L);
  CAST_UNUSED(S);
}
static void put_function(lua_State *co, cast_state *S) {
  CAST_UNUSED(co);
  CAST_UNUSED(S);
}
#endif

/* Ends t, which runs in L, see the opener. False: L cannot yield. Relaxed: for
   this thread. */
static bool end_here(lua_State *L, cast_state *S, cast_ltask *t) {
  if (L != atomic_load_explicit(&S->preempt.running, memory_order_relaxed) ||
      !cast_is_yieldable(L))
    return false;
  if (t->loading) cast_load_stop(t);
  S->preempt.preempted = S->preempt.ended = true;
  keep_function(L, S);
  lua_yield(L, 0);
  return true;
}

/* The error is there twice: when a coroutine fails Lua copies it, and the
   __close handlers get the lower one. There is room: Lua has made some for the
   hook. */
void cast_stop_fail(cast_state *S, lua_State *co) {
  S->preempt.preempted = S->preempt.ended = false;
  put_function(co, S);
  (void)cast_lua_reserve(co, LUA_MINSTACK);
  cast_verdict_push_end(co, S);
  lua_pushvalue(co, -1);
  cast_seal_fail(co);
}

int cast_stop_pass_on(lua_State *L, cast_state *S) {
  /* Relaxed: for this thread. */
  if (L == atomic_load_explicit(&S->preempt.running, memory_order_relaxed) &&
      cast_is_yieldable(L)) {
    S->preempt.preempted = S->preempt.ended = true;
    return lua_yield(L, 0);
  }
  if (S->session.current != NULL)
    cast_stop_force(L, cast_ltask_of(S->session.current));
  luaL_checkstack(L, 2, NULL);
  cast_verdict_push_end(L, S);
  return lua_error(L);
}

/* Called by the hook. If t may have to stop later, sets the watchdog to
   when. */
bool cast_stop_check_hook(lua_State *L, cast_state *S, cast_ltask *t) {
  uint64_t now = os_now(), late = 0, next;
  bool cancel;
  cast_cancel_observe(t);
  if (S->session.metered) (void)cast_budget_is_spent(S);
  if (!cast_scope_is_needed(t)) return false;
  t->at = L;
  next = cast_scope_look_again(t, now, &late, &cancel);
  if (next != 0) {
    cast_watchdog_set(S, next, now);
    return false;
  }
  cast_watchdog_set(S, now + CAST_WATCHDOG_NS, now);
  if (late >= CAST_FORCE_NS) {
    if (cancel && end_here(L, S, t)) return true;
    cast_stop_force(L, t);
    if (cancel) cast_verdict_raise_end(L, S, t);
    /* The scopes of a task that ends need not be left. */
    if (!cancel && is_leaving(L)) return false;
  } else if (is_leaving(L)) {
    cast_watchdog_set(S, now + CAST_STOP_NS, now);
    return false;
  } else if (!cast_stop_has_hook(S) && lua_gethook(L) == cast_preempt_hook) {
    cast_hook_drop(S, L);
  } else if (!may_raise(t, now)) {
    return false;
  }
  cast_verdict_raise(L, S, t, now);
  return false;
}

/* A task that goes on may compute from now on: the watchdog is set for its next
   time. That is what keeps invariant 1 of watchdog.c. */
void cast_stop_watch(cast_state *S, cast_ltask *t, lua_State *L) {
  uint64_t now, at;
  if (t == S->main) return;
  if (cast_stop_has_hook(S)) cast_stop_hook(S, L, CAST_WATCH_COUNT);
  if (!cast_scope_is_needed(t)) return;
  now = os_now();
  at = cast_scope_observe(t, L, now);
  if (at == OS_FOREVER) return;
  if (CAST_UNLIKELY(cast_scope_is_overdue(t, now))) cast_stop_force(L, t);
  at += CAST_STOP_NS;
  cast_watchdog_set(S, at > now ? at : now + CAST_WATCHDOG_NS, now);
}

/* Relaxed: for the signal handler, which runs in this thread. */
void cast_preempt_begin(cast_state *S, cast_ltask *t, lua_State *co) {
  atomic_store_explicit(&S->preempt.running, co, memory_order_relaxed);
  S->preempt.can_preempt = false;
  cast_stop_watch(S, t, co);
}

/* -- raising an error in a suspended coroutine ---------------------------- */

#if !CAST_HAS_YIELDK
/* In the registry: the error that raise_hook raises; nil: none was kept. */
static const char raise_key = 0;

static void raise_error(lua_State *L) {
  cast_state *S = cast_state_find_in_hook(L);
  if (S != NULL)
    cast_hook_drop(S, L);
  else
    cast_hook_clear(L);
  if (S != NULL && S->session.current != NULL)
    cast_stop_watch(S, cast_ltask_of(S->session.current), L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raise_key);
  cast_verdict_allow(L, S);
  lua_error(L);
}

/* 5.1 and LuaJIT have no continuations, in which a function that has yielded
   could raise an error: so a hook does, at the next instruction of the Lua
   function that has called it (deliver.c). */
static void raise_hook(lua_State *L, lua_Debug *ar) {
  CAST_UNUSED(ar);
  raise_error(L);
}

#if CAST_LUAJIT
void cast_hook_raise_late(lua_State *L) {
  if (cast_hook_is_raising(L)) raise_error(L);
}

void cast_preempt_drop(cast_state *S, lua_State *L) {
  if (CAST_UNLIKELY(lua_gethook(L) == cast_preempt_hook) &&
      !cast_stop_has_hook(S))
    cast_hook_drop(S, L);
}
#endif

/* LuaJIT may return from the call to compiled code, which would see the hook
   too late, where no error of that call is expected any more. (While a
   finalizer waits, that code cannot be thrown away: then the next call that may
   wait raises the error, at the latest.) */
void cast_hook_raise(cast_state *S, lua_State *co) {
  cast_stop_interpret(co);
  if (CAST_LUAJIT && S->host != NULL) cast_hook_mark(co);
  cast_hook_put(S, co, raise_hook, 1);
}

void cast_hook_raise_keep(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raise_key);
}

bool cast_hook_is_raising(lua_State *L) { return lua_gethook(L) == raise_hook; }
#else
bool cast_hook_is_raising(lua_State *L) { return CAST_UNUSED(L), false; }
#endif
