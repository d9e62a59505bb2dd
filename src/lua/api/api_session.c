/* api_session.c - the runtime, sessions and tasks for C.
   SPDX-License-Identifier: MIT

   Sessions made by Lua belong to a host; those made by C belong to a root
   without a Lua state, which lives from the first casting_start to the last
   casting_stop. Threads of the program wait as tasks without a session
   (foreign.h). As with channels, C's references to sessions forbid to find a
   deadlock.

   Locks: that of `starter` (CAST_RANK_START), while the root is made, counted
   or taken away; nothing waits under it. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../deadlock.h"
#include "../../event.h"
#include "../../foreign.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../lock.h"
#include "../../log.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../runtime.h"
#include "../../session.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../lib/lib_casting.h"
#include "../session/family.h"
#include "../session/library.h"
#include "../session/newsession.h"
#include "../session/options.h"
#include "../state/ltask.h"
#include "../state/protect.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../task/failure.h"
#include "../task/newtask.h"
#include "../task/outcome.h"
#include "../task/remote.h"
#include "../task/status.h"
#include "../transfer/wire.h"
#include "api.h"

/* The root of the sessions that C makes. */
static struct {
  cast_lock lock;
  uint32_t starts;  /* (lock) calls of casting_start to be given back */
  cast_state *root; /* (lock) NULL while there are none */
} starter = {.lock = CAST_LOCK_STATIC(CAST_RANK_START)};

int casting_version(void) { return CASTING_VERSION_NUM; }

const char *casting_word(int outcome) {
  static const char *const words[] = {"ok", "out of memory", "timeout",
    "interrupted", "closed", "full", "empty", "cancelled", "invalid", "failed",
    "forked"};
  int i = -outcome;
  if (i < 0 || i >= (int)(sizeof words / sizeof *words)) return "unknown";
  return words[i];
}

void casting_expect(void) { cast_deadlock_expect(); }

void casting_unexpect(void) { cast_deadlock_unexpect(); }

/* -- start and stop ------------------------------------------------------- */

/* Copies the caller's options, a struct of this or another version of casting,
   which begins with its size. A member that it lacks is zero here; one that we
   do not know must be zero there, as it cannot be heeded: else false. */
static bool copy_options(void *to, size_t size, const void *from) {
  size_t theirs;
  const unsigned char *bytes = from;
  memset(to, 0, size);
  if (from == NULL) return true;
  memcpy(&theirs, from, sizeof theirs);
  if (theirs < sizeof theirs) return false;
  for (size_t i = size; i < theirs; i++)
    if (bytes[i] != 0) return false;
  memcpy(to, from, theirs < size ? theirs : size);
  return true;
}

/* Are the limits of the thread pool possible? */
static bool are_threads_valid(const casting_options *o) {
  if (o->threads_min > CAST_WORKERS_MAX || o->threads_max > CAST_WORKERS_MAX)
    return false;
  return o->threads_min == 0 || o->threads_max == 0 ||
         o->threads_min <= o->threads_max;
}

/* The options are heeded in each call, also if casting has been started. */
static int start_locked(const casting_options *o) {
  uint32_t min = o->threads_min, max = o->threads_max;
  int rc;
  if (o->alloc != NULL && (rc = cast_mem_allocator(o->alloc, o->alloc_ud)) != 0)
    return rc;
  if (min != 0 || max != 0) cast_runtime_threads(&min, &max);
  if (o->log != NULL) cast_log_to(o->log, o->log_ud);
  if (starter.root == NULL) {
    if ((rc = cast_runtime_ref()) != 0) return rc;
    starter.root = cast_state_root(&cast_module_binding);
    if (starter.root == NULL) {
      cast_runtime_unref(true);
      return CASTING_ENOMEM;
    }
  }
  starter.starts++;
  return 0;
}

/* Locked as a whole: two threads that start at once must not make two roots. */
int casting_start(const casting_options *options) {
  casting_options o;
  int rc = CASTING_EINVAL;
  if (cast_api_is_forked()) return CASTING_EFORKED;
  if (!copy_options(&o, sizeof o, options) || !are_threads_valid(&o)) return rc;
  if (!cast_version_is_linked()) return rc;
  cast_lock_take(&starter.lock);
  rc = start_locked(&o);
  cast_lock_drop(&starter.lock);
  return rc;
}

/* Closes all sessions of the root, and waits for each until the deadline; then
   true. */
static bool close_all(cast_state *root, uint64_t deadline_ns) {
  cast_state *S;
  bool all = true;
  cast_state_close_children(root, NULL);
  while (all && (S = cast_state_child(root, NULL)) != NULL) {
    all = cast_foreign_await(&S->session.closed, deadline_ns) == 0;
    cast_session_unref_weak(&S->session);
  }
  return all;
}

/* Gives one casting_start back. The last one takes the root away, and closes
   its sessions. 0, or CASTING_ETIMEOUT: something did not end in time. */
static int give_back(uint64_t deadline) {
  cast_state *root = NULL;
  bool all, said;
  cast_lock_take(&starter.lock);
  CAST_ASSERT(starter.starts > 0);
  if (--starter.starts == 0) {
    root = starter.root;
    starter.root = NULL;
  }
  cast_lock_drop(&starter.lock);
  if (root == NULL || cast_forked) return 0;
  /* Relaxed: it only keeps failures of the end from being reported. */
  atomic_store_explicit(&root->ending, true, memory_order_relaxed);
  all = close_all(root, deadline);
  said = cast_failures_flush(root, deadline);
  all = all && said;
  cast_session_unref_weak(
    &root->session); /* a stuck session keeps its memory */
  cast_runtime_unref(all);
  /* Else the log function may be running, and this would wait for it. */
  if (said) cast_log_to(NULL, NULL);
  return all ? 0 : CASTING_ETIMEOUT;
}

int casting_stop(double seconds) {
  bool started;
  cast_fork_note();
  cast_lock_take(&starter.lock);
  started = starter.root != NULL;
  cast_lock_drop(&starter.lock);
  return started ? give_back(cast_api_deadline(seconds)) : CASTING_EINVAL;
}

/* -- sessions ------------------------------------------------------------- */

/* *libs = the set of those libraries; all if `names` is NULL. False: there is
   an unknown one. */
static bool read_libs(const char *const *names, uint32_t *libs) {
  *libs = CAST_LIBS_ALL;
  if (names == NULL) return true;
  *libs = 0;
  for (; *names != NULL; names++)
    if (!cast_libs_add(libs, *names)) return false;
  return true;
}

/* Protected: calls the program's init function in the new state. */
static int call_init(lua_State *L) {
  const casting_session_options *o = lua_touserdata(L, 1);
  lua_settop(L, 0);
  (void)o->init(L, o->init_ud);
  return 0;
}

/* A call of the program's init function. */
typedef struct init_call {
  cast_state *S;
  casting_session_options *o;
  int rc; /* 0 or CASTING_EFAILED */
} init_call;

/* With the error's text in the program's buffer. */
static void run_protected(void *arg) {
  init_call *a = arg;
  casting_session_options *o = a->o;
  lua_State *L = a->S->L;
  if (cast_lua_cpcall(L, call_init, o) != LUA_OK) {
    const char *why = lua_tostring(L, -1);
    a->rc = CASTING_EFAILED;
    if (o->error != NULL && o->error_size > 0) {
      size_t n = why != NULL ? strlen(why) : 0;
      if (n >= o->error_size) n = o->error_size - 1;
      if (n > 0) memcpy(o->error, why, n);
      o->error[n] = '\0';
    }
  }
  lua_settop(L, 0);
  /* It has forked: where the thread is the session's own, nobody else is in the
     child. */
  if (CAST_UNLIKELY(cast_forked) && a->S->session.keeper != NULL)
    cast_state_forked(a->S, a->rc == 0);
}

/* Calls init. The session was not released yet, and has no task, so its maker
   works in its state. 0 or CASTING_EFAILED. */
static int run_init(cast_state *S, casting_session_options *o) {
  init_call a = {S, o, 0};
  if (o->init != NULL) (void)cast_state_call(S, run_protected, &a);
  return a.rc;
}

/* *to = what the program's options mean. False: something in them is wrong. */
static bool read_options(const casting_session_options *o, cast_options *to) {
  memset(to, 0, sizeof *to);
  if (!read_libs(o->libs, &to->libs)) return false;
  if (o->sandbox != 0 && o->libs == NULL) to->libs = cast_libs_harmless();
  if (!(o->cpu_seconds >= 0)) return false;
  to->name = cast_chars_of(o->name);
  to->memory_max = o->memory;
  to->tasks_max = o->tasks;
  to->own_thread = o->own_thread != 0;
  to->sandbox = o->sandbox != 0;
  if (to->sandbox && to->tasks_max == 0) to->tasks_max = CAST_SANDBOX_TASKS;
  if (o->cpu_seconds > 0) to->cpu_max = cast_options_cpu(o->cpu_seconds);
  if (o->jit != 0) to->jit = o->jit > 0 ? CAST_JIT_ON : CAST_JIT_OFF;
  return true;
}

int casting_session_new(
  const casting_session_options *options, casting_session **out) {
  casting_session_options o;
  cast_options made;
  cast_state *S = NULL, *root;
  int rc = CASTING_EINVAL;
  if (cast_api_is_forked()) return CASTING_EFORKED;
  if (!copy_options(&o, sizeof o, options) || !read_options(&o, &made))
    return rc;
  /* The session is made without the lock. So that the root stays meanwhile,
     this call counts as a casting_start, and gives that back. */
  cast_lock_take(&starter.lock);
  root = starter.root;
  if (root != NULL) starter.starts++;
  cast_lock_drop(&starter.lock);
  if (root == NULL) return rc;
  S = cast_state_make(root, NULL, &made, &rc);
  if (S != NULL) rc = run_init(S, &o);
  /* init has forked, and this is the child. */
  if (CAST_UNLIKELY(cast_forked)) return CASTING_EFORKED;
  if (S == NULL) {
    rc = CASTING_ENOMEM; /* or threads, which is the same to C */
  } else if (rc == 0) {
    cast_deadlock_expect();
    *out = cast_api_session_out(&S->session.object);
  } else {
    cast_state_close(S, NULL);
  }
  if (S != NULL) cast_session_release(&S->session, NULL);
  if (S != NULL && rc != 0) cast_unref(&S->session.object);
  give_back(os_now() + CAST_END_NS);
  return rc;
}

casting_session *casting_session_ref(casting_session *s) {
  cast_deadlock_expect();
  cast_ref(&cast_api_session(s)->object);
  return s;
}

void casting_session_unref(casting_session *s) {
  cast_deadlock_unexpect();
  cast_unref(&cast_api_session(s)->object);
}

const char *casting_session_name(const casting_session *s) {
  return cast_state_of(cast_api_session(s))->name;
}

int casting_session_wait(casting_session *s, double seconds) {
  if (cast_forked) return CASTING_EFORKED;
  return cast_foreign_await(
    &cast_api_session(s)->empty, cast_api_deadline(seconds));
}

int casting_session_close(casting_session *s, double seconds) {
  cast_session *base = cast_api_session(s);
  if (cast_state_of(base)->host != NULL) return CASTING_EINVAL;
  if (cast_forked) return 0;
  cast_state_close(cast_state_of(base), NULL);
  return cast_foreign_await(&base->closed, cast_api_deadline(seconds));
}

/* -- tasks ---------------------------------------------------------------- */

/* *out = a message of the text and the values of *args, which may be empty, and
   stays as it is: the bytes behind the header are copied, and the references
   are counted once more. */
static int with_text(
  cast_msg *out, const char *text, size_t size, cast_msg *args) {
  const unsigned char *rest = NULL;
  unsigned char head[WIRE_HEADER + 5], *at; /* with the text's tag and size */
  uint32_t n = 0, more = 0, nrefs = args->nrefs;
  unsigned flags = 0;
  if (!cast_msg_is_empty(args)) {
    rest = cast_msg_data(args);
    flags = *rest & WIRE_REFS;
    n = *rest & WIRE_COUNT;
    more = args->size - 1;
    rest++;
    if (n > WIRE_COUNT_MAX) {
      n = wire_get_u32(rest);
      rest += 4;
      more -= 4;
    }
  }
  at = cast_api_put_head(head, flags, n + 1);
  if (flags != 0) {
    at = wire_put(at, rest, 4);
    rest += 4;
    more -= 4;
  }
  *at++ = WIRE_STR32;
  at = wire_put_u32(at, (uint32_t)size);
  if (more > UINT32_MAX / 2) return CASTING_EINVAL;
  if (cast_msg_init(
        out, (uint32_t)((size_t)(at - head) + size) + more, nrefs) != 0)
    return CASTING_ENOMEM;
  if (nrefs > 0)
    memcpy(
      cast_msg_items(out), cast_msg_items(args), nrefs * sizeof(cast_object *));
  for (uint32_t i = 0; i < nrefs; i++) cast_ref(cast_msg_items(out)[i]);
  at = wire_put(cast_msg_data(out), head, (size_t)(at - head));
  if (size > 0) at = wire_put(at, text, size);
  if (more > 0) wire_put(at, rest, more);
  return 0;
}

/* The text becomes the first value of the task's message, and is compiled when
   the task begins. */
int casting_spawn_source(casting_session *s, const char *text, size_t size,
  casting_message *args, casting_task **out) {
  cast_state *target = cast_state_of(cast_api_session(s));
  cast_msg none, start;
  cast_ltask *t;
  int rc = size <= 1u << 30 ? 0 : CASTING_EINVAL;
  if (cast_forked) return CASTING_EFORKED;
  memset(&none, 0, sizeof none);
  if (rc == 0 && args != NULL) rc = cast_api_complete(args);
  if (rc != 0) return rc;
  rc = with_text(&start, text, size, args != NULL ? &args->msg : &none);
  if (rc != 0) return rc;
  t = cast_ltask_make(target, false);
  if (t == NULL) {
    cast_msg_drop(&start);
    return CASTING_ENOMEM;
  }
  cast_ltask_make_remote(t);
  cast_msg_move(&t->base.waiter.msg, &start);
  rc = cast_task_start(&t->base, NULL);
  if (rc == 0 && args != NULL) cast_api_set(args, NULL);
  if (rc == 0 && out != NULL)
    *out = cast_api_task_out(&t->base.object);
  else
    cast_unref(&t->base.object);
  return rc;
}

casting_task *casting_task_ref(casting_task *t) {
  cast_ref(&cast_api_task(t)->base.object);
  return t;
}

void casting_task_unref(casting_task *t) {
  cast_unref(&cast_api_task(t)->base.object);
}

/* The results are copied, as others may join the task, too. */
int casting_task_join(
  casting_task *task, double seconds, casting_message *results) {
  cast_ltask *t = cast_api_task(task);
  cast_crossing crossing;
  cast_msg got = {0};
  cast_status how;
  int rc;
  if (cast_forked) return CASTING_EFORKED;
  rc = cast_foreign_await(&t->base.done, cast_api_deadline(seconds));
  if (rc != 0) return rc;
  if (results != NULL) cast_api_set(results, NULL);
  /* Relaxed: ordered by the event. */
  how =
    (cast_status)atomic_load_explicit(&t->base.status, memory_order_relaxed);
  if (how == CAST_CANCELLED) return CASTING_ECANCELLED;
  /* Relaxed: as by a join in Lua (R49). */
  if (how == CAST_FAILED)
    atomic_store_explicit(&t->joined, true, memory_order_relaxed);
  rc = cast_ltask_look(t, false, &got, &crossing);
  if (rc != 0) return rc;
  if (results != NULL && !cast_msg_is_empty(&got)) cast_api_set(results, &got);
  cast_msg_drop(&got);
  return how == CAST_DONE && crossing != CAST_CROSSES_REASON ? 0
                                                             : CASTING_EFAILED;
}

int casting_task_cancel(casting_task *t, const char *reason) {
  cast_ltask *task = cast_api_task(t);
  if (!cast_forked && !cast_event_is_set(&task->base.done))
    cast_ltask_cancel(task, NULL, cast_chars_of(reason));
  return 0;
}

const char *casting_task_status(const casting_task *t) {
  return cast_ltask_word(cast_api_task(t));
}
