/* lib_session.c - sessions for Lua.
   SPDX-License-Identifier: MIT

   The methods of sessions, and casting.session. Other sessions are only asked
   here: to start a task, to cancel, to close. What they answer comes as an
   event.
   Locks: a session's, while its tasks are listed. */
#include "lib_session.h"

#include "../../../include/casting.h"
#include "../../account.h"
#include "../../base.h"
#include "../../event.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../session.h"
#include "../../slab.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../session/library.h"
#include "../session/loader.h"
#include "../session/newsession.h"
#include "../session/options.h"
#include "../session/package.h"
#include "../session/program.h"
#include "../session/task_lineage.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/lineage.h"
#include "../state/ltask.h"
#include "../state/memory.h"
#include "../state/replace.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../stop/budget.h"
#include "../stop/cancel.h"
#include "../task/await.h"
#include "../task/enter.h"
#include "../task/failure.h"
#include "../task/newtask.h"
#include "../task/origin.h"
#include "../task/outcome.h"
#include "../task/remote.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "lib.h"

static cast_state *check_session(lua_State *L, int i) {
  return cast_state_of(CAST_CONTAINER(
    cast_handle_check(L, i, &cast_session_type), cast_session, object));
}

/* The session at i. To use one that has closed is an error. */
static cast_state *check_open(lua_State *L, int i, const char *what) {
  cast_state *target = check_session(L, i);
  if (cast_event_is_set(&target->session.closed))
    cast_state_refuse(L, target, what, "is closed");
  return target;
}

/* The same for what makes no sense any more from the call of close on: no task
   can be started in the session then. */
static cast_state *check_usable(lua_State *L, int i, const char *what) {
  cast_state *target = check_open(L, i, what);
  /* Relaxed: a thread that has called close itself sees it; for others the two
     calls come at the same time. */
  if (atomic_load_explicit(&target->close.posted, memory_order_relaxed))
    cast_state_refuse(L, target, what, "is closed");
  return target;
}

/* internal.usable(session): can a task be started there, as far as its end is
   concerned? A session that has lost its last handle closes without a call of
   close. */
int cast_lib_usable(lua_State *L) {
  cast_state *target = check_session(L, 1);
  lua_pushboolean(L, !cast_session_is_closing(&target->session));
  return 1;
}

/* -- spawn ---------------------------------------------------------------- */

/* Compiles the source text at i, and pushes the function; or pushes what is
   wrong with the text, and returns that. */
static const char *compile(lua_State *L, int i) {
  size_t size;
  const char *text = lua_tolstring(L, i, &size);
  if (CAST_LUAJIT) cast_libs_deeper(L, CAST_STACK_COMPILER);
  if (size > 0 && text[0] == LUA_SIGNATURE[0])
    return lua_pushfstring(L, "source text expected, got a binary chunk");
  if (cast_lua_load(L, text, size, "=(spawn)", "t") == LUA_OK) return NULL;
  return lua_pushfstring(
    L, "source text does not compile: %s", cast_lua_describe(L, -1));
}

/* internal.source_problem(text): what is wrong with it, or nil. */
int cast_lib_source_problem(lua_State *L) {
  cast_arg_string(L, 1, NULL);
  return compile(L, 1) != NULL ? 1 : 0;
}

/* Starts a task in `target`, which may be any session, for the function (or
   source text) and arguments from stack position `first` on; pushes its handle.
   Function and arguments are copied, even if `target` is the caller's own
   session. The handle is made first, so that what is packed has an owner when
   an error is raised. Raises. */
static cast_ltask *spawn_in(
  lua_State *L, cast_state *S, cast_state *target, int first) {
  int n = lua_gettop(L) - first + 1, rc;
  cast_ltask *t;
  cast_budget_check(L, target);
  if (lua_type(L, first) == LUA_TSTRING) {
    const char *problem = compile(L, first);
    if (problem != NULL) cast_arg_error(L, first, problem);
    lua_replace(L, first);
  }
  cast_arg_check(L,
    lua_isfunction(L, first) || (n == 1 && cast_message_is_callable(L, first)),
    first, "function or source text expected");
  cast_signals_note(S);
  t = cast_ltask_new(L, target, false);
  cast_ltask_make_remote(t);
  cast_pack_spawn(L, S, first, n, &t->base.waiter.msg);
  rc = cast_task_start(&t->base, &S->session);
  if (rc != 0) {
    cast_pack_undo(S->packer, L, &t->base.waiter.msg);
    cast_budget_refuse(L, target, rc);
  }
  return t;
}

/* session:spawn(f, ...) */
static int session_spawn(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_state *target = check_usable(L, 1, "spawn");
  spawn_in(L, S, target, 2);
  return 1;
}

/* -- wait and close ------------------------------------------------------- */

/* The event has come: true; or nil, "timeout". */
static int finish_wait(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  if (result != 0) return cast_push_failure(L, result);
  lua_pushboolean(L, 1);
  return 1;
}

static const cast_wait_kind wait_kind = {
  .finish = finish_wait, .what = "waiting for a session"};

/* Waits for an event of `target`, with the timeout at 2. The wait has a strong
   reference to the session. */
static int wait_event(
  lua_State *L, cast_state *S, cast_state *target, cast_event *e) {
  uint64_t deadline = cast_deadline(L, 2);
  bool now = !lua_isnoneornil(L, 2) && lua_tonumber(L, 2) <= 0;
  cast_ltask *t = cast_enter(L, S, deadline);
  t->arg = &target->session;
  if (now && !cast_event_is_set(e))
    return cast_push_failure(L, CASTING_ETIMEOUT);
  return cast_await_event(L, S, t, e, deadline, &wait_kind);
}

/* session:wait([timeout]): until it has no unfinished task. */
static int session_wait(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_state *target = check_usable(L, 1, "wait");
  if (target == S && cast_current(S) != NULL)
    return cast_lua_error(L, "wait: a task cannot wait for its own session");
  return wait_event(L, S, target, &target->session.empty);
}

/* session:close([timeout]). A wait that times out, or is cancelled, leaves the
   session closing. */
static int session_close(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  cast_state *target = check_session(L, 1);
  if (S == NULL) cast_raise_closed(L);
  cast_deadline(L, 2);
  if (CAST_UNLIKELY(cast_forked)) { /* the session is the parent's */
    lua_pushboolean(L, 1);
    return 1;
  }
  if (target->host != NULL)
    return cast_lua_error(L, "close: the main program's session ends with it");
  if (target == S)
    return cast_lua_error(L, "close: a task cannot close its own session");
  cast_state_close(target, &S->session);
  return wait_event(L, S, target, &target->session.closed);
}

/* session:cancel([reason]): cancels the tasks that it has now, and unlike close
   leaves the session open. */
static int session_cancel(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  cast_state *target = check_open(L, 1, "cancel");
  cast_chars reason = cast_arg_string_or_none(L, 2);
  if (S == NULL) cast_raise_closed(L);
  if (CAST_LIKELY(!cast_forked) &&
      cast_state_cancel(target, &S->session, reason) != 0)
    cast_raise_memory(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* __close. An emptied handle means that this state has been closed. */
static int session_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  lua_settop(L, 1);
  return session_close(L);
}

/* -- looking at a session ------------------------------------------------- */

static int session_name(lua_State *L) {
  cast_state_push_name(L, check_session(L, 1));
  return 1;
}

/* A userdata with strong references to tasks. */
typedef struct task_list {
  cast_cleanup stack;
  uint32_t count;   /* references in `at` */
  cast_ltask *at[]; /* as many as it was made for */
} task_list;

static void drop_task_list(cast_cleanup *h) {
  task_list *l = CAST_CONTAINER(h, task_list, stack);
  while (l->count > 0) cast_unref(&l->at[--l->count]->base.object);
}

/* Adds the unfinished tasks of s to the list, up to `room`; returns how many
   there are. Under the lock no task ends completely, so each can be given a
   reference. Of tasks of another session than the caller's the caller is told
   from now on (`own` false): what moves is that session's to give away. */
static uint32_t collect(
  cast_session *s, task_list *l, uint32_t room, bool own) {
  uint32_t n;
  cast_lock_take(&s->lock);
  n = s->ntasks;
  for (cast_list *i = s->tasks.next; i != &s->tasks && l->count < room;
       i = i->next) {
    cast_ltask *t = cast_ltask_of(CAST_CONTAINER(i, cast_task, link));
    if (!own && !cast_ltask_share(t, CAST_TOLD))
      continue; /* it is just ending */
    l->at[l->count++] = t;
    cast_ref(&t->base.object);
  }
  cast_lock_drop(&s->lock);
  return n;
}

/* session:tasks(). Handles are made when the lock is free again, as that may
   run finalizers. */
static int session_tasks(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_state *target = check_open(L, 1, "tasks");
  uint32_t room = 16, n;
  task_list *l;
  for (;;) {
    lua_settop(L, 1);
    l = cast_cleanup_push(
      L, S, sizeof *l + room * sizeof(cast_ltask *), drop_task_list);
    n = collect(&target->session, l, room, target == S);
    if (n <= room) break;
    room = n + n / 8; /* the list that was too short goes with its userdata */
  }
  lua_createtable(L, (int)l->count, 0);
  for (uint32_t i = 0; i < l->count; i++) {
    cast_handle_push(L, &l->at[i]->base.object);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

static int session_stats(lua_State *L) {
  return cast_session_stats(L, check_open(L, 1, "stats"));
}

static const luaL_Reg session_methods[] = {
  {"spawn", session_spawn},
  {"wait", session_wait},
  {"close", session_close},
  {"cancel", session_cancel},
  {"name", session_name},
  {"tasks", session_tasks},
  {"stats", session_stats},
  {NULL, NULL},
};

static const luaL_Reg session_meta[] = {
  {"__close", session_close_scope},
  {NULL, NULL},
};

/* -- in a sandbox --------------------------------------------------------- */

/* Calls f, a method, if the sandbox may act on the session at 1. */
static int guard(lua_State *L, const char *name, lua_CFunction f) {
  cast_sandbox_check(L, cast_state_here(L), check_session(L, 1), name);
  return f(L);
}

static int guarded_spawn(lua_State *L) {
  return guard(L, "spawn", session_spawn);
}

static int guarded_wait(lua_State *L) { return guard(L, "wait", session_wait); }

static int guarded_close(lua_State *L) {
  return guard(L, "close", session_close);
}

static int guarded_cancel(lua_State *L) {
  return guard(L, "cancel", session_cancel);
}

static int guarded_tasks(lua_State *L) {
  return guard(L, "tasks", session_tasks);
}

static int guarded_stats(lua_State *L) {
  return guard(L, "stats", session_stats);
}

static int guarded_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return guard(L, "close", session_close_scope);
}

/* All but the name, which tells nothing that a handle does not. */
static const luaL_Reg session_sandbox_methods[] = {
  {"spawn", guarded_spawn},
  {"wait", guarded_wait},
  {"close", guarded_close},
  {"cancel", guarded_cancel},
  {"tasks", guarded_tasks},
  {"stats", guarded_stats},
  {NULL, NULL},
};

static const luaL_Reg session_sandbox_meta[] = {
  {"__close", guarded_close_scope},
  {NULL, NULL},
};

const cast_class cast_session_class = {
  .type = &cast_session_type,
  .title = "casting.session",
  .methods = session_methods,
  .meta = session_meta,
  .sandbox_methods = session_sandbox_methods,
  .sandbox_meta = session_sandbox_meta,
};

/* -- making one ----------------------------------------------------------- */

/* Reads the options at 1 into *o, and pushes `init`, or nil. What *o points to
   is on the stack. */
static void read_options(lua_State *L, cast_options *o) {
  const char *problem;
  cast_options_default(L, o);
  if (lua_isnoneornil(L, 1)) {
    lua_pushnil(L);
    return;
  }
  cast_arg_table(L, 1);
  problem = cast_options_read(L, 1, o);
  if (problem != NULL) cast_arg_error(L, 1, problem);
}

/* `init` has failed: raises its error as await does; a text gets the session's
   name before it. A cancellation of init does not mean that the caller was
   cancelled, so it becomes a text, too. */
static int raise_init(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_ltask *init = t->arg;
  const cast_failure *origin = cast_origin_take(t, init);
  int name, error;
  cast_state_push_name(L, cast_state_of(init->base.session));
  if (lua_rawlen(L, -1) > CAST_QUOTE_MAX) (void)cast_arg_quote(L, -1);
  name = lua_gettop(L);
  cast_ltask_outcome(L, S, t, init);
  error = lua_gettop(L);
  if ((!lua_istable(L, error) && !lua_isuserdata(L, error)) ||
      cast_cancel_is_error(L, error)) {
    cast_lua_where(L);
    lua_pushliteral(L, "init of session '");
    lua_pushvalue(L, name);
    lua_pushliteral(L, "' failed: ");
    (void)cast_lua_describe(L, error); /* pushed */
    lua_concat(L, 5);
  }
  cast_origin_note(L, S, t, origin);
  return lua_error(L);
}

/* The task of `init` has ended: returns the session, or raises its error. If
   the wait was interrupted instead, nobody will ever have the session: it
   closes. */
static int finish_session(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_ltask *init = t->arg;
  cast_state *target = cast_state_of(init->base.session);
  /* Relaxed: ordered by the event. */
  bool ready = result == 0 && atomic_load_explicit(&init->base.status,
                                memory_order_relaxed) == CAST_DONE;
  if (ready && cast_handle_find(L, &target->session.object)) return 1;
  cast_state_close(target, &S->session);
  if (result != 0) return cast_push_interrupt(L, result);
  if (ready) return cast_lua_error(L, "the session's handle was lost");
  return raise_init(L, S, t);
}

static const cast_wait_kind session_kind = {.finish = finish_session,
  .what = "waiting for the init of a session",
  .cleans_up = true};

/* A call of casting.session: what its steps pass on. After an error it tells
   how far they have come. */
typedef struct plan {
  cast_state *S, *target; /* the caller's session; the new one, or NULL */
  cast_message *init;     /* the packed function; NULL: none */
  cast_ltask *task;       /* the task that runs it */
  cast_lineage *lineage;  /* of the new session, or NULL */
  bool counted; /* it was counted there, and `target` does not have that yet */
  cast_options options;
} plan;

/* Starts the first task of the new session, which runs `init`; pushes its
   handle. The message moves to the task, and back if that cannot be started.
   Raises. */
static void start_init(lua_State *L, plan *p) {
  cast_ltask *t = cast_ltask_new(L, p->target, false);
  cast_ltask_make_remote(t);
  cast_msg_move(&t->base.waiter.msg, &p->init->msg);
  cast_loader_pass_on(p->S, cast_ltask_of(p->S->session.current), p->target, t);
  if (cast_task_start(&t->base, &p->S->session) != 0) {
    cast_msg_move(&p->init->msg, &t->base.waiter.msg);
    cast_lua_error(L, p->S->session.account != NULL ? "the session closes"
                                                    : "the program ends");
  }
  p->task = t;
}

/* Protected, with a plan: pushes the handle of the new session, and that of its
   first task, if it has one. */
static int build(lua_State *L) {
  plan *p = lua_touserdata(L, 1);
  p->counted = cast_lineage_count(p->S, p->lineage);
  cast_state_new(L, p->S, &p->options, &p->target);
  p->target->lineage = cast_lineage_ref(p->lineage);
  p->target->counted = p->counted;
  p->counted = false;
  cast_package_give(L, p->S, p->target);
  if (p->init != NULL) start_init(L, p);
  return lua_gettop(L) - 1;
}

/* The call fails: a session that was made closes, and what was packed goes
   back. */
static void abandon(lua_State *L, plan *p) {
  if (p->target != NULL) cast_state_close(p->target, &p->S->session);
  if (p->init != NULL && !cast_msg_is_empty(&p->init->msg))
    cast_pack_undo(p->S->packer, L, &p->init->msg);
}

/* How much memory a session takes that was made without a limit. */
static size_t least_bytes(const cast_state *S) {
  size_t bytes = cast_slabs_bytes(&S->memory.slabs);
  if (bytes == 0) return 0; /* nothing limits it: LuaJIT without GC64 */
  if (S->session.account != NULL)
    bytes += (size_t)cast_account_used(S->session.account, CAST_BYTES) -
             cast_memory_granted(S);
  return bytes + CAST_LEAST_ROOM;
}

/* No session could be made. If it has a memory limit, that may be the reason:
   then the program should get an error which says so, and how much memory it
   takes. To find out, a session without a limit is made, and closed again. */
static void blame_limit(lua_State *L, plan *p) {
  size_t limit = p->options.memory_max, bytes;
  plan other = {.S = p->S, .lineage = p->lineage, .options = p->options};
  int status;
  if (limit == 0 || p->target != NULL) return;
  other.options.memory_max = 0;
  other.options.own_thread = false; /* it makes no difference */
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, &other);
  status = lua_pcall(L, 1, 0, 0);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  if (other.counted) cast_lineage_uncount(other.lineage);
  if (other.target == NULL) {
    lua_pop(L, 1);
    return;
  }
  bytes = least_bytes(other.target);
  abandon(L, &other);
  cast_session_release(&other.target->session, &p->S->session);
  if (status != LUA_OK) {
    lua_pop(L, 1);
    return;
  }
  if (bytes < limit - limit / 8) return; /* it was not the limit */
  cast_lua_error(L,
    "session: no Lua state can be made with %d bytes of memory, it takes some "
    "%d with these libraries, and room for a task",
    (int)limit, (int)bytes);
}

/* casting.session([options]). What may fail because of the caller's values
   comes before anything is made. The caller owns the new session until it is
   released, so it must come to that whatever fails: hence the protected call of
   build. */
int cast_lib_session(lua_State *L) {
  cast_state *S = cast_state_here(L);
  plan p = {.S = S};
  cast_ltask *t;
  int init, status;
  lua_settop(L, 1);
  read_options(L, &p.options);
  init = lua_gettop(L);
  t = cast_enter(L, S, OS_FOREVER);
  cast_signals_note(S);
  p.lineage = cast_lineage_push(L, S, t);
  if (!lua_isnil(L, init))
    p.init =
      cast_message_new(L, S, init, 1, "argument 1: .init", CAST_PACK_SPAWN);
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, &p);
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L); /* by a finalizer */
  if (p.counted) cast_lineage_uncount(p.lineage);
  /* Close, then release: the pool runs the session only to close it. */
  if (status != LUA_OK) abandon(L, &p);
  if (p.target != NULL) cast_session_release(&p.target->session, &S->session);
  if (status != LUA_OK) {
    blame_limit(L, &p);
    return lua_error(L);
  }
  if (p.init == NULL) return 1;
  t->arg = p.task;
  /* Finalizers may have run and waited since cast_enter, so what waiting needs
     is reserved anew. */
  if (!cast_enter_anew(L, S, t)) {
    cast_state_close(p.target, &S->session);
    cast_raise_memory(L);
  }
  return cast_await_event(
    L, S, t, &p.task->base.done, OS_FOREVER, &session_kind);
}
