/* lib_task.c - tasks for Lua.
   SPDX-License-Identifier: MIT

   The methods of tasks, and the functions of the module that begin a task or
   are about the calling one. A task is run by the owner of its session; others
   may only wait for its end, ask for its cancellation, and ask the owner for
   its stack. */
#include "lib_task.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../event.h"
#include "../../fork.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../session.h"
#include "../../task.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "../session/task_lineage.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../stop/budget.h"
#include "../stop/cancel.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../task/await.h"
#include "../task/crossing.h"
#include "../task/enter.h"
#include "../task/failure.h"
#include "../task/newtask.h"
#include "../task/origin.h"
#include "../task/outcome.h"
#include "../task/park.h"
#include "../task/pending.h"
#include "../task/status.h"
#include "lib.h"
#include "lib_link.h"
#include "lib_monitor.h"

/* -- join and await ------------------------------------------------------- */

/* The task that `arg` is has ended: pushes true and its results, or false and
   its error; or nil and a word. */
static int finish_join(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_ltask *target = t->arg;
  if (result != 0) return cast_push_failure(L, result);
  return cast_ltask_outcome(L, S, t, target);
}

/* The same for await: pushes the results, or raises the error. */
static int finish_await(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  /* First of all: finish_join makes values, so a finalizer may run, and let go
     of the task. */
  const cast_failure *origin = result == 0 ? cast_origin_take(t, t->arg) : NULL;
  int n = finish_join(L, S, t, result);
  cast_release_arg(t);
  if (result != 0) return n;
  if (!lua_toboolean(L, -n)) {
    if (n == 1) lua_pushliteral(L, "the task has failed: out of memory");
    cast_origin_note(L, S, t, origin);
    return lua_error(L);
  }
  return n - 1;
}

/* For the task dump. */
static void describe_end(cast_buffer *b, const cast_ltask *t) {
  const cast_ltask *of = t->arg;
  cast_buffer_form(b, "waiting for the end of task %d of session '%s'",
    (int)of->base.id, cast_state_of(of->base.session)->name);
}

static const cast_wait_kind join_kind = {
  .finish = finish_join, .describe = describe_end, .awaits = CAST_AWAITS_TASK};

static const cast_wait_kind await_kind = {
  .finish = finish_await, .describe = describe_end, .awaits = CAST_AWAITS_TASK};

/* join and await: waits for the end of the task at 1, with the timeout at 2. */
static int wait_end(
  lua_State *L, const char *verb, const cast_wait_kind *kind) {
  cast_state *S = cast_state_here(L);
  cast_ltask *target = cast_ltask_check(L, 1), *t;
  uint64_t deadline = cast_deadline(L, 2);
  bool now = !lua_isnoneornil(L, 2) && lua_tonumber(L, 2) <= 0;
  if (target == cast_current(S))
    return cast_lua_error(L, "a task cannot %s itself", verb);
  t = cast_enter(L, S, deadline);
  t->arg = target;
  if (now && !cast_event_is_set(&target->base.done))
    return cast_push_failure(L, CASTING_ETIMEOUT);
  return cast_await_event(L, S, t, &target->base.done, deadline, kind);
}

static int task_join(lua_State *L) { return wait_end(L, "join", &join_kind); }

static int task_await(lua_State *L) {
  return wait_end(L, "await", &await_kind);
}

/* -- looking at a task ---------------------------------------------------- */

/* task:status() */
static int task_status(lua_State *L) {
  lua_pushstring(L, cast_ltask_word(cast_ltask_check(L, 1)));
  return 1;
}

static int task_name(lua_State *L) {
  cast_ltask *t = cast_ltask_check(L, 1);
  lua_pushfstring(L, "task %d", (int)t->base.id);
  return 1;
}

static int task_session(lua_State *L) {
  cast_session *s = cast_ltask_check(L, 1)->base.session;
  cast_handle_push(L, &s->object);
  return 1;
}

/* A task's stack can only be read by the owner of its session. If that is
   another session than the caller's, it is asked by a post. The request is
   counted, since both sides use it, and the caller may stop waiting. */
typedef struct inquiry {
  cast_object object; /* a strong reference for the caller, one for the post */
  cast_post post;     /* asks the owner */
  cast_ltask *task;   /* (i) one strong reference */
  cast_event done;    /* set when there is the text */
  char *text;         /* written before that; NULL: out of memory */
} inquiry;

static void inquiry_free(cast_object *o) {
  inquiry *q = CAST_CONTAINER(o, inquiry, object);
  cast_unref(&q->task->base.object);
  cast_free(q->text);
  cast_free(q);
}

static const cast_type inquiry_type = {"inquiry", inquiry_free, NULL};

/* The owner writes the stack, without its first `level` levels. L is some
   coroutine of the session; if level is not 0, the task itself asks, in L. */
static void write_stack(inquiry *q, lua_State *L, int level) {
  cast_buffer b = {NULL, 0, 0, false};
  lua_State *co = level > 0 ? L : q->task->co;
  if (co != NULL)
    cast_stack_write(&b, L, co, level);
  else
    cast_buffer_add(&b, "stack traceback:");
  q->text = cast_buffer_take(&b);
}

/* The owner has come to the post. */
static void on_inquiry(cast_session *s, cast_post *p, bool closed) {
  inquiry *q = CAST_CONTAINER(p, inquiry, post);
  if (!closed) write_stack(q, cast_state_of(s)->work, 0);
  cast_event_set(&q->done, s);
  cast_unref(&q->object);
}

/* The answer has come: pushes the stack. */
static int finish_inquiry(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  inquiry *q = t->arg;
  CAST_UNUSED(S);
  if (result != 0) return cast_push_failure(L, result);
  lua_pushstring(L, q->text); /* nil for NULL */
  return 1;
}

static const cast_wait_kind inquiry_kind = {
  .finish = finish_inquiry, .what = "waiting for a stack"};

/* Makes a request, and pushes a box with the strong reference to it. */
static inquiry *push_inquiry(lua_State *L, cast_state *S, cast_ltask *target) {
  cast_object **box = cast_box_push(L, S);
  inquiry *q = cast_calloc(sizeof *q);
  if (q == NULL) cast_raise_memory(L);
  cast_object_init(&q->object, &inquiry_type);
  *box = &q->object;
  q->task = cast_ref(&target->base.object);
  q->post.run = on_inquiry;
  cast_event_init(&q->done);
  return q;
}

/* Has the owner of the other session write the stack, and waits for that. */
static int ask_stack(lua_State *L, cast_state *S, inquiry *q) {
  cast_session *s = q->task->base.session;
  cast_ltask *t = cast_enter(L, S, OS_FOREVER);
  t->arg = q;
  cast_ref(&q->object);
  if (!cast_session_push(s, &S->session, &q->post))
    on_inquiry(s, &q->post, true);
  return cast_await_event(L, S, t, &q->done, OS_FOREVER, &inquiry_kind);
}

/* task:traceback(): of a failed task the error and its stack, of an unfinished
   one its present stack. */
static int task_traceback(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *target = cast_ltask_check(L, 1);
  inquiry *q;
  lua_settop(L, 1);
  /* This may run a finalizer, and the task may end meanwhile: so it comes
     first. */
  q = push_inquiry(L, S, target);
  if (cast_event_is_set(&target->base.done)) {
    if (cast_failed(target) == NULL) return 0;
    lua_pushstring(L, cast_failure_traceback(cast_failed(target)));
    return 1;
  }
  if (target->base.session != &S->session) return ask_stack(L, S, q);
  write_stack(q, L, target == cast_current(S) ? 1 : 0);
  if (q->text == NULL) cast_raise_memory(L);
  lua_pushstring(L, q->text);
  return 1;
}

/* task:cancel([reason]): false if the task has ended. */
static int task_cancel(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  cast_ltask *t = cast_ltask_check(L, 1);
  cast_chars reason = cast_arg_string_or_none(L, 2);
  if (S == NULL) cast_raise_closed(L);
  if (CAST_UNLIKELY(cast_forked) || cast_event_is_set(&t->base.done)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  cast_ltask_cancel(t, &S->session, reason);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg task_methods[] = {
  {"join", task_join},
  {"await", task_await},
  {"status", task_status},
  {"traceback", task_traceback},
  {"cancel", task_cancel},
  {"monitor", cast_lib_monitor},
  {"link", cast_lib_link},
  {"unlink", cast_lib_unlink},
  {"session", task_session},
  {"name", task_name},
  {NULL, NULL},
};

/* -- in a sandbox --------------------------------------------------------- */

/* Raises unless the sandbox may act on the session of the task at i. */
static void check_own(lua_State *L, int i, const char *name) {
  const cast_ltask *t = cast_ltask_check(L, i);
  cast_sandbox_check(
    L, cast_state_here(L), cast_state_of(t->base.session), name);
}

static int guarded_traceback(lua_State *L) {
  check_own(L, 1, "traceback");
  return task_traceback(L);
}

static int guarded_cancel(lua_State *L) {
  check_own(L, 1, "cancel");
  return task_cancel(L);
}

/* A link may cancel either task. */
static int guarded_link(lua_State *L) {
  check_own(L, 1, "link");
  if (!lua_isnoneornil(L, 2)) check_own(L, 2, "link");
  return cast_lib_link(L);
}

static int guarded_unlink(lua_State *L) {
  check_own(L, 1, "unlink");
  if (!lua_isnoneornil(L, 2)) check_own(L, 2, "unlink");
  return cast_lib_unlink(L);
}

static int guarded_session(lua_State *L) {
  check_own(L, 1, "session");
  return task_session(L);
}

/* All but what tells of the task's end, and its name. */
static const luaL_Reg task_sandbox_methods[] = {
  {"traceback", guarded_traceback},
  {"cancel", guarded_cancel},
  {"link", guarded_link},
  {"unlink", guarded_unlink},
  {"session", guarded_session},
  {NULL, NULL},
};

const cast_class cast_task_class = {
  .type = &cast_task_type,
  .title = "casting.task",
  .methods = task_methods,
  .sandbox_methods = task_sandbox_methods,
  .giving = &cast_task_giving,
};

/* -- functions of the module ---------------------------------------------- */

/* No task can be started, as the session closes. That will cancel the calling
   task as well: it meets its cancellation here, as at a blocking call. */
static int refuse(lua_State *L, cast_state *S) {
  cast_ltask *me = cast_current(S);
  if (me == NULL) return cast_lua_error(L, "spawn: the session is closed");
  cast_task_cancel(&me->base);
  cast_cancel_push(L, cast_cancel_reason(me));
  return lua_error(L);
}

/* The task will never begin: gives up its function and arguments. An error
   follows, and room for these may have been made in a call of another
   coroutine, which LuaJIT still takes for the running one. */
static void withdraw(lua_State *L, cast_state *S, cast_ltask *t) {
  if (t->stage == CAST_STAGE_PENDING)
    cast_pending_give(S, t, NULL);
  else
    cast_coroutine_put(S, cast_co(t), true);
  t->stage = CAST_STAGE_LOADED; /* with nothing */
  cast_lua_running(L);
}

/* Sessions that the new task makes count as if the calling task had made them
   (lineage.c). */
static void inherit(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_task *base = S->session.current;
  cast_ltask *me = base != NULL ? cast_ltask_of(base) : NULL;
  if (CAST_LIKELY(me == NULL || !cast_lineage_can_differ(me))) return;
  if (cast_lineage_spawn(L, S, me, t)) return;
  withdraw(L, S, t);
  cast_raise_memory(L);
}

/* casting.spawn(f, ...): a task of the calling session, so nothing is copied.
   Most tasks get a coroutine only when they begin (pending.c); until then their
   function and arguments lie on the stack of a startup. */
int cast_lib_spawn(lua_State *L) {
  cast_state *S = cast_state_here(L);
  int n = lua_gettop(L), rc;
  cast_ltask *t;
  cast_arg_function(L, 1);
  cast_budget_check(L, S);
  t = cast_ltask_new(L, S, true);
  lua_settop(L, n + 1); /* function, arguments, handle */
  lua_insert(L, 1);
  if (!cast_pending_keep(L, S, t, n)) {
    cast_co_set(t, cast_coroutine_new(L, S));
    lua_settop(L, n + 1);
    if (!cast_lua_reserve(t->co, n)) {
      cast_coroutine_put(S, cast_co(t), true);
      cast_lua_running(L);
      return cast_lua_error(L, "too many arguments to 'spawn'");
    }
    lua_xmove(L, t->co, n);
  }
  inherit(L, S, t);
  rc = cast_task_start(&t->base, &S->session);
  if (rc != 0) {
    withdraw(L, S, t);
    if (rc == CASTING_EFULL) cast_budget_refuse(L, S, rc);
    return refuse(L, S);
  }
  return 1;
}

/* casting.self() */
int cast_lib_self(lua_State *L) {
  cast_ltask *t = cast_current(cast_state_here(L));
  if (t == NULL)
    lua_pushnil(L);
  else
    cast_handle_push(L, &t->base.object);
  return 1;
}

/* A yield or a sleep is over: returns nothing. */
static int finish_pause(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  CAST_UNUSED(result);
  /* Raises if the task is past its time. Elsewhere a wait that has brought a
     result returns that first; here there is none that could be lost. */
  if (CAST_UNLIKELY(cast_scope_is_needed(t))) cast_stop_check(L, t, os_now());
  return 0;
}

static const cast_wait_kind pause_kind = {
  .finish = finish_pause, .what = "sleeping", .sleeps = true};

static const cast_wait_kind drain_kind = {.finish = finish_pause,
  .what = "waiting for the tasks of its session",
  .awaits = CAST_AWAITS_ALL};

/* Lets the ready tasks run before this one: the task is put at the end of the
   ready list, so its wait needs no waker. */
static int pause_task(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_enter(L, S, OS_FOREVER);
  t->arg = t;
  t->base.wait.result = 0;
  cast_task_yield(&t->base);
  return cast_park(L, S, t, OS_FOREVER, &pause_kind);
}

/* casting.yield() */
int cast_lib_yield(lua_State *L) {
  lua_settop(L, 0);
  return pause_task(L);
}

/* casting.sleep(seconds): a wait that only its deadline ends. */
int cast_lib_sleep(lua_State *L) {
  cast_state *S = cast_state_here(L);
  double seconds = cast_arg_number(L, 1);
  uint64_t deadline;
  cast_ltask *t;
  cast_arg_check(
    L, seconds >= 0, 1, "a sleep must be a number of seconds, zero or more");
  if (seconds <= 0) return pause_task(L);
  deadline = cast_deadline_in(seconds);
  t = cast_enter(L, S, deadline);
  t->arg = t;
  cast_wait_arm(&t->base, CAST_WAIT_ONE);
  return cast_park(L, S, t, deadline, &pause_kind);
}

/* The task of casting.run has ended. If the wait for it was interrupted
   instead, it is cancelled: nobody else has its handle. */
static int finish_run(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_chars why = cast_chars_of("timeout");
  if (result == 0) return finish_await(L, S, t, 0);
  if (result == CASTING_ECANCELLED) why = cast_cancel_reason(t);
  if (result == CASTING_EINTR) why = cast_chars_of("interrupted");
  if (result == CAST_DEADLOCK) why = cast_chars_of("deadlock");
  cast_ltask_cancel(t->arg, &S->session, why);
  return cast_push_interrupt(L, result);
}

static const cast_wait_kind run_kind = {.finish = finish_run,
  .describe = describe_end,
  .cleans_up = true,
  .awaits = CAST_AWAITS_TASK};

/* Runs the function at 1 with its arguments in a new task, and waits for its
   results. The task exists when entering again fails; so it is cancelled. */
static int run_task(lua_State *L, cast_state *S) {
  cast_ltask *t = cast_enter(L, S, OS_FOREVER), *target;
  cast_lib_spawn(L);
  target = cast_ltask_check(L, -1);
  t->arg = target;
  if (!cast_enter_anew(L, S, t)) {
    cast_ltask_cancel(target, &S->session, cast_chars_of(NULL));
    cast_raise_memory(L);
  }
  return cast_await_event(L, S, t, &target->base.done, OS_FOREVER, &run_kind);
}

/* casting.run(f, ...): runs f in a task, and returns its results.
   casting.run(), of the main program: waits until its session has no task
   left. */
int cast_lib_run(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t;
  if (!lua_isnoneornil(L, 1)) {
    cast_arg_function(L, 1);
    return run_task(L, S);
  }
  if (S->host == NULL || cast_current(S) != NULL)
    return cast_lua_error(L, "run: a task cannot wait for its own session");
  t = cast_enter(L, S, OS_FOREVER);
  t->arg = t;
  if (cast_event_wait(&S->session.empty, &t->base) == CAST_PARKED)
    return cast_park(L, S, t, OS_FOREVER, &drain_kind);
  return 0;
}
