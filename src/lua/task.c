/* task.c - tasks as coroutines: start, resume, results, end.
   SPDX-License-Identifier: MIT

   Owner: the task's session. Where a task's results are, once it has ended:
     packed  in core.waiter.msg: plain values, or other sessions may ask
     stored  as the user value of its handle in its own session, by reference
   Both are fixed before `done` is set and never change while others may look,
   but for cast_ltask_cross, which packs before the handle first crosses. */
#include "../../include/casting.h"
#include "../mem.h"
#include "handle.h"
#include "state.h"

static const char results_key = 0; /* in a table of results: how many */
#if !CAST_HAS_YIELDK
static const char raise_key = 0;
#endif

/* -- life of the object --------------------------------------------------- */

static void drop_cases(cast_ltask *t) {
  for (uint32_t i = 0; i < t->ncases; i++)
    cast_msg_drop(&t->cases[i].waiter.msg);
  t->ncases = 0;
}

static void ltask_release(cast_object *o, cast_object **more) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, core.object);
  cast_msg_drop_later(&t->core.waiter.msg, more);
  for (uint32_t i = 0; i < t->ncases; i++)
    cast_msg_drop_later(&t->cases[i].waiter.msg, more);
  t->ncases = 0;
}

static void ltask_free(cast_object *o) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, core.object);
  cast_session *s = t->core.session;
  CAST_ASSERT(t->core.held == NULL);
  if (t->failure != NULL) cast_failure_free(t->failure);
  cast_rebuild_drop(t, NULL);
  cast_free(t->cases);
  cast_cancel_forget(t);
  if (t->lent)
    cast_slabs_return(&cast_state_of(s)->slabs, t, sizeof *t);
  else
    cast_free(t);
  cast_session_drop(s);
}

const cast_type cast_task_type = {"task", ltask_free, ltask_release};

cast_ltask *cast_ltask_make(cast_state *home, bool own) {
  cast_ltask *t =
    own ? cast_slabs_lend(&home->slabs, sizeof *t) : cast_alloc(sizeof *t);
  if (t == NULL) return NULL;
  memset(t, 0, sizeof *t);
  t->lent = own;
  cast_task_init(&t->core, &home->session, &cast_task_type);
  t->co.ref = LUA_NOREF;
  t->fresh = true;
  return t;
}

cast_ltask *cast_ltask_new(lua_State *L, cast_state *home, bool own) {
  cast_handle *h = cast_handle_new(L, &cast_task_type);
  cast_ltask *t = cast_ltask_make(home, own);
  if (t == NULL) cast_raise_memory(L);
  h->object = &t->core.object;
  cast_handle_note(L, h);
  return t;
}

/* -- results -------------------------------------------------------------- */

static bool is_plain(lua_State *L, int first, int n) {
  if (n > 4) return false; /* each takes at most 9 bytes of a message */
  for (int i = first; i < first + n; i++) {
    int type = lua_type(L, i);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TNUMBER)
      return false;
  }
  return true;
}

/* The user value of a handle: a table, in every version. */
static void set_results(lua_State *L, int handle) {
#if CAST_LUA >= 504
  lua_setiuservalue(L, handle, 1);
#elif CAST_LUA >= 502
  lua_setuservalue(L, handle);
#else
  lua_setfenv(L, handle);
#endif
}
static void get_results(lua_State *L, int handle) {
#if CAST_LUA >= 504
  lua_getiuservalue(L, handle, 1);
#elif CAST_LUA >= 502
  lua_getuservalue(L, handle);
#else
  lua_getfenv(L, handle);
#endif
}

/* A reason why the results could not be packed, as their message. */
static void pack_reason(
  lua_State *L, cast_state *S, cast_ltask *t, const char *why) {
  lua_pushstring(L, why);
  cast_pack(S->packer, L, lua_gettop(L), 1, NULL, 0, &t->core.waiter.msg);
  lua_pop(L, 1);
}

typedef struct packing {
  cast_state *S;
  cast_ltask *t;
  int n;
} packing;

static int pack_protected(lua_State *L) {
  packing *p = lua_touserdata(L, 1);
  luaL_checkstack(L, p->n, "too many results");
  for (int i = 1; i <= p->n; i++) lua_rawgeti(L, 2, i);
  cast_pack(p->S->packer, L, 3, p->n, "result", 0, &p->t->core.waiter.msg);
  return 0;
}

/* Packs the results in the table at index i. If they cannot cross, joiners
   elsewhere get a failure with the reason. Raises when out of memory. */
static void pack_table(lua_State *L, cast_state *S, cast_ltask *t, int i) {
  packing p = {S, t, 0};
  cast_object *outer;
  int status;
  i = lua_absindex(L, i);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_rawgetp(L, i, &results_key);
  p.n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_pushcfunction(L, pack_protected);
  lua_pushlightuserdata(L, &p);
  lua_pushvalue(L, i);
  outer = cast_pack_results(S->packer, &t->core.object);
  status = lua_pcall(L, 2, 0, 0);
  (void)cast_pack_results(S->packer, outer);
  if (status != LUA_OK) {
    const char *why = lua_tostring(L, -1);
    t->unsendable = true;
    pack_reason(L, S, t, why != NULL ? why : "results cannot be sent");
    lua_pop(L, 1);
  }
  t->packed = true;
}

bool cast_ltask_share(cast_ltask *t) {
  uint8_t own = CAST_OWN;
  /* PAIR share: with the end of the task, which keeps its results for its own
     session only if nobody has shared it before. */
  return atomic_compare_exchange_strong_explicit(&t->shared, &own, CAST_SHARED,
           memory_order_acq_rel, memory_order_acquire) ||
         own == CAST_SHARED;
}

void cast_ltask_cross(lua_State *L, cast_state *S, cast_ltask *t) {
  if (cast_ltask_share(t)) return;
  /* It has ended; only its own session has handles, so this is that one.
     Before its results are packed, for they may lead back to it. */
  /* PAIR share. */
  atomic_store_explicit(&t->shared, CAST_SHARED, memory_order_release);
  if (t->stored && cast_handle_find(L, &t->core.object)) {
    get_results(L, -1);
    pack_table(L, S, t, -1);
    lua_pop(L, 2);
  }
}

/* What a joiner in the task's own session gets by reference. -1: the handle
   that has them was collected; the one at hand, if any, was made after it. */
static int push_stored(lua_State *L, cast_ltask *t) {
  int n, handle, top;
  if (!cast_handle_find(L, &t->core.object)) return -1;
  handle = lua_gettop(L);
  get_results(L, handle);
  top = handle + 1;
  if (lua_istable(L, top)) lua_rawgetp(L, top, &results_key);
  if (lua_type(L, -1) != LUA_TNUMBER) {
    lua_settop(L, handle - 1);
    return -1;
  }
  n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, top, i);
  lua_remove(L, top);
  lua_remove(L, handle);
  return n;
}

/* The error of a task for which there is no message. */
static int push_lost(lua_State *L, cast_ltask *t) {
  cast_state *S = cast_state_of(t->core.session);
  if (cast_budget_over(S))
    cast_budget_push(L, S);
  else
    lua_pushliteral(L, "not enough memory");
  return 1;
}

int cast_ltask_outcome(
  lua_State *L, cast_state *S, cast_ltask *self, cast_ltask *t) {
  cast_status how =
    (cast_status)atomic_load_explicit(&t->core.status, memory_order_relaxed);
  bool own = t->core.session == &S->session;
  int n;
  lua_pushboolean(L, how == CAST_DONE);
  if (how == CAST_CANCELLED) {
    cast_cancel_push(L, cast_cancel_reason(t));
    return 2;
  }
  if (how == CAST_FAILED)
    atomic_store_explicit(&t->joined, true, memory_order_relaxed);
  if (own && t->stored && (n = push_stored(L, t)) >= 0) return 1 + n;
  if (t->stored && !t->packed) { /* there was no memory for it */
    lua_pushboolean(L, 0);
    lua_replace(L, -2);
    lua_pushliteral(L, "not enough memory");
    return 2;
  }
  if (!t->packed && how == CAST_FAILED) return 1 + push_lost(L, t);
  if (t->unsendable) {
    lua_pop(L, 1);
    lua_pushboolean(L, 0);
  }
  if (!t->packed) return 1;
  cast_msg_drop(&self->core.waiter.msg);
  if (cast_msg_dup_of(
        &self->core.waiter.msg, &t->core.waiter.msg, &t->core.object) != 0)
    cast_raise_memory(L);
  return 1 + cast_rebuild_values(L, S, self, &self->core.waiter.msg);
}

/* -- the end of a task ---------------------------------------------------- */

typedef struct ending {
  cast_state *S;
  cast_ltask *t;
  int nres;
} ending;

/* From now on nobody can share the task without having its results packed.
   False: it is shared already. */
static bool keep_own(cast_ltask *t) {
  uint8_t own = CAST_OWN;
  /* PAIR share. */
  return atomic_compare_exchange_strong_explicit(
    &t->shared, &own, CAST_KEPT, memory_order_acq_rel, memory_order_acquire);
}

/* Keeps what lies on top of the coroutine's stack for joiners. */
static int keep_results(lua_State *L) {
  ending *e = lua_touserdata(L, 1);
  cast_ltask *t = e->t;
  lua_State *co = t->co.L;
  int first = lua_gettop(co) - e->nres + 1;
  bool here, shared;
  if (is_plain(co, first, e->nres)) {
    luaL_checkstack(L, e->nres, NULL);
    lua_xmove(co, L, e->nres);
    cast_pack(e->S->packer, L, 2, e->nres, "result", 0, &t->core.waiter.msg);
    t->packed = true;
    return 0;
  }
  here = cast_handle_find(L, &t->core.object);
  shared = !keep_own(t);
  if (!here && !shared) return 0; /* nobody can ask */
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, e->nres, 1);
  lua_pushinteger(L, e->nres);
  lua_rawsetp(L, -2, &results_key);
  for (int i = e->nres; i > 0; i--) {
    lua_xmove(co, L, 1);
    lua_rawseti(L, -2, i);
  }
  if (shared) pack_table(L, e->S, t, -1);
  if (here) {
    set_results(L, -2);
    t->stored = true;
  }
  return 0;
}

/* Notes error and traceback of a failed coroutine. */
static int note_failure(lua_State *L) {
  ending *e = lua_touserdata(L, 1);
  lua_State *co = e->t->co.L;
  const char *error;
  lua_xmove(co, L, 1);
  lua_pushvalue(L, 2);
  lua_xmove(L, co, 1); /* its place has just become free */
  error = cast_lua_describe(L, 2);
  luaL_traceback(L, co, error, 0);
  e->t->failure = cast_failure_new(e->t, e->S, error, lua_tostring(L, -1));
  /* What fails because everything ends is nobody's concern. Relaxed: a
     failure at the same moment may be reported or not. */
  if (atomic_load_explicit(&e->S->root->ending, memory_order_relaxed) ||
      atomic_load_explicit(&e->S->close_posted, memory_order_relaxed))
    atomic_store_explicit(&e->t->joined, true, memory_order_relaxed);
  return 0;
}

/* 5.1 and LuaJIT do not look for garbage before they give up for want of
   memory; a session at its limit would stay there. */
static int collect_garbage(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}
static void make_room(cast_state *S) {
  size_t max;
  if (CAST_LUA >= 502) return;
  max = S->slabs.max;
  S->slabs.max = 0; /* even calling it takes some */
  (void)cast_protect(S, collect_garbage, NULL);
  S->slabs.max = max;
}

static void finish(cast_state *S, cast_ltask *t, int status, int nres) {
  ending e = {S, t, nres};
  cast_status how = CAST_DONE;
  bool clean = status == LUA_OK;
  cast_guard_leave(t);
  cast_msg_drop(&t->core.waiter.msg);
  cast_rebuild_drop(t, NULL);
  drop_cases(t);
  if (status != LUA_OK) {
    how = cast_cancel_test(t->co.L, -1) ? CAST_CANCELLED : CAST_FAILED;
    e.nres = 1;
  }
  if (how == CAST_FAILED) cast_protect(S, note_failure, &e);
  if (e.nres > 0 && how != CAST_CANCELLED &&
      cast_protect(S, keep_results, &e) != LUA_OK) {
    /* Out of memory: joiners are told, which needs none. */
    cast_msg_drop(&t->core.waiter.msg);
    cast_pack_text("not enough memory", &t->core.waiter.msg);
    t->stored = false;
    t->packed = true;
    how = CAST_FAILED;
  }
#if CAST_LUA >= 504
  if (!clean) {
    t->closing = true;
    cast_lua_close_thread(t->co.L, NULL);
    clean = !t->hooked;
  }
#endif
  cast_coroutine_put(S, t->co, clean);
  t->co.L = NULL;
  if (status == LUA_ERRMEM) make_room(S);
  cast_cancel_end(t);
  cast_task_finish(&t->core, how);
}

/* -- starting ------------------------------------------------------------- */

/* Runs in the new coroutine: what the creator has packed. */
static int unpack_start(lua_State *L) {
  cast_ltask *t = lua_touserdata(L, 1);
  cast_state *S = cast_state_of(t->core.session);
  int n;
  lua_settop(L, 0);
  n = cast_rebuild_values(L, S, t, &t->core.waiter.msg);
  if (lua_type(L, 1) == LUA_TSTRING) { /* source text from C */
    size_t size;
    const char *text = lua_tolstring(L, 1, &size);
    if (cast_lua_load(L, text, size, "=(spawn)", "t") != LUA_OK) lua_error(L);
    lua_replace(L, 1);
  }
  return n;
}

typedef struct starting {
  cast_state *S;
  cast_ltask *t;
} starting;

static int get_protected(lua_State *L) {
  starting *a = lua_touserdata(L, 1);
  a->t->co = cast_coroutine_get(L, a->S);
  return 0;
}

static int start_protected(lua_State *L) {
  get_protected(L);
#if CAST_LUA < 502
  starting *a = lua_touserdata(L, 1);
  /* Making a C function may fail here: made where that is protected. */
  lua_pushcfunction(L, unpack_start);
  lua_xmove(L, a->t->co.L, 1);
#endif
  return 0;
}

/* There was no memory for a coroutine. */
static void fail_to_start(cast_ltask *t) {
  cast_msg_drop(&t->core.waiter.msg);
  cast_pack_text("not enough memory", &t->core.waiter.msg);
  t->packed = true;
  cast_cancel_end(t);
  cast_task_finish(&t->core, CAST_FAILED);
}

/* A task of the own session gets its coroutine. False: it is finished. */
static bool start_own(cast_state *S, cast_ltask *t) {
  starting a = {S, t};
  if (CAST_LIKELY(S->nidle > 0)) {
    t->co = S->idle[--S->nidle];
  } else if (cast_protect(S, get_protected, &a) != LUA_OK) {
    cast_starting_give(S, t, NULL);
    fail_to_start(t);
    return false;
  }
  cast_starting_give(S, t, t->co.L);
  return true;
}

/* A task from elsewhere gets its coroutine, function and arguments: the number
   of arguments, or -1: it has failed and is finished. */
static int start_remote(cast_state *S, cast_ltask *t) {
  starting a = {S, t};
  int status, nres;
  if (cast_protect(S, start_protected, &a) != LUA_OK) {
    fail_to_start(t);
    return -1;
  }
#if CAST_LUA >= 502
  lua_pushcfunction(t->co.L, unpack_start);
#endif
  lua_pushlightuserdata(t->co.L, t);
  status = cast_lua_resume(t->co.L, 1, &nres);
  if (status != LUA_OK) {
    finish(S, t, status, nres);
    return -1;
  }
  return nres - 1;
}

#if !CAST_HAS_YIELDK
/* -- raising an error in a suspended coroutine ---------------------------- */

/* 5.1 and LuaJIT have no continuations: a hook at its next instruction raises
   what was put into the registry. */
static void raise_hook(lua_State *L, lua_Debug *ar) {
  cast_state *S = cast_state_find(L);
  CAST_UNUSED(ar);
  lua_sethook(L, NULL, 0, 0);
  if (S != NULL && S->session.current != NULL)
    cast_stop_watch(S, cast_ltask_of(S->session.current), L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raise_key);
  lua_error(L);
}

/* Compiled code, to which LuaJIT may return from a call, would raise it too
   late, where nobody expects it any more. */
static void set_raise(cast_ltask *t) {
  cast_stop_interpret(t->co.L);
  lua_sethook(t->co.L, raise_hook, LUA_MASKCOUNT, 1);
}

/* With the error on top of `from`; protected. */
static void prepare_raise(lua_State *from, cast_ltask *t) {
  lua_rawsetp(from, LUA_REGISTRYINDEX, &raise_key);
  set_raise(t);
  t->raising = true;
}

typedef struct delivery {
  cast_state *S;
  cast_ltask *t;
  cast_coroutine aux;
} delivery;

/* Runs in a coroutine of its own: a finish may raise, and even block. */
static int deliver_main(lua_State *L) {
  delivery *d = lua_touserdata(L, 1);
  lua_settop(L, 0);
  return cast_complete(L, d->S, d->t);
}

static int get_aux(lua_State *L) {
  delivery *d = lua_touserdata(L, 1);
  d->aux = cast_coroutine_get(L, d->S);
  lua_pushcfunction(L, deliver_main);
  lua_xmove(L, d->aux.L, 1);
  return 0;
}

static int raise_protected(lua_State *L) {
  delivery *d = lua_touserdata(L, 1);
  lua_xmove(d->aux.L, L, 1);
  prepare_raise(L, d->t);
  return 0;
}

int cast_deliver(cast_state *S, cast_ltask *t) {
  delivery d = {S, t, {NULL, LUA_NOREF}};
  int n, nres;
  /* The common case needs no help: plain values, no memory. */
  if (t->core.wait.result == 0 && t->arg == NULL) {
    if (cast_msg_empty(&t->core.waiter.msg)) {
      lua_pushboolean(t->co.L, 1); /* a send */
      n = 1;
    } else {
      n = cast_unpack_plain(t->co.L, &t->core.waiter.msg);
    }
    if (n >= 0) {
      cast_wait_over(t);
      return n;
    }
  }
  if (cast_protect(S, get_aux, &d) != LUA_OK) {
    set_raise(t); /* a nil error */
    t->raising = true;
    cast_wait_over(t);
    return 0;
  }
  lua_pushlightuserdata(d.aux.L, &d);
  if (cast_lua_resume(d.aux.L, 1, &nres) == LUA_OK) {
    lua_checkstack(t->co.L, nres);
    lua_xmove(d.aux.L, t->co.L, nres);
    cast_coroutine_put(S, d.aux, true);
    return nres;
  }
  if (cast_protect(S, raise_protected, &d) != LUA_OK) {
    set_raise(t);
    t->raising = true;
  }
  cast_coroutine_put(S, d.aux, false);
  return 0;
}
#endif

/* -- running -------------------------------------------------------------- */

/* How many values on the coroutine's stack to resume it with; -1: it ended
   before it could be. */
static int prepare(cast_state *S, cast_ltask *t) {
  if (t->fresh) {
    t->fresh = false;
    if (t->core.cancelled) {
      if (t->co.L != NULL) cast_coroutine_put(S, t->co, true);
      if (t->nstart > 0) cast_starting_give(S, t, NULL);
      cast_msg_drop(&t->core.waiter.msg);
      cast_cancel_end(t);
      cast_task_finish(
        &t->core, cast_budget_over(S) ? CAST_FAILED : CAST_CANCELLED);
      return -1;
    }
    if (t->remote) return start_remote(S, t);
    if (t->nstart > 0 && !start_own(S, t)) return -1;
    return lua_gettop(t->co.L) - 1;
  }
#if !CAST_HAS_YIELDK
  if (t->parked) return cast_deliver(S, t);
#endif
  return 0;
}

/* One stretch of a task, until it waits or ends. */
static inline void stretch(cast_state *S, cast_ltask *t) {
  int n = prepare(S, t), nres, status;
  if (n < 0) return;
  t->parked = false;
  atomic_store_explicit(&S->running, t->co.L, memory_order_relaxed);
  S->through = true;
  if (CAST_UNLIKELY(S->host != NULL || cast_guarded(t)) && !t->raising)
    cast_stop_watch(S, t, t->co.L);
  status = cast_lua_resume(t->co.L, n, &nres);
  /* Before anything is freed; the compiler keeps it there (the calls that
     follow are opaque to it). */
  atomic_store_explicit(&S->running, NULL, memory_order_relaxed);
#if !CAST_HAS_YIELDK
  if (t->raising && lua_gethook(t->co.L) == raise_hook)
    lua_sethook(t->co.L, NULL, 0, 0); /* it ended without an instruction */
  t->raising = false;
#endif
  if (status != LUA_YIELD) {
    finish(S, t, status, nres);
  } else if (CAST_UNLIKELY(S->preempted)) {
    S->preempted = false;
    cast_task_preempt(&t->core);
  } else if (!t->parked) {
    /* coroutine.yield in the task itself: lets others run. */
    lua_pop(t->co.L, nres);
    cast_task_yield(&t->core);
  }
}

/* Goes on with the next ready task here: a yield has come by longjmp, after
   which the processor foresees no return, so returns are to be few. */
void cast_ltask_resume(cast_session *s, cast_task *core) {
  do {
    stretch(cast_state_of(s), cast_ltask_of(core));
  } while ((core = cast_session_take(s)) != NULL);
}
