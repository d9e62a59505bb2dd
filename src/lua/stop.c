/* stop.c - tasks that are to end, and compute on.
   SPDX-License-Identifier: MIT

   A task past its time (cancelled, or a guard's deadline has passed) meets an
   error at its blocking calls. One that makes none is interrupted by a hook
   (hook.c): the first look from CAST_STOP_NS after its time on finds that it
   computes, and CAST_STOP_NS later the error is raised wherever it is, once, so
   that its clean-up can run; and CAST_INSIST_NS later at every instruction,
   whatever catches it. (Two looks, for it may only have collected garbage until
   the first.) Never in a shield or a __close handler, nor in a finalizer: Lua
   runs those without hooks.

   The watchdog (watchdog.c) brings the hook about: it has the worker that runs
   the session poked. (A host's tasks are watched by another timer, which asks
   cast_stop_due; when the host ends they have the hook anyway.) A loop that
   catches each blocking call's error is found by those calls. LuaJIT has no
   pokes: there, only what makes calls of casting is stopped. */
#include "../../include/casting.h"
#include "budget.h"
#include "state.h"

#if CAST_LUAJIT
#include <luajit.h>
#endif

/* -- is it time to stop? -------------------------------------------------- */

bool cast_stop_wanted(cast_state *S) {
  cast_task *core = S->session.current;
  cast_ltask *t;
  if (core == NULL) return false;
  t = cast_ltask_of(core);
  return cast_guarded(t) || cast_cancel_wanted(t) || S->session.metered ||
         cast_cancel_sweeps(S) ||
         atomic_load_explicit(&S->close_posted, memory_order_relaxed);
}

#if CAST_LUAJIT
static int flush(lua_State *L) {
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
  return 0;
}

/* Compiled loops see no hooks: let them be interpreted again. That raises an
   error while a finalizer runs, or waits, in whatever coroutine; nothing is
   compiled then, but what was before goes on. L may be suspended. */
void cast_stop_interpret(lua_State *L) {
  lua_Debug ar;
  if (lua_status(L) != LUA_OK || !lua_getstack(L, 0, &ar))
    L = cast_state_find(L)->work;
  if (lua_cpcall(L, flush, NULL) != LUA_OK) lua_pop(L, 1);
}

static int yield_once(lua_State *L) { return lua_yield(L, 0); }

static int allow_protected(lua_State *L) {
  lua_State *co = lua_newthread(L);
  int nres;
  lua_pushcfunction(L, yield_once); /* where an error is caught */
  lua_xmove(L, co, 1);
  (void)cast_lua_resume(co, 0, &nres);
  return 0;
}

/* In a finalizer, or a hook, LuaJIT has no hooks, and takes a yield for a
   hook's, which ends that, hooks being allowed again. That must not be the
   yield of a task that runs while a finalizer or a hook waits, or the host's
   end, which is in one, too. The coroutine that did it is not to be resumed. */
void cast_stop_allow(cast_state *S) {
  (void)cast_protect(S, allow_protected, NULL);
}
#else
void cast_stop_interpret(lua_State *L) { CAST_UNUSED(L); }
void cast_stop_allow(cast_state *S) { CAST_UNUSED(S); }
#endif

void cast_stop_hook(lua_State *L, int count) {
  cast_stop_interpret(L);
  lua_sethook(L, cast_hook, LUA_MASKCOUNT, count);
}

void cast_stop_insist(lua_State *L, cast_ltask *t) {
  cast_stop_hook(L, 1);
  /* Hooks are a coroutine's own: this one goes on when L has failed. */
  if (t->co != NULL && t->co != L)
    lua_sethook(t->co, cast_hook, LUA_MASKCOUNT, 1);
}

/* Between what pcall has caught and `leave` (guard.c) nothing is to be raised:
   nobody would catch it. */
static bool is_leaving(lua_State *L) {
#if CAST_HAS_YIELDK
  CAST_UNUSED(L);
  return false;
#else
  lua_Debug ar;
  return lua_getstack(L, 0, &ar) && lua_getinfo(L, "S", &ar) &&
         strcmp(ar.source, CAST_GUARD_SOURCE) == 0;
#endif
}

/* Where the hook stands, it comes more often than a nag does. */
static bool may_raise(cast_ltask *t, uint64_t now) {
  cast_extra *x = cast_extra_make(t); /* none: then it may */
  if (x == NULL) return true;
  if (now < x->again_ns) return false;
  x->again_ns = now + CAST_NAG_NS;
  return true;
}

void cast_stop_look(lua_State *L, cast_state *S, cast_ltask *t) {
  uint64_t now = os_now(), late, next;
  cast_cancel_note(t);
  if (S->session.metered) (void)cast_budget_spent(S);
  if (!cast_guarded(t)) return;
  if (is_leaving(L)) {
    cast_nag_at(S, now + CAST_STOP_NS, now);
    return;
  }
  t->at = L;
  next = cast_guard_late(t, now, &late);
  if (next == 0) {
    cast_nag_at(S, now + CAST_NAG_NS, now);
    if (late >= CAST_INSIST_NS)
      cast_stop_insist(L, t);
    else if (!cast_stop_stands(S))
      cast_hook_clear(L);
    else if (!may_raise(t, now))
      return;
    cast_guard_raise(L, t, now);
    return;
  }
  cast_nag_at(S, next, now);
}

void cast_stop_watch(cast_state *S, cast_ltask *t, lua_State *L) {
  uint64_t now, at;
  if (t == S->main) return;
  if (cast_stop_stands(S)) cast_stop_hook(L, CAST_WATCH_COUNT);
  if (!cast_guarded(t)) return;
  now = os_now();
  at = cast_guard_meet(t, L, now);
  if (at == OS_FOREVER) return;
  at += CAST_STOP_NS;
  cast_nag_at(S, at > now ? at : now + CAST_NAG_NS, now);
}
