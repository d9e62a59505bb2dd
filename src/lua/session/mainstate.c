/* mainstate.c - the Lua state of a main program as a session, and its end.
   SPDX-License-Identifier: MIT

   The thread of the main program runs the tasks of the host's session, while
   the main program waits in one of our functions. When lua_close begins, the
   first finalizer of ours that it calls (the one of the box here, or of a
   handle) ends the session: all its tasks are cancelled and unwound, all
   sessions below it are closed, and both are waited for, for a limited time
   (cast_last_end). A task that is stuck in C code keeps its memory, and that of
   the session.

   Owner: the host's thread, but host_wake is called by any. */
#include "mainstate.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../event.h"
#include "../../fork.h"
#include "../../heap.h"
#include "../../host.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../runtime.h"
#include "../../session.h"
#include "../../slice.h"
#include "../../sysmon.h"
#include "../../task.h"
#include "../../timer.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/yieldable.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/interrupt.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../stop/last.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../stop/verdict.h"
#include "../task/failure.h"
#include "../task/newtask.h"
#include "../task/rebuild.h"
#include "../task/run.h"
#include "../transfer/pack.h"
#include "family.h"
#include "loader.h"
#include "newsession.h"
#include "program.h"

#include <stdlib.h>

static void host_wake(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_host_wake(cast_state_of(s)->host);
}

/* Nothing is left to close: cast_state_end has done it before. */
static void host_close(cast_session *s) { CAST_UNUSED(s); }

/* Ends the main program's wait if there is a reason: a signal handler has set a
   hook to stop the program (as lua.c's does on Ctrl-C), and the program then
   calls that hook (interrupt.c); a task has met that hook in its place; or the
   time for waits of finalizers is up (last.h). */
static bool host_interrupted(cast_session *s) {
  cast_state *S = cast_state_of(s);
  if (cast_last_is_due(S))
    return cast_wait_end(&S->main->base, CASTING_ETIMEOUT);
  if (CAST_LIKELY(!cast_hook_has_changed(S) && !S->interrupt.main_interrupted))
    return false;
  return cast_wait_end(&S->main->base, CASTING_EINTR);
}

const cast_session_ops cast_host_ops = {
  .wake = host_wake,
  .resume = cast_ltask_resume,
  .extended_until = cast_scope_extended_until,
  .close = host_close,
  .free = cast_session_free,
  .interrupted = host_interrupted,
  .preempt = cast_preempt_request,
  .urgent = cast_preempt_is_urgent,
};

/* Waits until `e` is set, or the deadline has passed, and returns whether it is
   set. The main program waits as in any blocking call, so its thread runs the
   session's tasks meanwhile. Without memory for the wait there is none. */
static bool host_await(cast_state *S, cast_event *e, uint64_t deadline_ns) {
  cast_task *t = &S->main->base;
  if (cast_event_is_set(e)) return true;
  if (cast_sysmon_start() != 0 || cast_host_prepare(S->host) != 0 ||
      cast_wait_reserve(t) != 0 || cast_host_reserve(S->host) != 0)
    return cast_event_is_set(e);
  S->main->kind = NULL;
  if (cast_event_wait(e, t) != CAST_PARKED) return true;
  cast_wait_until(t, deadline_ns);
  cast_host_block(S->host);
  /* In the child of a fork by a task, nothing has ended the wait. */
  if (CAST_UNLIKELY(cast_forked)) return false;
  cast_wait_done(t);
  return t->wait.result == 0;
}

/* Waits until all sessions below the host have closed. A task that still
   unwinds in one of them may make a session meanwhile, which is not in the list
   that cast_state_close_children has seen; so each is asked to close here,
   too. */
static bool await_children(cast_state *root, uint64_t deadline_ns) {
  cast_state *S;
  bool all = true;
  while (all && (S = cast_state_child(root, NULL)) != NULL) {
    cast_state_close(S, &root->session);
    all = host_await(root, &S->session.closed, deadline_ns);
    cast_session_unref_weak(&S->session);
  }
  return all;
}

/* Cancels everything in the host and below it, and waits for the end of it
   until the deadline. Its own tasks unwind first: they may still use the
   sessions that they have made. True if all has ended. */
static bool unwind(cast_state *S, lua_State *L, uint64_t deadline) {
  bool all;
  cast_hook_note(S, L);
  S->host->pollable = false;
  cast_host_return(S->host);
  cast_stop_allow(S);
  if (S->main->loading) cast_load_leave(S, S->main);
  cast_cancel_close(&S->session);
  all = host_await(S, &S->session.empty, deadline);
  if (CAST_UNLIKELY(cast_forked)) return false;
  cast_state_close_children(S, &S->session);
  return all && await_children(S, deadline);
}

/* Called by the first finalizer of ours that lua_close runs. That finalizer may
   run in a task, if it was pending when a task collects garbage: then the end
   is deferred to who waits on the main program's stack (last.h). From *box =
   NULL on, the functions of the module raise that casting is closed. A function
   in which such a finalizer runs goes on afterwards: what it may use stays in
   memory then, as it does if a task is stuck. */
void cast_state_end(lua_State *L) {
  uint64_t deadline;
  cast_state **box, *S;
  bool all, nested;
  cast_state_box(L);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  S = box != NULL ? *box : NULL;
  /* In the child of a fork all this is the parent's. */
  if (CAST_UNLIKELY(cast_forked)) return;
  if (S == NULL || S->host == NULL || cast_last_defer(L, S) ||
      atomic_exchange_explicit(&S->ending, true, memory_order_relaxed))
    return;
  deadline = cast_last_end(S);
  nested = cast_last_is_nested(L, S);
  if (nested) cast_state_keep(L);
  /* os.exit(n, true) in a task closes the state from that task's stack. The
     main program can never go on, and the process ends as soon as the state has
     closed: the tasks are taken off their queues, and not unwound. The handler
     of the preempt signal must not look at coroutines any more, which lua_close
     frees. */
  if (S->session.current != &S->main->base) {
    cast_preempt_forget(S);
    cast_cancel_abandon(S);
    cast_loader_leave(S);
    *box = NULL;
    return;
  }
  all = unwind(S, L, deadline);
  if (CAST_UNLIKELY(cast_forked)) { /* by a task that was unwinding */
    *box = NULL;
    return;
  }
  /* From here on nothing runs in the state but finalizers that lua_close calls,
     and those find casting closed. What needs the runtime at its end is given
     up now, since the runtime may stop below. */
  S->closing = true;
  cast_event_set(&S->main->base.done, NULL); /* for its permits */
  cast_scope_leave_all(S->main);
  cast_rebuild_drop(S, NULL, NULL);
  cast_host_unwatch(S->host); /* its timer reads the Lua state */
  if (S->host->deadlock_report != NULL) cast_unref(S->host->deadlock_report);
  S->host->deadlock_report = NULL;
  all = cast_failures_flush(S, deadline) && all;
  if (nested) {
    *box = NULL;
    cast_runtime_unref(all);
    return;
  }
  cast_handles_release(L);
  cast_cleanup_run_all(S);
  cast_release_arg(S->main);
  cast_packer_close(S->packer, S->session.ntasks > 0);
  *box = NULL;
  /* If a task is stuck, its memory stays, and the session with it. */
  if (S->session.ntasks == 0) {
    cast_session_end(&S->session);
    cast_host_fini(S->host);
    cast_unref(&S->main->base.object);
    cast_unref(&S->session.object);
    cast_session_unref_weak(&S->session);
  }
  cast_runtime_unref(all);
}

/* The finalizer of the box. Only the box in the registry stands for the
   session: another one is from an attempt to make a host that has failed, and
   is garbage like any. */
static int guard_gc(lua_State *L) {
  cast_state_box(L);
  if (lua_touserdata(L, 1) == lua_touserdata(L, -1)) cast_state_end(L);
  return 0;
}

/* Makes the session and the task of the main program: 0 or CASTING_ENOMEM. What
   it has allocated then is freed by the caller. */
static int init_host(cast_state *S, lua_State *L) {
  int rc;
  S->root = S;
  S->host = cast_calloc(sizeof *S->host);
  S->main = cast_calloc(sizeof *S->main);
  if (S->host == NULL || S->main == NULL || !cast_signals_init(S))
    return CASTING_ENOMEM;
  rc = cast_session_init(&S->session, &cast_host_ops, true);
  if (rc == 0) {
    cast_task_init(&S->main->base, &S->session, &cast_task_type);
    rc = cast_host_init(S->host, &S->session, &S->main->base);
  }
  if (rc != 0) {
    cast_timer_remove(&S->session.alarm);
    cast_heap_fini(&S->session.deadlines);
    return rc;
  }
  S->main->base.session = &S->session;
  S->L = cast_main_thread(L);
  return 0;
}

/* What allocates in L may run a finalizer, which may require casting, too. So
   the box comes first, and only after it is looked whether the state is a host
   by now; from there to cast_state_keep_box nothing runs Lua code. If the last
   step fails, the state is a host without its packer, and luaopen_casting tries
   cast_state_init_lua again. */
cast_state *cast_state_host(lua_State *L, const cast_binding *binding) {
  cast_state **box, *S;
  cast_probe(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  box = cast_state_push_box(L, guard_gc);
  S = cast_state_find(L); /* a finalizer may have made it a host meanwhile */
  if (S != NULL) {
    lua_pop(L, 1);
    return S;
  }
  if (cast_runtime_ref() != 0) cast_raise_memory(L);
  S = cast_state_alloc(binding, "main", 4);
  if (S == NULL || init_host(S, L) != 0) {
    if (S != NULL) {
      cast_free(S->main);
      cast_free(S->host);
      cast_free(S->signals);
    }
    cast_free(S);
    cast_runtime_unref(true);
    cast_raise_memory(L);
  }
  *box = S;
  cast_state_keep_box(L);
  cast_last_open(L, S);
  cast_state_init_lua(L, S);
  return S;
}
