/* deliver.c - how a parked task goes on where the VM has no continuations.
   SPDX-License-Identifier: MIT

   On 5.1 and LuaJIT a C function that has yielded does not run again: the
   values with which its coroutine is resumed are what it returns. So its
   results are made before the coroutine is resumed. Plain ones are pushed at
   once; all others are made in a coroutine of their own (S->aux), for that may
   raise, and even block. If it raises, a hook raises the same error at the next
   instruction of the task's coroutine (preempt.c).

   A C function that is a task's own, called by nothing, is not resumed: what
   its wait brings is what the task ends with (`last`). Resumed, 5.1 would go on
   with the Lua function that had called, and there is none.

   Owner: the task's session.
   Invariants:
   1. raise_key has a value in the registry from prepare_raise until raise_hook
      has run, in the same turn of the task.
   2. A hook of the program's does not see that deliver_main is called and
      returns: an error of it would leave the wait without its end, or its
      results nowhere.
   3. S->aux is there before a task waits, and stays. It cannot be made when the
      wait is over: that takes memory, so a finalizer may run, which may wait
      itself, and so would find the task's message and undo the outcome of its
      wait. It is empty until it is resumed, since the program may have it as a
      value (a task has ended in it): the function that it runs is in the
      registry. */
#include "deliver.h"

#include "../../base.h"
#include "../../msg.h"
#include "../../os/os.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/interrupt.h"
#include "../state/ltask.h"
#include "../state/protect.h"
#include "../state/state.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../transfer/pack.h"
#include "complete.h"
#include "pending.h"

#if !CAST_HAS_YIELDK
/* In the registry: deliver_main as a function. */
static const char main_key = 0;

/* -- raising an error in a suspended coroutine ---------------------------- */

/* Has the error on top of `from` raised in t's coroutine. Raises when out of
   memory. */
static void prepare_raise(lua_State *from, cast_ltask *t) {
  cast_hook_raise_keep(from);
  cast_hook_raise(cast_state_of(t->base.session), t->co);
  t->raising = true;
}

/* There is no memory to keep an error: t meets nil. Returns what cast_deliver
   does. */
static int raise_nil(cast_ltask *t) {
  t->raising = true;
  if (t->last) return lua_pushnil(t->co), 1;
  cast_hook_raise(cast_state_of(t->base.session), t->co);
  return 0;
}

typedef struct delivery {
  cast_state *S;
  cast_ltask *t;
  lua_State *aux; /* makes the results; the error is on its top, if it fails */
  lua_Hook hook;  /* invariant 2 */
  int mask, count;
} delivery;

/* Invariant 2. */
static void hush(delivery *d) {
  d->mask = lua_gethookmask(d->aux);
  if (CAST_LIKELY((d->mask & (LUA_MASKCALL | LUA_MASKRET)) == 0)) {
    d->mask = 0;
    return;
  }
  d->hook = lua_gethook(d->aux);
  d->count = lua_gethookcount(d->aux);
  (void)lua_sethook(d->aux, NULL, 0, 0);
}
static void unhush(delivery *d) {
  if (CAST_UNLIKELY(d->mask != 0) && lua_gethook(d->aux) == NULL)
    (void)lua_sethook(d->aux, d->hook, d->mask, d->count);
  d->mask = 0;
}

/* Runs in S->aux: the kind's finish may raise, and even block. */
static int deliver_main(lua_State *L) {
  delivery *d = lua_touserdata(L, 1);
  int n;
  lua_settop(L, 0);
  unhush(d);
  n = cast_complete(L, d->S, d->t);
  /* For so many there is room: cast_enter has made more, and LuaJIT's
     collector, which shrinks stacks of tasks that wait, leaves that. */
  if (n > LUA_MINSTACK && !cast_lua_reserve(d->t->co, n)) cast_raise_memory(L);
  hush(d);
  return n;
}

void cast_deliver_ready(lua_State *L, cast_state *S) {
  cast_coroutine co;
  if (CAST_LIKELY(S->aux.L != NULL)) return;
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &main_key);
  if (CAST_UNLIKELY(lua_isnil(L, -1))) {
    lua_pushcfunction(L, deliver_main);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &main_key);
  }
  lua_pop(L, 1);
  co = cast_coroutine_get(L, S);
  if (CAST_LIKELY(S->aux.L == NULL))
    S->aux = co;
  else /* a finalizer has waited meanwhile */
    cast_coroutine_put(S, co, true);
}

static int ready_protected(lua_State *L) {
  cast_deliver_ready(L, lua_touserdata(L, 1));
  return 0;
}

static int raise_protected(lua_State *L) {
  delivery *d = lua_touserdata(L, 1);
  lua_pushvalue(d->aux, -1);
  lua_xmove(d->aux, L, 1);
  prepare_raise(L, d->t);
  return 0;
}

/* Makes S->aux, for the next delivery. False: out of memory. */
static bool make_aux(cast_state *S) {
  return cast_protect(S, ready_protected, S) == LUA_OK;
}

int cast_deliver(cast_state *S, cast_ltask *t) {
  cast_coroutine aux;
  delivery d;
  int n, nres, status;
  /* The common case takes no memory: a send, or plain values. */
  if (t->base.wait.result == 0 && t->arg == NULL) {
    if (cast_msg_is_empty(&t->base.waiter.msg)) {
      lua_pushboolean(t->co, 1); /* a send */
      n = 1;
    } else {
      n = cast_unpack_plain(t->co, &t->base.waiter.msg);
    }
    if (n >= 0) {
      cast_wait_over(t);
      return n;
    }
  }
  /* Before the result of the wait is looked at: a scope's time that came while
     t waited for its turn counts from now on. */
  if (CAST_UNLIKELY(cast_scope_is_needed(t)))
    (void)cast_scope_observe(t, t->co, os_now());
  if (S->aux.L == NULL && !make_aux(S)) {
    cast_wait_over(t);
    return raise_nil(t);
  }
  aux = S->aux;
  S->aux.L = NULL;
  d = (delivery){.S = S, .t = t, .aux = aux.L};
  lua_rawgetp(aux.L, LUA_REGISTRYINDEX, &main_key);
  lua_pushlightuserdata(aux.L, &d);
  cast_preempt_begin(S, t, aux.L);
  hush(&d);
  status = cast_lua_resume(aux.L, 1, &nres);
  unhush(&d);
  cast_preempt_end(S, aux.L);
  if (status == LUA_OK) {
    lua_xmove(aux.L, t->co, nres);
    cast_coroutine_put(S, aux, true);
    (void)make_aux(S);
    return nres;
  }
  (void)cast_stop_outcome(S, aux.L, status);
  (void)cast_hook_has_interrupted(S, aux.L);
  n = 0;
  if (t->last) {
    lua_xmove(aux.L, t->co, 1);
    t->raising = true;
    n = 1;
  } else if (cast_protect(S, raise_protected, &d) != LUA_OK) {
    n = raise_nil(t);
  }
  cast_coroutine_put(S, aux, false);
  (void)make_aux(S);
  return n;
}

void cast_deliver_end(cast_ltask *t) {
  if (t->raising && cast_hook_is_raising(t->co))
    cast_hook_drop(cast_state_of(t->base.session), t->co); /* no instruction */
  t->raising = false;
}
#else
void cast_deliver_end(cast_ltask *t) { CAST_UNUSED(t); }
#endif
