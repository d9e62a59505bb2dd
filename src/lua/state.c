/* state.c - making Lua states into sessions, and their end.
   SPDX-License-Identifier: MIT

   Locks: the list of a host's sessions (CAST_RANK_HOST), one lock for all
   hosts, taken when sessions are made and closed only. */
#include "state.h"

#include <stdlib.h>

#include "../../include/casting.h"
#include "../mem.h"
#include "../monitor.h"
#include "../runtime.h"
#include "../sched.h"
#include "../worker.h"
#include "argument.h"
#include "budget.h"
#include "builtin.h"
#include "embed.h"
#include "held.h"
#include "last.h"
#include "library.h"
#include "lineage.h"
#include "load.h"
#include "packer.h"
#include "program.h"
#include "report.h"
#include "require.h"
#include "seal.h"
#include "starting.h"

static const char state_key = 0;
/* Where the registry has the module: package.loaded may forget it. */
static const char module_key = 0;
static cast_lock tree = CAST_LOCK_STATIC(CAST_RANK_HOST);

void cast_state_box(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
}

cast_state *cast_state_find(lua_State *L) {
  cast_state **box;
  luaL_checkstack(L, 1, NULL);
  cast_state_box(L);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL ? *box : NULL;
}

void cast_raise_closed(lua_State *L) {
  if (cast_forked) cast_lua_error(L, CAST_FORKED_TEXT);
  cast_misuse(L, cast_state_find(L) != NULL
                   ? "the session has been closed"
                   : "casting has closed in this Lua state");
}

/* -- the end of a state --------------------------------------------------- */

static void free_state(cast_state *S) {
  cast_state *root = S->root != S ? S->root : NULL;
  cast_timer_remove(&S->nag);
  cast_cancel_fini(S);
  cast_slabs_fini(&S->slabs);
  cast_free(S->rebuild);
  cast_free(S->idle);
  cast_free(S->random);
  cast_starting_fini(S);
  cast_load_fini(S);
  cast_lineage_drop(S->lineage);
  cast_free(S->host);
  cast_free(S->signals);
  cast_free(S);
  if (root != NULL) cast_session_drop(&root->session);
}

/* ops->free: the last hold went. */
static void state_free(cast_session *s) { free_state(cast_state_of(s)); }

static void leave_tree(cast_state *S) {
  cast_lock_take(&tree);
  cast_list_remove(&S->sibling);
  cast_lock_drop(&tree);
}

/* ops->close of one of ours: no task is left. */
static void pool_close(cast_session *s) {
  cast_state *S = cast_state_of(s);
  S->closing = true;
  cast_timer_remove(&S->nag);
  cast_state_unlua(S);
  if (CAST_UNLIKELY(cast_forked)) cast_state_forked(S, true);
  cast_fixed_free(S->fixed);
  S->fixed = NULL;
  cast_rebuild_drop(S, NULL, NULL);
  if (S->counted) cast_lineage_uncount(S->lineage);
  S->counted = false;
  cast_slabs_close(&S->slabs);
  S->L = S->work = NULL;
  leave_tree(S);
}

static void pool_wake(cast_session *s, cast_session *self) {
  cast_sched_ready(cast_worker_of(self), &s->job);
}

const cast_session_ops cast_pool_ops = {
  .wake = pool_wake,
  .resume = cast_ltask_resume,
  .spared = cast_guard_spared,
  .meter = cast_budget_meter,
  .close = pool_close,
  .free = state_free,
  .poke = cast_hook_poke,
  .signals = cast_signals_of,
};

static void on_close(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  if (!closed) cast_cancel_close(s);
}

void cast_state_close(cast_state *S, cast_session *self) {
  /* Relaxed: only whether it was asked before. A task that is refused below
     has seen the lock dropped, hence this too. */
  if (atomic_exchange_explicit(&S->close_posted, true, memory_order_relaxed))
    return;
  /* No new tasks from now on, whatever its owner is busy with. */
  cast_lock_take(&S->session.lock);
  S->session.closing = true;
  cast_lock_drop(&S->session.lock);
  /* The hold keeps it whole until the timer is set; a session that has closed
     meanwhile has taken it out. */
  cast_session_hold(&S->session);
  cast_session_push(&S->session, self, &S->close_post);
  cast_nag_at(S, os_now() + CAST_STOP_NS, os_now());
  cast_session_drop(&S->session);
}

/* -- hosts ---------------------------------------------------------------- */

static void host_wake(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_host_wake(cast_state_of(s)->host);
}

static void host_close(cast_session *s) { CAST_UNUSED(s); }

/* A signal handler sets a hook to stop the main program (as lua.c's does on
   Ctrl-C). Its wait ends then; park.c calls the hook. */
static bool host_interrupted(cast_session *s) {
  cast_state *S = cast_state_of(s);
  if (cast_last_due(S)) return cast_wait_end(&S->main->core, CASTING_ETIMEOUT);
  if (CAST_LIKELY(!cast_hook_changed(S) && !S->struck)) return false;
  return cast_wait_end(&S->main->core, CASTING_EINTR);
}

const cast_session_ops cast_host_ops = {
  .wake = host_wake,
  .resume = cast_ltask_resume,
  .spared = cast_guard_spared,
  .close = host_close,
  .free = state_free,
  .interrupted = host_interrupted,
#if !CAST_LUAJIT
  .poke = cast_hook_poke,
  .urgent = cast_hook_urgent,
#endif
};

/* All sessions of the host, one reference each (a hold), for the closer. */
cast_state *cast_state_child(cast_state *root, cast_state *after) {
  cast_list *l;
  cast_state *S = NULL;
  cast_lock_take(&tree);
  l = after == NULL ? root->children.next : after->sibling.next;
  /* It has left the tree meanwhile: from the beginning, which is harmless. */
  if (after != NULL && l == &after->sibling) l = root->children.next;
  if (l != &root->children) {
    S = CAST_CONTAINER(l, cast_state, sibling);
    cast_session_hold(&S->session);
  }
  cast_lock_drop(&tree);
  return S;
}

uint32_t cast_state_family(cast_state *root, cast_state **all, uint32_t room) {
  uint32_t n = 0;
  if (root->host != NULL) all[n++] = root;
  cast_lock_take(&tree);
  for (cast_list *l = root->children.next; n < room && l != &root->children;
       l = l->next)
    all[n++] = CAST_CONTAINER(l, cast_state, sibling);
  for (uint32_t i = 0; i < n; i++) cast_session_hold(&all[i]->session);
  cast_lock_drop(&tree);
  return n;
}

void cast_state_close_children(cast_state *root, cast_session *self) {
  cast_state *S = cast_state_child(root, NULL), *next;
  while (S != NULL) {
    next = cast_state_child(root, S); /* before: S may leave the tree at once */
    cast_state_close(S, self);
    cast_session_drop(&S->session);
    S = next;
  }
}

/* Lets the host's thread run its session until `e` is set, or the deadline.
   The main program waits as it does in any blocking call. */
static bool host_await(cast_state *S, cast_event *e, uint64_t deadline_ns) {
  cast_task *t = &S->main->core;
  if (cast_event_is_set(e)) return true;
  if (cast_monitor_start() != 0 || cast_host_prepare(S->host) != 0 ||
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
    cast_session_drop(&S->session);
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
  if (S->session.current != &S->main->core) {
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
  cast_guard_leave(S->main);
  cast_rebuild_drop(S, NULL, NULL);
  cast_host_unwatch(S->host); /* the timer looks at the Lua state */
  if (S->host->finding != NULL) cast_unref(S->host->finding);
  S->host->finding = NULL;
  all = cast_failures_flush(S, deadline) && all;
  cast_handles_release(L);
  cast_held_end(S);
  cast_let_go(S->main);
  cast_packer_close(S->packer);
  *box = NULL;
  /* Should a task be stuck, its memory stays, and the session with it. */
  if (S->session.ntasks == 0) {
    cast_session_end(&S->session);
    cast_host_fini(S->host);
    cast_unref(&S->main->core.object);
    cast_unref(&S->session.object);
    cast_session_drop(&S->session);
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

/* Pushes the box (state.h), empty so far. A host's is also the guard whose
   finalizer ends everything. */
static cast_state **push_box(lua_State *L, bool host) {
  cast_state **box = cast_lua_newuserdata(L, sizeof *box);
  *box = NULL;
  if (host) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, guard_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
  }
  return box;
}

/* The box on the top is the state's. */
static void keep_box(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

/* -- both kinds ----------------------------------------------------------- */

void cast_module_need(lua_State *L) {
  cast_state *S = cast_state_find(L);
  if (S == NULL || S->opened) return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  S->binding->open_module(L);
  if (S->opened) { /* by a finalizer that ran meanwhile */
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  cast_packer_own(S->packer, L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_insert(L, -2);
  lua_setfield(L, -2, "casting");
  lua_pop(L, 1);
  S->opened = true;
}

void cast_module_push(lua_State *L) {
  cast_module_need(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key);
}

static bool end_host(lua_State *L, bool closing) {
  cast_state *S = cast_state_find(L);
  if (S != NULL && closing) S->binding->end(L);
  S = cast_state_find(L);
  /* Relaxed: it is set by this state's owner. */
  return S == NULL ||
         !(atomic_load_explicit(&S->ending, memory_order_relaxed) ||
           cast_last_strays(S));
}

/* A finalizer that runs meanwhile may do this itself, and use what it has
   made. */
void cast_state_furnish(lua_State *L, cast_state *S) {
  cast_packer *p;
  cast_seal_learn();
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (S->host == NULL) {
    S->work = L; /* the main thread, which runs nothing else */
  } else {
    lua_State *work = lua_newthread(L);
    (void)cast_anchor(L, S);
    if (S->work == NULL) S->work = work;
  }
  cast_handle_open(L);
  cast_builtin_note(L);
  cast_require_open(L);
  p = cast_packer_open(L, &S->session.runner);
  if (S->packer != NULL) return;
  S->packer = p;
  S->packer->module = cast_embed_module;
  if (S->host != NULL) S->packer->end = end_host;
#if CAST_LUA >= 505
  if (S->host == NULL) S->packer->fixed = &S->fixed;
#endif
}

static cast_state *alloc_state(
  const cast_binding *binding, const char *name, size_t size) {
  cast_state *S = cast_calloc(sizeof *S + size + 1);
  if (S == NULL) return NULL;
  S->binding = binding;
  memcpy(S->name, name, size);
  S->name_size = size;
  atomic_init(&S->nag_ns, OS_FOREVER);
  cast_list_init(&S->children);
  cast_list_init(&S->sibling);
  cast_list_init(&S->held);
  S->close_post.run = on_close;
  return S;
}

cast_state *cast_state_root(const cast_binding *binding) {
  cast_state *S = alloc_state(binding, "", 0);
  if (S == NULL) return NULL;
  S->root = S;
  if (!cast_signals_init(S)) {
    cast_free(S);
    return NULL;
  }
  /* Not a session that anybody runs: what its children hold, and its owner. */
  S->session.ops = &cast_pool_ops;
  atomic_store_explicit(&S->session.holds, 1, memory_order_relaxed);
  return S;
}

/* The monitor's, or the first worker's: without, nothing would ever run. */
static void raise_thread(lua_State *L) {
  cast_lua_error(L, "no thread can be started");
}

void cast_state_prepare(lua_State *L, cast_state *S) {
  if (S->host == NULL || S->host->prepared) return;
  if (cast_monitor_start() != 0) raise_thread(L);
  if (cast_host_prepare(S->host) != 0) cast_raise_memory(L);
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
    cast_task_init(&S->main->core, &S->session, &cast_task_type);
    rc = cast_host_init(S->host, &S->session, &S->main->core);
  }
  if (rc != 0) {
    cast_timer_remove(&S->session.alarm);
    cast_heap_fini(&S->session.deadlines);
    return rc;
  }
  S->main->core.session = &S->session;
  S->L = cast_main_thread(L);
  return 0;
}

cast_state *cast_state_host(lua_State *L, const cast_binding *binding) {
  cast_state **box, *S;
  cast_probe(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  box = push_box(L, true);
  S = cast_state_find(L); /* a finalizer that ran may have made it one */
  if (S != NULL) return lua_pop(L, 1), S;
  if (cast_runtime_ref() != 0) cast_raise_memory(L);
  S = alloc_state(binding, "main", 4);
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
  keep_box(L);
  cast_last_open(L, S);
  cast_state_furnish(L, S);
  return S;
}

typedef struct making {
  cast_state *S;
  const cast_options *o;
} making;

/* What most sessions never ask for comes to be when one does. */
static void preload_casting(lua_State *L, cast_state *S) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, S->binding->open);
  lua_setfield(L, -2, "casting");
  lua_pop(L, 3);
}

/* A new state is collected for the first time when its memory has doubled, as
   any is after a collection, and not while it is being made: there is nothing
   to collect. (A step of so many negative KiB is none; the documentation does
   not say so. In 5.2 it is one.) */
static void put_off_collection(lua_State *L) {
#if CAST_LUA == 503 || CAST_LUA == 504
  lua_gc(L, LUA_GCRESTART, 0);
  lua_gc(L, LUA_GCSTEP, -lua_gc(L, LUA_GCCOUNT, 0));
#else
  CAST_UNUSED(L);
#endif
}

static int make_protected(lua_State *L) {
  making *m = lua_touserdata(L, 1);
#if CAST_LUA == 503 || CAST_LUA == 504
  lua_gc(L, LUA_GCSTOP, 0);
#endif
  cast_libs_open(L, m->o->libs);
  *push_box(L, false) = m->S;
  keep_box(L);
  preload_casting(L, m->S);
  cast_state_furnish(L, m->S);
  cast_libs_adapt(L);
  if (m->o->memory_max != 0) cast_libs_limit(L);
  put_off_collection(L);
  return 0;
}

/* Enters the tree of the host, whose memory it keeps: the host may end while
   a session is stuck, which leaves the tree whenever it can. */
static void enter_tree(cast_state *S, cast_state *root) {
  S->root = root;
  cast_session_hold(&root->session);
  cast_lock_take(&tree);
  cast_list_push(&root->children, &S->sibling);
  cast_lock_drop(&tree);
}

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

/* Frees a session that nobody has seen yet. */
static void discard(cast_state *S) {
  if (S->L != NULL) {
    S->closing = true;
    cast_state_unlua(S);
  }
  if (S->session.ops != NULL) {
    cast_timer_remove(&S->session.alarm);
    cast_heap_fini(&S->session.deadlines);
  }
  free_state(S);
}

cast_state *cast_state_make(cast_state *root, const cast_options *o) {
  char made[32];
  cast_chars name = o->name;
  making m = {NULL, o};
  cast_state *S;
  if (name.at == NULL) name = cast_chars_of(default_name(made, sizeof made));
  S = alloc_state(root->binding, name.at, name.size);
  if (S == NULL || cast_sched_first() != 0) goto no_memory;
  S->slabs.max = S->memory_max = o->memory_max;
  S->cpu_max = o->cpu_max;
  m.S = S;
  if (cast_session_init(&S->session, &cast_pool_ops, false) != 0 ||
      cast_nag_init(S) != 0)
    goto no_memory;
  S->session.tasks_max = o->tasks_max;
  S->session.metered = o->cpu_max != 0;
  S->L = cast_state_lua(S);
  if (S->L == NULL) goto no_memory;
  if (cast_protect_on(S->L, make_protected, &m) != LUA_OK) goto no_memory;
  lua_settop(S->L, 0);
  /* Whoever finds it in the tree may post to it, but nobody else runs it. */
  CAST_ALWAYS(cast_session_reclaim(&S->session));
  enter_tree(S, root);
  return S;
no_memory:
  if (S != NULL) discard(S);
  return NULL;
}

void cast_state_new(
  lua_State *L, cast_state *from, const cast_options *o, cast_state **to) {
  cast_handle *h = cast_handle_new(L, &cast_session_type, 0);
  if (cast_sched_first() != 0) raise_thread(L);
  *to = cast_state_make(from->root, o);
  if (*to == NULL) cast_raise_memory(L);
  h->object = &(*to)->session.object;
  cast_handle_note(L, h);
}
