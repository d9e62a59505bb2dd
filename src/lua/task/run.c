/* run.c - tasks as coroutines: start, resume, end.
   SPDX-License-Identifier: MIT

   The session's loop (slice.h) calls cast_ltask_resume. A task's first turn
   gives it its coroutine (begin); each turn resumes that until it yields or
   ends (run_task); at its end the results are put where joiners find them
   (finish).

   Between two tasks Lua is only called protected (cast_protect): no task runs
   then, and an error must not leave the loop. A finalizer may run in each of
   these calls, and do anything in the name of the task but wait. The end of a
   task, however, calls code of the program that may wait, as that task: the
   __tostring of its error, and __close handlers.
   Owner: the task's session. */
#include "run.h"

#include "../../base.h"
#include "../../buffer.h"
#include "../../context.h"
#include "../../fork.h"
#include "../../msg.h"
#include "../../slice.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/seal.h"
#include "../compat/stack.h"
#include "../state/interrupt.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/memory.h"
#include "../state/protect.h"
#include "../state/state.h"
#include "../stop/budget.h"
#include "../stop/cancel.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../transfer/pack.h"
#include "cases.h"
#include "complete.h"
#include "crossing.h"
#include "deliver.h"
#include "describe.h"
#include "failure.h"
#include "newtask.h"
#include "origin.h"
#include "outcome.h"
#include "pending.h"
#include "rebuild.h"

/* -- coroutines ----------------------------------------------------------- */

/* The argument of protected functions that get a coroutine, into `co`. They may
   be called several times (protect.h). */
typedef struct starting {
  cast_state *S;
  cast_coroutine co;
} starting;

static int get_protected(lua_State *L) {
  starting *a = lua_touserdata(L, 1);
  if (a->co.L == NULL) a->co = cast_coroutine_get(L, a->S);
  return 0;
}

/* -- the end of a task ---------------------------------------------------- */

/* Drops what the latest operation of the task may have left when an error has
   left it: the task has ended, or code of the program has just run in its
   name. */
static void drop_operation(cast_state *S, cast_ltask *t) {
  if (CAST_UNLIKELY(t->loading)) cast_load_leave(S, t);
  cast_release_arg(t);
  cast_scope_leave_all(t);
  cast_msg_drop(&t->base.waiter.msg);
  cast_rebuild_drop(S, t, NULL);
  cast_cases_drop(t);
}

static int describe_protected(lua_State *L) {
  cast_describe_failure(L, lua_touserdata(L, 1));
  return 0;
}

/* Finds out the texts of the error on the top of its coroutine. */
static void describe(cast_ending *e) {
  cast_describe_error(e);
  drop_operation(e->S, e->t);
  e->described = cast_protect_finally(e->S, describe_protected, e) == LUA_OK;
}

/* Packs them with the error for casting.on_error. */
static int pack_failure(lua_State *L) {
  cast_ending *e = lua_touserdata(L, 1);
  cast_msg_drop(&e->msg);
  lua_xmove(e->co, L, 1);
  lua_pushvalue(L, 2);
  lua_xmove(L, e->co, 1); /* its place has just become free */
  lua_pushstring(L, e->traceback.text);
  cast_failure_pack(L, e->S, e->as_text ? 0 : 2, e->error.text, -1, &e->msg);
  return 0;
}

/* Without memory for the error, or with a __save in it that waits, which none
   can between two tasks, its text takes its place. */
static bool pack_report(cast_ending *e) {
  if (!e->described || e->co == NULL) return false;
  if (cast_protect_finally(e->S, pack_failure, e) == LUA_OK) return true;
  e->as_text = true;
  return cast_protect_finally(e->S, pack_failure, e) == LUA_OK;
}

/* Makes the record of a failure (failure.c): of what was described, or that
   there was no memory. What fails because everything ends, or because Ctrl-C
   has met a task instead of the main program, is not reported. */
static void record(cast_ending *e, bool described) {
  static const char lost[] =
    CAST_NO_MEMORY "\nstack traceback:\n\t(no memory for it)";
  cast_state *S = e->S;
  cast_extra *x = cast_extra_make(e->t);
  if (x != NULL && x->failure == NULL)
    x->failure =
      cast_failure_new(e->t, described ? e->error.text : CAST_NO_MEMORY,
        described ? e->traceback.text : lost, &e->msg);
  /* Relaxed: a failure at the same moment may be reported or not. */
  if ((e->failed && e->co != NULL && cast_hook_has_interrupted(S, e->co)) ||
      atomic_load_explicit(&S->root->ending, memory_order_relaxed) ||
      atomic_load_explicit(&S->close.posted, memory_order_relaxed))
    atomic_store_explicit(&e->t->joined, true, memory_order_relaxed);
}

/* Without memory to pack the error the report has its texts alone. */
static void fail(cast_ending *e) {
  if (cast_failure_has_channel()) (void)cast_ltask_share(e->t, CAST_TOLD);
  if (!pack_report(e)) cast_msg_drop(&e->msg);
  record(e, e->described);
  cast_buffer_fini(&e->error);
  cast_buffer_fini(&e->stack);
  cast_buffer_fini(&e->traceback);
  cast_buffer_fini(&e->before);
  cast_msg_drop(&e->msg);
}

/* In the child of a fork, where nothing else can report it. */
static int print_failure(lua_State *L) {
  cast_ending *e = lua_touserdata(L, 1);
  cast_describe_failure(L, e);
  cast_failure_print(e->t, e->traceback.text);
  return 0;
}

/* As get_protected, but a coroutine that the program does not have. */
static int new_protected(lua_State *L) {
  starting *a = lua_touserdata(L, 1);
  if (a->co.L == NULL) a->co = cast_coroutine_new(L, a->S);
  return 0;
}

/* Closes the pending variables of a coroutine that an error has ended. Their
   handlers may do anything, and wait, as the task; the error is put aside
   meanwhile, into a coroutine that the program does not have. Returns whether a
   handler has raised another error, which is in its place then; a cancellation
   does not count. Without memory to put it aside the error is lost (e->co). */
static bool close_pending(cast_ending *e) {
  cast_state *S = e->S;
  cast_ltask *t = e->t;
  starting a = {S, {NULL, LUA_NOREF}};
  bool other = false;
  int status;
  if (cast_protect_finally(S, new_protected, &a) == LUA_OK)
    lua_xmove(e->co, a.co.L, 1);
  t->stage = CAST_STAGE_CLOSING;
  cast_preempt_begin(S, t, t->co);
  status = cast_lua_close_thread(t->co, NULL);
  cast_preempt_end(S, t->co);
  if (status != LUA_OK && a.co.L != NULL) {
    lua_xmove(t->co, a.co.L, 1);
    other = !lua_rawequal(a.co.L, -1, -2) && !cast_cancel_is_error(a.co.L, -1);
    if (other) lua_replace(a.co.L, -2);
    if (!other) lua_pop(a.co.L, 1);
  }
  drop_operation(S, t);
  e->co = a.co.L;
  e->aside = a.co;
  return other;
}

/* The task has failed with the error of a handler, as after any call. */
static cast_status fail_in_close(cast_ending *e) {
  e->failed = e->in_close = true;
  e->nres = 1;
  e->before = e->traceback;
  memset(&e->traceback, 0, sizeof e->traceback);
  cast_buffer_fini(&e->error);
  describe(e);
  return CAST_FAILED;
}

static int keep_protected(lua_State *L) {
  cast_ending *e = lua_touserdata(L, 1);
  cast_ltask_keep(L);
  if (CAST_UNLIKELY(e->results.msg.nrefs > 0)) cast_crossing_end(L, e);
  return 0;
}

/* An error is kept amply, as its failure is told. What is refused although no
   finalizer runs is a __save that waits: then that is why the results cannot
   cross, to those who are told that. */
static bool keep_safely(cast_ending *e) {
  cast_state *S = e->S;
  int status = e->failed ? cast_protect_finally(S, keep_protected, e)
                         : cast_protect(S, keep_protected, e);
  if (status != LUA_OK && S->protect.refused) {
    S->protect.final = true;
    status = cast_protect(S, keep_protected, e);
    S->protect.final = false;
  }
  return status == LUA_OK;
}

/* Keeps the results for tasks that join. False: out of memory; joiners are told
   that, which takes none. */
static bool keep(cast_ending *e) {
  if (e->nres == 0) return true;
  if (e->co != NULL && keep_safely(e)) return true;
  if (e->complete)
    cast_pack_undo(e->S->packer, e->S->work, &e->results.msg);
  else
    cast_msg_drop(&e->results.msg);
  cast_pack_text(CAST_NO_MEMORY, &e->results.msg);
  e->results.crossing = CAST_CROSSES_RESULTS;
  e->results.told = false;
  e->t->stored = false;
  if (!e->failed) record(e, false);
  return false;
}

/* The task has ended: nothing of it is owned by its coroutine any more. */
static void leave(cast_ltask *t, cast_status how) {
  t->stage = CAST_STAGE_ENDED;
  CAST_CHECK(cast_ltask_prove(t));
  cast_cancel_end(t);
  cast_ltask_left(t);
  cast_task_finish(&t->base, how);
}

static int forget_origin(lua_State *L) {
  cast_origin_drop(L, lua_touserdata(L, 1));
  return 0;
}

/* The coroutine of t has ended, or will not be resumed: with nres values on its
   stack, or with an error. The order: the operation is dropped first, since an
   error may have left it; then code of the program may run (describe,
   close_pending, keep); then the coroutine is given back; last the task gets
   its results, and joiners are woken. */
static void finish(cast_state *S, cast_ltask *t, int status, int nres) {
  cast_ending e = {.S = S, .t = t, .co = t->co, .nres = nres};
  cast_status how = CAST_DONE;
  /* Can the coroutine be used again? Not after an error: if a hook has raised
     it, Lua allows no more hooks there. Nor if it has yielded for the last
     time. */
  bool clean = status == LUA_OK && !t->last;
  if (CAST_UNLIKELY(cast_forked)) {
    if (status != LUA_OK) (void)cast_lua_cpcall(S->work, print_failure, &e);
    cast_state_forked(S, status == LUA_OK);
  }
  drop_operation(S, t);
  if (status != LUA_OK) {
    how = cast_cancel_is_error(t->co, -1) ? CAST_CANCELLED : CAST_FAILED;
    e.nres = how == CAST_FAILED ? 1 : 0;
  }
  if (how == CAST_FAILED) {
    e.failed = true;
    describe(&e);
  }
  if (CAST_HAS_CLOSE && !clean && close_pending(&e)) how = fail_in_close(&e);
  if (how == CAST_FAILED) fail(&e);
  if (CAST_UNLIKELY(t->extra != NULL && t->extra->origin != NULL))
    (void)cast_protect(S, forget_origin, t);
  if (!keep(&e)) how = CAST_FAILED;
  if (e.aside.L != NULL) cast_coroutine_put(S, e.aside, true);
  cast_coroutine_put(S, cast_co(t), clean);
  t->co = NULL;
  if (CAST_LUA < 502 && (status == LUA_ERRMEM || cast_state_starved(S)))
    cast_state_collect(S);
  cast_ltask_have(t, &e.results);
  leave(t, how);
}

/* -- starting ------------------------------------------------------------- */

/* A task made by another session begins, with what its creator has packed. That
   is kept here while its coroutine is made and called: a finalizer may run
   then, and use waiter.msg. */
typedef struct packed {
  cast_ltask *task;
  cast_msg msg;
} packed;

/* Runs in the new coroutine, and returns the function and its arguments to
   it. */
static int unpack_start(lua_State *L) {
  packed *p = lua_touserdata(L, 1);
  cast_ltask *t = p->task;
  cast_state *S = cast_state_of(t->base.session);
  int n;
  cast_msg_drop(&t->base.waiter.msg);
  cast_msg_move(&t->base.waiter.msg, &p->msg);
  lua_settop(L, 0);
  n = cast_rebuild_values(L, S, t, &t->base.waiter.msg);
  if (lua_type(L, 1) == LUA_TSTRING) { /* source text from C */
    size_t size;
    const char *text = lua_tolstring(L, 1, &size);
    if (cast_lua_load(L, text, size, "=(spawn)", "t") != LUA_OK) lua_error(L);
    lua_replace(L, 1);
  }
  return n;
}

static int start_protected(lua_State *L) {
  get_protected(L);
  starting *a = lua_touserdata(L, 1);
  /* Before 5.2 making a C function takes memory, so it is done in here. */
  if (lua_gettop(a->co.L) > 0) return 0;
  lua_pushcfunction(L, unpack_start);
  lua_xmove(L, a->co.L, 1);
  return 0;
}

/* As cast_protect, for what a task needs to begin. Where that fails for want of
   memory, all garbage is collected, and it is tried again: what a coroutine
   that has just ended has left may need two collections to go, since Lua keeps
   what its open upvalues had for one more (5.3). */
static bool protect_start(cast_state *S, lua_CFunction fn, starting *a) {
  if (cast_protect(S, fn, a) == LUA_OK) return true;
  cast_state_collect(S);
  return cast_protect(S, fn, a) == LUA_OK;
}

/* There was no memory for a coroutine: t ends with that error. */
static void fail_to_start(cast_state *S, cast_ltask *t) {
  cast_ending e = {.S = S, .t = t};
  cast_msg_drop(&t->base.waiter.msg);
  cast_pack_text(CAST_NO_MEMORY, &t->base.waiter.msg);
  t->crossing = CAST_CROSSES_RESULTS;
  record(&e, false);
  leave(t, CAST_FAILED);
}

/* A pending task gets its coroutine. False: it has ended. */
static bool start_own(cast_state *S, cast_ltask *t) {
  starting a = {S, {NULL, LUA_NOREF}};
  if (CAST_UNLIKELY(!cast_coroutine_reuse(S, &a.co)) &&
      !protect_start(S, get_protected, &a)) {
    if (a.co.L != NULL) cast_coroutine_put(S, a.co, true);
    cast_pending_give(S, t, NULL);
    fail_to_start(S, t);
    return false;
  }
  cast_pending_give(S, t, a.co.L);
  cast_co_set(t, a.co); /* not before: pending.c */
  return true;
}

/* A task made elsewhere gets its coroutine, function and arguments. Returns the
   number of arguments; -1: it has failed and ended. */
static int start_remote(cast_state *S, cast_ltask *t) {
  starting a = {S, {NULL, LUA_NOREF}};
  packed p = {.task = t};
  int status, nres;
  cast_msg_move(&p.msg, &t->base.waiter.msg);
  if (!protect_start(S, start_protected, &a)) {
    if (a.co.L != NULL) cast_coroutine_put(S, a.co, true);
    cast_msg_drop(&p.msg);
    fail_to_start(S, t);
    return -1;
  }
  cast_co_set(t, a.co);
  lua_pushlightuserdata(t->co, &p);
  cast_preempt_begin(S, t, t->co); /* modules may be loaded for its values */
  status = cast_lua_resume(t->co, 1, &nres);
  cast_preempt_end(S, t->co);
  cast_msg_drop(&p.msg);
  if (status != LUA_OK) status = cast_stop_outcome(S, t->co, status);
  /* There is at least a function. But 5.5's coroutine.close() ends what runs,
     without results: the task has done so itself. */
  if (status != LUA_OK || nres == 0) {
    finish(S, t, status, nres);
    return -1;
  }
  return nres - 1;
}

/* Is the C function that has yielded the only one in co? What co is resumed
   with is then what the task ends with: see deliver.c. */
static bool is_alone(lua_State *co) {
  lua_Debug ar;
  return !lua_getstack(co, 1, &ar);
}

/* -- running -------------------------------------------------------------- */

static int describe_unborn(lua_State *L) {
  cast_ending *e = lua_touserdata(L, 1);
  cast_buffer_fini(&e->error);
  cast_budget_push(L, e->S);
  cast_buffer_add(&e->error, lua_tostring(L, -1));
  if (e->error.lacking) cast_raise_memory(L);
  return 0;
}

/* It has failed, as the session had used up its time. */
static void fail_unborn(cast_state *S, cast_ltask *t) {
  cast_ending e = {.S = S, .t = t};
  if (cast_protect_finally(S, describe_unborn, &e) == LUA_OK)
    cast_buffer_form(
      &e.traceback, "%s\nstack traceback:\n\t(it had not begun)", e.error.text);
  record(&e, e.traceback.size > 0 && !e.traceback.lacking);
  cast_buffer_fini(&e.error);
  cast_buffer_fini(&e.traceback);
}

/* A task that is cancelled before its first turn ends without having run. */
static void end_unborn(cast_state *S, cast_ltask *t, cast_stage from) {
  bool over = cast_budget_is_over(S);
  if (from == CAST_STAGE_LOADED) cast_coroutine_put(S, cast_co(t), true);
  if (from == CAST_STAGE_PENDING) cast_pending_give(S, t, NULL);
  t->co = NULL;
  cast_msg_drop(&t->base.waiter.msg);
  if (over) fail_unborn(S, t);
  leave(t, over ? CAST_FAILED : CAST_CANCELLED);
}

/* The first turn of t: returns as prepare. What asks that t ends, and comes
   from elsewhere, stands in the inbox behind t; so it is looked for here. And t
   may have been made when the session had used up its time, after its tasks
   were told. A finalizer may run while its coroutine is made; to that, t has
   begun. */
static int begin(cast_state *S, cast_ltask *t) {
  cast_stage from = (cast_stage)t->stage;
  t->stage = CAST_STAGE_BEGUN;
  cast_cancel_observe(t);
  if (CAST_UNLIKELY(S->session.metered) && cast_budget_is_over(S))
    cast_task_cancel(&t->base);
  if (t->base.cancelled) {
    end_unborn(S, t, from);
    return -1;
  }
  if (from == CAST_STAGE_PACKED) return start_remote(S, t);
  if (from == CAST_STAGE_PENDING && !start_own(S, t)) return -1;
  return lua_gettop(t->co) - 1;
}

/* Prepares the resumption of t. Returns how many values on the coroutine's
   stack to resume it with; -1: t has ended before it could be resumed. */
static int prepare(cast_state *S, cast_ltask *t) {
  bool parked = t->parked;
  int n = 0;
  CAST_CHECK(cast_ltask_prove(t));
  if (t->stage != CAST_STAGE_BEGUN) return begin(S, t);
  t->parked = false; /* now: to deliver its results may wait in place */
  if (!CAST_HAS_YIELDK && parked) n = cast_deliver(S, t);
  if (!CAST_HAS_YIELDK && CAST_UNLIKELY(t->last)) {
    finish(S, t, t->raising ? LUA_ERRRUN : LUA_OK, n);
    return -1;
  }
  cast_unseal(t->co);
  return n;
}

/* Runs t until it waits or ends. */
static inline void run_task(cast_state *S, cast_ltask *t) {
  int n, nres, status;
again:
  if (t->parked && cast_waits_again(t)) return;
  n = prepare(S, t);
  if (n < 0) return;
  atomic_store_explicit(&S->preempt.running, t->co, memory_order_relaxed);
  S->preempt.can_preempt = true;
  if (CAST_UNLIKELY(cast_state_starved(S))) cast_state_starve(S);
  /* Relaxed: set by a signal handler of this thread, before `running` was. */
  if (CAST_UNLIKELY(S->session.metered) &&
      atomic_load_explicit(&S->preempt.unserved, memory_order_relaxed)) {
    atomic_store_explicit(&S->preempt.unserved, false, memory_order_relaxed);
    (void)cast_budget_is_spent(S);
  }
  if (CAST_LUAJIT && S->host != NULL) cast_hook_mark(t->co);
  if (CAST_UNLIKELY(S->host != NULL || cast_scope_is_needed(t)) && !t->raising)
    cast_stop_watch(S, t, t->co);
  status = cast_lua_resume(t->co, n, &nres);
  cast_preempt_end(S, t->co);
  if (!CAST_HAS_YIELDK) cast_deliver_end(t);
  if (status != LUA_YIELD) {
    finish(S, t, status, nres);
    return;
  }
  cast_seal(t->co);
  if (CAST_UNLIKELY(S->preempt.preempted)) {
    if (S->preempt.ended) {
      cast_unseal(t->co);
      cast_stop_fail(S, t->co);
      finish(S, t, LUA_ERRRUN, 1);
      return;
    }
    S->preempt.preempted = false;
    cast_task_preempt(&t->base);
  } else if (!t->parked) {
    /* coroutine.yield in the task itself: lets others run. */
    lua_pop(t->co, nres);
    t->last = !CAST_HAS_YIELDK && is_alone(t->co);
    if (CAST_UNLIKELY(cast_forked)) goto again; /* there are no others */
    if (CAST_UNLIKELY(t->loading)) cast_load_leave(S, t);
    cast_task_yield(&t->base);
  }
}

/* Goes on with the next ready task of the session, and with the next session,
   instead of returning for each: a yield has come by longjmp, after which the
   processor mispredicts the returns of all functions that were called before
   it. So there are few of these. */
cast_runner *cast_ltask_resume(cast_task *base) {
  cast_next next;
  do {
    cast_session *s = base->session;
    run_task(cast_state_of(s), cast_ltask_of(base));
    next = cast_session_turn(s);
    base = next.task;
  } while (base != NULL);
  return next.runner;
}
