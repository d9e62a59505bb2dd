/* mainstate.c - the Lua state of a main program as a session, and its end.
   SPDX-License-Identifier: MIT

   A host's session is run by the thread of its main program, while that waits
   in one of our functions. When lua_close begins, all its tasks are cancelled
   and unwound, all sessions below it are closed, and waited for. */
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
#include "../task/failure.h"
#include "../task/newtask.h"
#include "../task/rebuild.h"
#include "../task/run.h"
#include "../transfer/pack.h"
#include "family.h"
#include "newsession.h"
#include "program.h"

#include <stdlib.h>

static void host_wake(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_host_wake(cast_state_of(s)->host);
}

static void host_close(cast_session *s) { CAST_UNUSED(s); }

/* A signal handler sets a hook to stop the main program (as lua.c's does on
   Ctrl-C). Its wait ends then; interrupt.c calls the hook. */
static bool host_interrupted(cast_session *s) {
  cast_state *S = cast_state_of(s);
  if (cast_last_is_due(S))
    return cast_wait_end(&S->main->base, CASTING_ETIMEOUT);
  if (CAST_LIKELY(!cast_hook_has_changed(S) && !S->main_interrupted))
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
#if !CAST_LUAJIT
  .preempt = cast_preempt_request,
  .urgent = cast_preempt_is_urgent,
#endif
};

/* Lets the host's thread run its session until `e` is set, or the deadline.
   The main program waits as it does in any blocking call. */
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
  if (CAST_UNLIKELY(cast_forked)) return false; /* nothing has ended it */
  cast_wait_done(t);
  return t->wait.result == 0;
}

/* A task that is still unwinding may make sessions meanwhile: each is told to
   close before it is waited for. */
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

/* The host's state is being closed: everything is cancelled, unwound, joined.
   Called by the first finalizer of ours that lua_close runs. */
void cast_state_end(lua_State *L) {
  uint64_t deadline;
  cast_state **box, *S;
  bool all;
  cast_state_box(L);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  S = box != NULL ? *box : NULL;
  if (CAST_UNLIKELY(cast_forked)) return; /* all this is the parent's */
  if (S == NULL || S->host == NULL || cast_last_defer(L, S) ||
      atomic_exchange_explicit(&S->ending, true, memory_order_relaxed))
    return;
  deadline = cast_last_end(S);
  /* os.exit(n, true) in a task: the main program cannot go on any more, and
     the process ends as soon as the state has closed. */
  if (S->session.current != &S->main->base) {
    cast_cancel_abandon(S);
    *box = NULL;
    return;
  }
  all = unwind(S, L, deadline);
  if (CAST_UNLIKELY(cast_forked)) { /* by a task that was unwinding */
    *box = NULL;
    return;
  }
  S->closing = true;
  cast_scope_leave_all(S->main);
  cast_rebuild_drop(S, NULL, NULL);
  cast_host_unwatch(S->host); /* the timer looks at the Lua state */
  if (S->host->deadlock_report != NULL) cast_unref(S->host->deadlock_report);
  S->host->deadlock_report = NULL;
  all = cast_failures_flush(S, deadline) && all;
  cast_handles_release(L);
  cast_cleanup_run_all(S);
  cast_release_arg(S->main);
  cast_packer_close(S->packer);
  *box = NULL;
  /* Should a task be stuck, its memory stays, and the session with it. */
  if (S->session.ntasks == 0) {
    cast_session_end(&S->session);
    cast_host_fini(S->host);
    cast_unref(&S->main->base.object);
    cast_unref(&S->session.object);
    cast_session_unref_weak(&S->session);
  }
  cast_runtime_unref(all);
}

/* Of the box that is in the registry: one of an earlier attempt, which could
   not be made into a host, is any garbage. */
static int guard_gc(lua_State *L) {
  cast_state_box(L);
  if (lua_touserdata(L, 1) == lua_touserdata(L, -1)) cast_state_end(L);
  return 0;
}

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

cast_state *cast_state_host(lua_State *L, const cast_binding *binding) {
  cast_state **box, *S;
  cast_probe(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  box = cast_state_push_box(L, guard_gc);
  S = cast_state_find(L); /* a finalizer that ran may have made it one */
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
