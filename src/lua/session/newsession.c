/* newsession.c - making sessions of the pool, and closing them.
   SPDX-License-Identifier: MIT

   The life of a session: its maker fills a new Lua state (cast_state_make) and
   is the owner until it releases the session, which the pool then runs. If the
   session has a thread of its own, that does all that has to be done in the Lua
   state, from the beginning, while the maker waits (cast_state_call). Closing
   has three steps: somebody asks for it (cast_state_close); the owner cancels
   all tasks (on_close); when the last one has ended, the core calls pool_close,
   which closes the Lua state. The struct lives until nobody has a weak
   reference to it (cast_session_free).

   Locks: the session's own, for `closing`. */
#include "newsession.h"

#include "../../../include/casting.h"
#include "../../account.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../cycle.h"
#include "../../fork.h"
#include "../../heap.h"
#include "../../keeper.h"
#include "../../limiter.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../mem.h"
#include "../../os/os.h"
#include "../../sched.h"
#include "../../semaphore.h"
#include "../../session.h"
#include "../../slab.h"
#include "../../slice.h"
#include "../../timer.h"
#include "../../types.h"
#include "../../worker.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/recorder.h"
#include "../compat/seal.h"
#include "../state/anchor.h"
#include "../state/handle.h"
#include "../state/lineage.h"
#include "../state/load.h"
#include "../state/memory.h"
#include "../state/protect.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../stop/budget.h"
#include "../stop/cancel.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../stop/watchdog.h"
#include "../task/newtask.h"
#include "../task/pending.h"
#include "../task/rebuild.h"
#include "../task/run.h"
#include "../transfer/fixed.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "../transfer/packer.h"
#include "builtin.h"
#include "family.h"
#include "library.h"
#include "modules.h"
#include "options.h"
#include "program.h"
#include "require.h"
#include "restrict.h"

#include <stdlib.h>

/* What a session with its name takes, in a sandbox. */
static size_t bytes_of(const cast_state *S) {
  return sizeof *S + S->name_size + 1 + sizeof(cast_account) +
         sizeof(cast_sandbox);
}

static void drop_account(cast_state *S) {
  cast_account *a = S->session.account;
  if (a == NULL) return;
  cast_memory_ungrant(S);
  cast_account_give(a, CAST_BYTES, bytes_of(S));
  S->session.account = NULL;
  cast_account_unref(a);
}

/* Whatever was made of the state may be missing: it is also called for one that
   could not be made completely. The weak reference to the root goes last, as
   that may free the root. */
void cast_state_free(cast_state *S) {
  cast_state *root = S->root != S ? S->root : NULL;
  cast_timer_remove(&S->watchdog.timer);
  cast_cancel_fini(S);
  cast_slabs_fini(&S->memory.slabs);
  cast_free(S->rebuilds.spare);
  cast_free(S->idle.all);
  cast_free(S->random);
  cast_pending_fini(S);
  cast_load_fini(S);
  cast_lineage_drop(S->lineage);
  drop_account(S);
  cast_sandbox_drop(S->sandbox);
  cast_free(S->host);
  cast_free(S->signals);
  cast_free(S);
  if (root != NULL) cast_session_unref_weak(&root->session);
}

void cast_session_free(cast_session *s) { cast_state_free(cast_state_of(s)); }

static bool leads(const cast_object *o) {
  return o->type == &cast_message_type || o->type == &cast_task_type;
}

/* A packed message, which others have, never changes. */
static bool show(cast_object *o, cast_visit *v) {
  if (o->type == &cast_task_type) return cast_ltask_show(o, v);
  cast_visit_msg(v, &CAST_CONTAINER(o, cast_message, object)->msg);
  return false;
}

static bool waits(cast_object *o) {
  return o->type == &cast_task_type && cast_ltask_waits(o);
}

static const cast_visitor visitor = {
  leads, show, waits, cast_ltask_looks, cast_ltask_empty};

/* The owner has come to the request to close. */
static void on_close(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  if (CAST_UNLIKELY(s->account != NULL))
    cast_account_note_end(s->account, os_now());
  if (!closed) cast_cancel_close(s);
}

/* Asks S alone, by what part of it is there for that: so it cannot fail. */
static void ask_to_close(cast_state *S, cast_session *self) {
  /* Relaxed: it only tells who is the first to ask. A task that is refused
     because of `closing` below has taken the lock after us, and so sees this,
     too. */
  if (atomic_exchange_explicit(&S->close.posted, true, memory_order_relaxed))
    return;
  /* From here on no task can be started in it, also while its owner is busy. */
  cast_lock_take(&S->session.lock);
  S->session.closing = true;
  cast_lock_drop(&S->session.lock);
  /* A task that computes does not let the owner come to the post: the watchdog
     has it interrupted soon. The session may close as soon as the post is
     pushed; the weak reference keeps the timer's memory until it is set. */
  cast_session_ref_weak(&S->session);
  cast_session_push(&S->session, self, &S->close.post);
  cast_watchdog_set(S, os_now() + CAST_STOP_NS, os_now());
  cast_session_unref_weak(&S->session);
}

/* Has f called for all sessions but S whose account is `a` or below it, and
   that come after `after` in the list of the root (NULL: for all). */
static void each_below(cast_state *S, const cast_account *a, cast_state *after,
  void (*f)(cast_state *other, cast_session *self), cast_session *self) {
  cast_state *other = cast_state_child(S->root, after), *next;
  for (; other != NULL; other = next) {
    next = cast_state_child(S->root, other); /* f may have it leave the list */
    if (other != S && cast_account_is_below(other->session.account, a))
      f(other, self);
    cast_session_unref_weak(&other->session);
  }
}

/* Asks all that a sandbox has made, itself or by what it has made. That stands
   behind it in the list. */
static void close_below(cast_state *S, cast_session *self) {
  each_below(S, S->session.account, S, ask_to_close, self);
}

/* ops->close: the session was asked to close, or has no handle any more, and no
   task is left. */
static void pool_close(cast_session *s) {
  cast_state *S = cast_state_of(s);
  if (CAST_UNLIKELY(s->account != NULL) && cast_account_end(s->account))
    close_below(S, s);
  S->closing = true;
  cast_timer_remove(&S->watchdog.timer);
  cast_state_close_lua(S);
  if (CAST_UNLIKELY(cast_forked)) cast_state_forked(S, true);
  cast_fixed_free(S->fixed);
  S->fixed = NULL;
  cast_rebuild_drop(S, NULL, NULL);
  if (S->counted) cast_lineage_uncount(S->lineage);
  S->counted = false;
  cast_slabs_close(&S->memory.slabs);
  cast_memory_ungrant(S);
  S->L = S->work = NULL;
  cast_family_leave(S);
  if (CAST_LIKELY(s->account == NULL)) return;
  /* PAIR gone: release what the tasks of the session have left. */
  atomic_store_explicit(&S->gone, true, memory_order_release);
  cast_account_close(s->account);
  cast_cycles_end(s->account, &visitor);
}

static void pool_wake(cast_session *s, cast_session *self) {
  cast_sched_ready(cast_worker_of(self), &s->job);
}

static void own_wake(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_keeper_wake(s->keeper);
}

/* What the core calls for sessions of ours: these, run by the pool, ... */
static const cast_session_ops pool_ops = {
  .wake = pool_wake,
  .resume = cast_ltask_resume,
  .extended_until = cast_scope_extended_until,
  .meter = cast_budget_meter,
  .close = pool_close,
  .free = cast_session_free,
  .preempt = cast_preempt_request,
  .signals = cast_signals_of,
};

/* ... and those with threads of their own, which differ in how they are woken.
   */
static const cast_session_ops own_ops = {
  .wake = own_wake,
  .resume = cast_ltask_resume,
  .extended_until = cast_scope_extended_until,
  .meter = cast_budget_meter,
  .close = pool_close,
  .free = cast_session_free,
  .preempt = cast_preempt_request,
  .signals = cast_signals_of,
};

void cast_state_close(cast_state *S, cast_session *self) {
  cast_account *a = S->session.account;
  bool others = a != NULL && cast_account_end(a);
  if (CAST_LIKELY(!others)) {
    ask_to_close(S, self);
    return;
  }
  cast_session_ref_weak(&S->session); /* it may close as soon as it is asked */
  ask_to_close(S, self);
  close_below(S, self);
  cast_session_unref_weak(&S->session);
}

/* All of the list are asked here, so none has to look for those below it. */
void cast_state_close_children(cast_state *root, cast_session *self) {
  cast_state *S = cast_state_child(root, NULL), *next;
  while (S != NULL) {
    next = cast_state_child(root, S); /* S may leave the list when it closes */
    if (S->session.account != NULL) (void)cast_account_end(S->session.account);
    ask_to_close(S, self);
    cast_session_unref_weak(&S->session);
    S = next;
  }
}

void cast_state_cpu_over(cast_state *S) {
  const cast_account *full = cast_account_full(S->session.account, CAST_CPU);
  cast_account *a = S->session.account;
  while (a != NULL && a != full) a = a->parent;
  /* Relaxed: it only tells who is the first. */
  if (a == NULL ||
      atomic_exchange_explicit(&a->over, true, memory_order_relaxed))
    return;
  each_below(S, a, NULL, cast_cancel_look, &S->session);
}

/* The packer's question of its finalizers, see packer.h: ends the host if its
   state is being closed. False while that is under way, and for what is
   kept. */
static bool end_host(lua_State *L, bool closing) {
  cast_state *S = cast_state_find(L);
  if (S != NULL && closing) S->binding->end(L);
  S = cast_state_find(L);
  if (S == NULL) return !cast_state_is_kept(L);
  /* Relaxed: it is set by this state's owner. */
  return !(atomic_load_explicit(&S->ending, memory_order_relaxed) ||
           cast_last_is_stray(S));
}

/* The packer's question of a sandbox (dataonly.h). The listeners and sockets
   that its maker may have given it stay where they are. */
static bool leaves(const cast_type *type) {
  return type == &cast_chan_type || type == &cast_task_type ||
         type == &cast_session_type || type == &cast_message_type ||
         type == &cast_semaphore_type || type == &cast_permit_type ||
         type == &cast_limiter_type;
}

/* A finalizer that runs in here may load casting, too, and so come here again:
   what it has made by then is kept. */
void cast_state_init_lua(lua_State *L, cast_state *S) {
  cast_packer *p;
  cast_seal_learn();
  cast_recorder_learn();
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (S->host == NULL) {
    S->work = L; /* a session of the pool runs nothing on its main thread */
  } else {
    lua_State *work = lua_newthread(L);
    (void)cast_anchor(L, S);
    if (S->work == NULL) S->work = work;
  }
  cast_finalizer_open(L);
  cast_handle_open(L);
  cast_builtin_note(L);
  cast_require_open(L);
  p = cast_packer_open(L, &S->session.runner);
  if (S->packer != NULL) return;
  S->packer = p;
  S->packer->module = S->binding->module;
  if (S->sandbox != NULL) S->packer->leaves = leaves;
  S->packer->account = S->session.account;
  if (S->host != NULL) S->packer->end = end_host;
#if CAST_LUA >= 505
  if (S->host == NULL && S->session.account == NULL)
    S->packer->fixed = &S->fixed;
#endif
}

/* The name lies behind the struct, which takes one allocation. */
cast_state *cast_state_alloc(
  const cast_binding *binding, const char *name, size_t size) {
  cast_state *S = cast_calloc(sizeof *S + size + 1);
  if (S == NULL) return NULL;
  S->binding = binding;
  memcpy(S->name, name, size);
  S->name_size = size;
  atomic_init(&S->watchdog.at_ns, OS_FOREVER);
  cast_list_init(&S->children);
  cast_list_init(&S->sibling);
  cast_list_init(&S->cleanups);
  S->close.post.run = on_close;
  return S;
}

cast_state *cast_state_root(const cast_binding *binding) {
  cast_state *S = cast_state_alloc(binding, "", 0);
  if (S == NULL) return NULL;
  S->root = S;
  if (!cast_signals_init(S)) {
    cast_free(S);
    return NULL;
  }
  /* Nobody runs it. It is freed when its owner and all sessions below it, each
     of which has a weak reference, have let go of it. */
  S->session.ops = &pool_ops;
  atomic_store_explicit(&S->session.weak_refs, 1, memory_order_relaxed);
  return S;
}

/* What the protected part of making a session is given. */
typedef struct making {
  cast_state *S;         /* the new one */
  const cast_options *o; /* what it is made with */
  bool made;             /* nothing was lacking */
} making;

/* The module is made when the session first requires it; most never do. */
static void preload_casting(lua_State *L, cast_state *S) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, S->binding->open);
  lua_setfield(L, -2, "casting");
  lua_pop(L, 3);
}

/* Sets the collector of a new state as it is after a collection: it begins its
   first cycle when the memory has doubled. There is no garbage before. It was
   stopped while the state was made. (A step of minus so many KiB only moves the
   collector's debt, which the documentation does not say. In 5.2 it is a step
   like any, so there nothing is done.) */
static void put_off_collection(lua_State *L) {
#if CAST_LUA == 503 || CAST_LUA == 504
  lua_gc(L, LUA_GCRESTART, 0);
  lua_gc(L, LUA_GCSTEP, -lua_gc(L, LUA_GCCOUNT, 0));
#else
  CAST_UNUSED(L);
#endif
}

/* Makes what is in a new Lua state; may raise for want of memory only. The box
   comes before all that needs it as an upvalue, and the libraries before what
   is known of them by name (the packer). */
static int make_protected(lua_State *L) {
  making *m = lua_touserdata(L, 1);
#if CAST_LUA == 503 || CAST_LUA == 504
  lua_gc(L, LUA_GCSTOP, 0);
#endif
  cast_libs_open(L, m->o->libs);
  if (m->o->sandbox) cast_modules_set(L, m->o->modules);
  *cast_state_push_box(L, NULL) = m->S;
  cast_state_keep_box(L);
  preload_casting(L, m->S);
  cast_state_init_lua(L, m->S);
  cast_libs_adapt(L);
  if (cast_options_interpret(m->o)) {
    cast_libs_interpret(L);
    m->S->preempt.interpreted = true;
  }
  if (m->o->memory_max != 0 || m->o->sandbox) cast_libs_limit(L);
  if (m->o->sandbox) cast_libs_restrict(L, m->o->libs);
  put_off_collection(L);
  return 0;
}

bool cast_state_call(cast_state *S, void (*f)(void *arg), void *arg) {
  if (S->session.keeper != NULL)
    return cast_keeper_call(S->session.keeper, f, arg);
  f(arg);
  return true;
}

/* Makes the Lua state, by cast_state_call. */
static void make_lua(void *arg) {
  making *m = arg;
  lua_State *L = m->S->L = cast_state_new_lua(m->S);
  if (L == NULL) return;
  m->made = cast_lua_cpcall(L, make_protected, m) == LUA_OK;
  lua_settop(L, 0);
}

/* The same for a state that could not be made completely. */
static void close_lua(void *arg) {
  cast_state *S = arg;
  S->closing = true;
  cast_state_close_lua(S);
}

/* Writes "session N" into the buffer, and returns that. N counts the sessions
   of the process that were given no name. */
static const char *default_name(char *buffer, size_t size) {
  static _Atomic uint32_t count;
  uint32_t n = 1 + atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
  char digits[12];
  size_t i = sizeof digits - 1, at = 0;
  const char *word = "session ";
  digits[i] = '\0';
  do {
    digits[--i] = (char)('0' + n % 10);
    n /= 10;
  } while (n > 0);
  while (*word != '\0' && at + 1 < size) buffer[at++] = *word++;
  while (digits[i] != '\0' && at + 1 < size) buffer[at++] = digits[i++];
  buffer[at] = '\0';
  return buffer;
}

/* Frees a session that could not be made, and that nobody has seen yet. */
static void discard(cast_state *S) {
  if (S->L != NULL) (void)cast_state_call(S, close_lua, S);
  if (S->session.keeper != NULL) cast_keeper_dismiss(S->session.keeper);
  if (S->session.ops != NULL) {
    cast_timer_remove(&S->session.alarm);
    cast_heap_fini(&S->session.deadlines);
  }
  cast_state_free(S);
}

/* Makes S a sandbox if its options say so. (What a sandbox makes is one by its
   options: options.c.) False: out of memory. */
static bool make_sandbox(
  cast_state *S, const cast_state *maker, const cast_options *o) {
  CAST_ASSERT(o->sandbox || maker == NULL || maker->sandbox == NULL);
  if (!o->sandbox) return true;
  S->sandbox = cast_sandbox_new(maker, o->libs);
  return S->sandbox != NULL;
}

/* Makes the account of a sandbox below that of its maker, if that is one. */
static bool make_account(
  cast_state *S, const cast_state *maker, const cast_options *o) {
  uint64_t max[CAST_USES] = {0};
  cast_account *parent = maker != NULL ? maker->session.account : NULL, *a;
  max[CAST_BYTES] = o->memory_max;
  max[CAST_TASKS] = o->tasks_max;
  max[CAST_CPU] = o->cpu_max == OS_FOREVER ? 0 : o->cpu_max;
  a = cast_account_new(parent, max);
  if (a == NULL) return false;
  if (!cast_account_take(a, CAST_BYTES, bytes_of(S))) {
    cast_account_unref(a);
    return false;
  }
  a->session = &S->session;
  S->session.account = a;
  S->memory.max = (size_t)cast_account_max(a, CAST_BYTES);
  return S->memory.max == 0 || cast_memory_grant(S);
}

/* Sets what S may use. */
static bool limit(
  cast_state *S, const cast_state *maker, const cast_options *o) {
  if (o->sandbox) return make_account(S, maker, o);
  S->memory.slabs.max = S->memory.max = o->memory_max;
  return true;
}

/* Is there memory left for a task, besides what the new state takes? */
static bool has_room(const cast_state *S) {
  size_t bytes = cast_slabs_bytes(&S->memory.slabs), left;
  if (S->memory.max == 0 || bytes == 0) return true;
  if (S->session.account == NULL)
    left = S->memory.max > bytes ? S->memory.max - bytes : 0;
  else
    left =
      (size_t)cast_account_left(S->session.account, CAST_BYTES) +
      (cast_memory_granted(S) > bytes ? cast_memory_granted(S) - bytes : 0);
  return left >= CAST_LEAST_ROOM;
}

/* From now on it counts among what its maker has made. If that closes, this one
   does, too. */
static void enter_account(cast_state *S) {
  cast_session_ref_weak(&S->session); /* its account's */
  if (cast_account_enter(S->session.account)) cast_state_close(S, NULL);
}

/* The caller's thread does everything, in the new Lua state, too, unless that
   has a thread of its own: it belongs to nobody else yet. What the state
   allocates comes from its slabs, which have the limit from the start; so a
   limit that is too small shows here. */
cast_state *cast_state_make(
  cast_state *root, const cast_state *maker, const cast_options *o, int *rc) {
  char made[32];
  cast_chars name = o->name;
  making m = {NULL, o, false};
  cast_state *S;
  *rc = CASTING_ENOMEM;
  if (name.at == NULL) name = cast_chars_of(default_name(made, sizeof made));
  S = cast_state_alloc(root->binding, name.at, name.size);
  if (S == NULL || cast_sched_first() != 0 || !make_sandbox(S, maker, o))
    goto no_memory;
  S->budget.cpu_max = o->cpu_max;
  if (!limit(S, maker, o)) goto no_memory;
  m.S = S;
  if (cast_session_init(
        &S->session, o->own_thread ? &own_ops : &pool_ops, false) != 0 ||
      cast_watchdog_init(S) != 0)
    goto no_memory;
  S->session.tasks_max = o->sandbox ? 0 : o->tasks_max;
  S->session.metered =
    o->cpu_max != 0 || cast_account_max(S->session.account, CAST_CPU) != 0;
  if (o->own_thread) {
    *rc = cast_worker_keep(&S->session);
    if (*rc != 0) goto no_memory;
    *rc = CASTING_ENOMEM;
  }
  if (!cast_state_call(S, make_lua, &m) || !m.made || !has_room(S))
    goto no_memory;
  /* Once it is in the list of its root, others may find it and post to it; but
     it is taken for a session that runs, so nobody else runs it. */
  CAST_ALWAYS(cast_session_reclaim(&S->session));
  cast_family_enter(S, root);
  if (CAST_UNLIKELY(S->session.account != NULL)) enter_account(S);
  return S;
no_memory:
  if (S != NULL) discard(S);
  return NULL;
}

/* Why there is no session. */
static _Noreturn void raise_unmade(lua_State *L, int rc) {
  if (rc == CASTING_EFULL)
    cast_lua_error(L, "session: %d sessions have threads of their own already",
      (int)CAST_KEEPERS_MAX);
  if (rc == OS_ENOMEM)
    cast_lua_error(L, "session: no thread can be started for it");
  cast_raise_memory(L);
}

/* The handle is made first, empty: so nothing can fail once the session is
   there, but to note the handle, and then the caller has the session in *to. */
void cast_state_new(
  lua_State *L, cast_state *from, const cast_options *o, cast_state **to) {
  cast_handle *h = cast_handle_new(L, &cast_session_type, 0);
  int rc;
  if (cast_sched_first() != 0) cast_raise_thread(L);
  *to = cast_state_make(from->root, from, o, &rc);
  if (*to == NULL) raise_unmade(L, rc);
  h->object = &(*to)->session.object;
  cast_handle_note(L, h);
}
