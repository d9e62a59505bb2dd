/* verdict.c - the error of a task that must stop, raised in a hook.
   SPDX-License-Identifier: MIT

   While a hook is called no other is, and what it raises leaves it by a jump.
   So whatever raises an error in a hook has to have hooks allowed before: the
   program may handle the error before any protected call has caught it (xpcall,
   __close), or in the middle of one that does not allow hooks (load of LuaJIT).

   But to make an error takes memory, room on the stack, and calls of C, and the
   task that must stop may have used up any of these. An error about that would
   be raised where hooks are not allowed yet, and the task could never be
   stopped from there on. So the error is made elsewhere, in S->work, with
   memory beyond the session's limit; in the coroutine where the hook was
   called, nothing is done that can fail. If it cannot be made even so, the task
   meets nil.

   Owner: the session's. */
#include "verdict.h"

#include "../../base.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../compat/seal.h"
#include "../state/ltask.h"
#include "../state/protect.h"
#include "../state/state.h"
#include "cancel.h"
#include "scope.h"

#if CAST_LUAJIT
#include <luajit.h>
#endif

/* -- hooks in a hook ------------------------------------------------------ */

#if CAST_LUAJIT
/* In the registry: pcall; and the coroutine that ends hooks. */
static const char pcall_key = 0, ender_key = 0;

void cast_stop_note(lua_State *L) {
  lua_getglobal(L, "pcall");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &pcall_key);
}

static int yield_once(lua_State *L) { return lua_yield(L, 0); }

static int fail(lua_State *L) {
  lua_pushnil(L);
  return lua_error(L);
}

/* LuaJIT takes the next yield for that of the hook, which ends it. A coroutine
   that has yielded so cannot go on. */
static int end_by_yield(lua_State *L) {
  lua_State *co = lua_newthread(L);
  int nres;
  lua_pushcfunction(L, yield_once); /* where an error is caught */
  lua_xmove(L, co, 1);
  return cast_lua_resume(co, 0, &nres) == LUA_YIELD ? 0 : lua_error(L);
}

/* An error ends it as well, if a pcall catches it that was called outside of
   any hook. So that needs no memory, and this coroutine is resumed again and
   again. It yields in such a pcall; and ends if anything else has come. */
static int make_ender(lua_State *L) {
  static const char text[] = "local pcall, yield, fail = ...\n"
                             "local function wait() yield() fail() end\n"
                             "local caught, e\n"
                             "repeat caught, e = pcall(wait) until e ~= nil\n"
                             "return e";
  lua_State *co = lua_newthread(L);
  int nres;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pcall_key);
  lua_pushcfunction(L, yield_once);
  lua_pushcfunction(L, fail);
  if (!lua_isfunction(L, -3) || cast_lua_load(L, text, sizeof text - 1,
                                  "=casting/ender.lua", "t") != LUA_OK)
    return 0;
  luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
  lua_insert(L, -4);
  lua_xmove(L, co, 4);
  if (cast_lua_resume(co, 3, &nres) == LUA_YIELD)
    lua_rawsetp(L, LUA_REGISTRYINDEX, &ender_key);
  return 0;
}

/* The coroutine that ends hooks. NULL: there is none yet. */
static lua_State *ender(cast_state *S) {
  lua_State *co;
  lua_rawgetp(S->work, LUA_REGISTRYINDEX, &ender_key);
  co = lua_tothread(S->work, -1);
  lua_pop(S->work, 1);
  return co;
}

static void end_hook(cast_state *S) {
  lua_State *co = ender(S);
  int nres;
  if (co == NULL) {
    if (cast_protect_amply(S, end_by_yield, NULL) == LUA_OK)
      (void)cast_protect_amply(S, make_ender, NULL);
  } else if (cast_lua_resume(co, 0, &nres) != LUA_YIELD) {
    lua_pushnil(S->work);
    lua_rawsetp(S->work, LUA_REGISTRYINDEX, &ender_key);
  }
}

/* LuaJIT calls no hooks while a finalizer or a hook runs. The yield that ends a
   hook must not be that of a task that runs while a finalizer or a hook waits,
   or while the host's end runs, which is in a finalizer, too: it would be one
   too early. So a coroutine made for that ends it. Its own instructions are to
   call no hook, neither the one that there is nor that of a signal. Where
   something may be compiled it executes none, for a hook may have stopped a
   recording, which the next instruction cleans up; nor is memory limited there.
   Relaxed: for the signal handler, which runs in this thread. */
void cast_stop_allow(cast_state *S) {
  lua_State *running =
    atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
  lua_Hook hook;
  int mask, count;
  if (!S->preempt.interpreted) {
    (void)cast_protect_amply(S, end_by_yield, NULL);
    return;
  }
  atomic_store_explicit(&S->preempt.running, NULL, memory_order_relaxed);
  hook = lua_gethook(S->work);
  mask = lua_gethookmask(S->work);
  count = lua_gethookcount(S->work);
  if (hook != NULL) lua_sethook(S->work, NULL, 0, count);
  end_hook(S);
  if (hook != NULL && lua_gethook(S->work) == NULL)
    lua_sethook(S->work, hook, mask, count);
  atomic_store_explicit(&S->preempt.running, running, memory_order_relaxed);
}
#else
void cast_stop_note(lua_State *L) { CAST_UNUSED(L); }
void cast_stop_allow(cast_state *S) { CAST_UNUSED(S); }
#endif

void cast_verdict_allow(lua_State *L, cast_state *S) {
  cast_hooks_allow(L);
  if (S != NULL) cast_stop_allow(S);
  cast_lua_running(L);
}

/* -- the error of a scope, or of a cancellation --------------------------- */

/* In the registry: the error that was made last. */
static const char verdict_key = 0;

typedef struct verdict {
  cast_ltask *task;
  uint64_t now_ns;
  bool is; /* there is one */
} verdict;

static int make_verdict(lua_State *L) {
  verdict *v = lua_touserdata(L, 1);
  v->is = cast_scope_push_error(L, v->task, v->now_ns);
  if (v->is) lua_rawsetp(L, LUA_REGISTRYINDEX, &verdict_key);
  return 0;
}

void cast_verdict_raise(
  lua_State *L, cast_state *S, cast_ltask *t, uint64_t now_ns) {
  verdict v = {t, now_ns, false};
  uint64_t since;
  bool made = cast_protect_amply(S, make_verdict, &v) == LUA_OK;
  if (made ? !v.is : !cast_scope_is_past(t, now_ns, &since)) return;
  cast_verdict_allow(L, S);
  if (made)
    lua_rawgetp(L, LUA_REGISTRYINDEX, &verdict_key);
  else
    lua_pushnil(L);
  lua_error(L);
}

/* -- the error that ends a task ------------------------------------------- */

/* In the registry: the error of the task that was the last to be `doomed`. */
static const char end_key = 0;

static int make_end(lua_State *L) {
  cast_cancel_push_of(L, lua_touserdata(L, 1));
  lua_rawsetp(L, LUA_REGISTRYINDEX, &end_key);
  return 0;
}

/* All of t has to end, and each instruction says so: its error is made once.
   What would be raised instead takes a collection of garbage each time. False:
   there is none. */
static bool doom(cast_state *S, cast_ltask *t) {
  if (t->doomed && S->preempt.doomed == t) return true;
  S->preempt.doomed = NULL;
  if (cast_protect_amply(S, make_end, t) != LUA_OK) return false;
  S->preempt.doomed = t;
  t->doomed = true;
  return true;
}

void cast_verdict_raise_end(lua_State *L, cast_state *S, cast_ltask *t) {
  if (!doom(S, t)) return;
  cast_verdict_allow(L, S);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &end_key);
  lua_error(L);
}

void cast_verdict_push_end(lua_State *L, cast_state *S) {
  cast_task *base = S->session.current;
  if (base != NULL && doom(S, cast_ltask_of(base)))
    lua_rawgetp(L, LUA_REGISTRYINDEX, &end_key);
  else
    lua_pushnil(L);
}
