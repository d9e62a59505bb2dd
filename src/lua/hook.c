/* hook.c - tasks that compute on: made to give way, or to stop.
   SPDX-License-Identifier: MIT

   Nobody but its own thread may touch a Lua state that runs. So who wants
   something of a task that computes pokes its thread (os_poke): the handler
   (cast_hook_poke) sets a debug hook on the coroutine that runs, as lua.c does
   on Ctrl-C, and at its next instruction the hook looks up: must the task stop
   (stop.c)? Then it raises. Do other sessions wait for the thread? Then it
   yields, through the coroutines that the user has nested, and
   goes on first when its session's turn comes again. There is no hook while
   nobody asks.

   Owner: the session's. Invariants:
   1. `running` is the coroutine that executes, whenever it is not NULL: set
      before each resumption of a coroutine, by us or by coroutine.resume and
      wrap (coroutine.c), and set back before anything can be freed, and while a
      task waits in place. It is NULL while a task is started or ended.
   2. `through`: each coroutine between `running` and the task's own was
      resumed by our coroutine.resume or wrap, and all of them can yield. Only
      then a hook may yield without anybody's noticing.
   3. `preempted` is true from a yield of the hook until the task's resumer
      has seen it.
   4. `poked` is where a poke has put the hook, until that is called, or the
      task's turn ends. A coroutine that has just ended, or yielded, will not
      call it: who has resumed that has it put where the task goes on
      (coroutine.c). What is to be seen in later turns: see stop.c. */
#include "../../include/casting.h"
#include "deliver.h"
#include "last.h"
#include "stock.h"

#include "../sched.h"
#include "../worker.h"

/* -- the hook of a host's interpreter ------------------------------------- */

/* Relaxed, all of these: hooks are set by a signal handler in the thread that
   looks, or looked at by the monitor, for which a look later is good enough. */
void cast_hook_note(cast_state *S, lua_State *L) {
  lua_State *main = S->L != NULL ? S->L : L;
  atomic_store_explicit(&S->main_thread, main, memory_order_relaxed);
  atomic_store_explicit(&S->hook, lua_gethook(main), memory_order_relaxed);
}

bool cast_hook_is_news(cast_state *S, lua_Hook hook) {
  return hook != NULL && hook != cast_hook && hook != cast_stock_hook() &&
         hook != atomic_load_explicit(&S->hook, memory_order_relaxed);
}

bool cast_hook_changed(cast_state *S) {
  lua_State *L = atomic_load_explicit(&S->main_thread, memory_order_relaxed);
  return L != NULL && cast_hook_is_news(S, lua_gethook(L));
}

#if CAST_LUAJIT
/* -- Ctrl-C in a task ----------------------------------------------------- */

/* LuaJIT's hooks are the VM's: a signal handler's may be called in a task, that
   fails with what was meant for the main program. Such hooks unset themselves,
   and thereby the number that is left here where no hook is set, which LuaJIT
   keeps and does not use. */
#define UNTOUCHED 0x5ca57

void cast_hook_clear(lua_State *L) { lua_sethook(L, NULL, 0, UNTOUCHED); }

void cast_hook_mark(lua_State *L) {
  if (CAST_LIKELY(lua_gethookcount(L) == UNTOUCHED)) return;
  if (lua_gethook(L) == NULL) cast_hook_clear(L);
}

/* Not even the error is sure to arrive, when compiled code is on the way. */
static bool is_interrupt(lua_State *L) {
  static const char word[] = "interrupted!";
  size_t size;
  const char *text;
  if (lua_isnil(L, -1)) return true;
  text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
  return text != NULL && size >= sizeof word - 1 &&
         strcmp(text + size - (sizeof word - 1), word) == 0;
}

bool cast_hook_struck(cast_state *S, lua_State *L) {
  if (S->host == NULL || lua_gethookcount(S->work) == UNTOUCHED ||
      lua_gethook(S->work) != NULL || (L != NULL && !is_interrupt(L)))
    return S->struck;
  cast_hook_clear(S->work);
  S->struck = true;
  (void)cast_wait_end(&S->main->core, CASTING_EINTR);
  return true;
}
#else
void cast_hook_clear(lua_State *L) { lua_sethook(L, NULL, 0, 0); }
void cast_hook_mark(lua_State *L) { CAST_UNUSED(L); }
bool cast_hook_struck(cast_state *S, lua_State *L) {
  CAST_UNUSED(S);
  CAST_UNUSED(L);
  return false;
}
#endif

/* -- pokes ---------------------------------------------------------------- */

/* A function whose hook has yielded is marked: when it goes on, its next event
   is taken for the one that yielded, and no hook called. The mark would stay
   if there were no hook by then, and cost a hook of the user's its first event.
   So this one is there. */
static void after_yield(lua_State *L, lua_Debug *ar) {
  CAST_UNUSED(ar);
  cast_hook_clear(L);
}

/* Does somebody wait for this thread, and can the task let go of it here? */
static bool can_give_way(lua_State *L, cast_state *S) {
  cast_worker *w = CAST_LUAJIT ? NULL : S->session.runner->worker;
  return w != NULL && S->through && cast_sched_backlog(w) &&
         L == atomic_load_explicit(&S->running, memory_order_relaxed) &&
         cast_yieldable(L);
}

bool cast_hook_urgent(cast_session *s) {
  cast_state *S = cast_state_of(s);
  return atomic_load_explicit(&S->ending, memory_order_relaxed) ||
         cast_stop_due(S) || cast_hook_changed(S);
}

/* The main program was interrupted: it goes on first. The task lies on this
   stack, and blocks in place; when the main program waits again, or ends, it
   has its turn. */
static void let_main_go(lua_State *L, cast_state *S, cast_ltask *t) {
  lua_State *running = atomic_load_explicit(&S->running, memory_order_relaxed);
  if (cast_host_reserve(S->host) != 0) return;
  if (!S->session.ops->interrupted(&S->session) && !cast_last_due(S)) return;
  atomic_store_explicit(&S->running, NULL, memory_order_relaxed);
  cast_stop_allow(S); /* hooks, for others: this is one */
  cast_task_yield(&t->core);
  cast_task_block(&t->core);
  atomic_store_explicit(&S->running, running, memory_order_relaxed);
  if (cast_stop_stands(S)) cast_stop_watch(S, t, L);
  if (cast_stop_wanted(S)) cast_stop_look(L, S, t);
}

void cast_hook(lua_State *L, lua_Debug *ar) {
  cast_state *S = cast_state_find(L);
  cast_ltask *t;
  CAST_UNUSED(ar);
  if (CAST_UNLIKELY(cast_forked)) { /* set before */
    cast_hook_clear(L);
    return;
  }
  t = S != NULL && S->session.current != NULL
        ? cast_ltask_of(S->session.current)
        : NULL;
  /* Before the look, which may have this thread poked again: that poke must
     not be undone. Relaxed: its own thread has set it. A host's tasks are
     watched then. */
  if (S == NULL || !cast_stop_stands(S)) cast_hook_clear(L);
  if (S != NULL) atomic_store_explicit(&S->poked, NULL, memory_order_relaxed);
#if CAST_LUA < 502
  if (t != NULL && S->starved) cast_state_collect(S);
#endif
  if (t != NULL && cast_stop_wanted(S)) cast_stop_look(L, S, t);
  if (t == NULL || t == S->main) return;
  if (S->host != NULL) {
    let_main_go(L, S, t);
  } else if (can_give_way(L, S)) {
    S->preempted = true;
    if (lua_gethook(L) == NULL) lua_sethook(L, after_yield, LUA_MASKCOUNT, 1);
    lua_yield(L, 0);
  }
}

#if CAST_LUAJIT

/* Its lua_sethook meets the trace compiler half way when called from a signal
   handler (crashes were seen), and its compiled loops see no hooks. */
void cast_hook_poke(cast_session *s) { CAST_UNUSED(s); }

/* Nothing is compiled there (limited.c), and this is no signal handler. */
void cast_hook_starved(cast_state *S) {
  if (S->session.current != NULL && lua_gethook(S->work) == NULL)
    lua_sethook(S->work, cast_hook, LUA_MASKCOUNT, 1);
}

#else

void cast_hook_poke(cast_session *s) {
  cast_state *S = cast_state_of(s);
  lua_State *L = atomic_load_explicit(&S->running, memory_order_relaxed);
  lua_Hook hook;
  if (L == NULL || s->current == NULL) {
    /* Relaxed: for this thread. */
    atomic_store_explicit(&S->missed, true, memory_order_relaxed);
    return;
  }
  atomic_store_explicit(&S->poked, NULL, memory_order_relaxed);
  if (S->host != NULL && s->current == &S->main->core) return;
  /* A debugger's or profiler's hook goes before a fair share; the pool makes
     up for it with another thread. */
  hook = lua_gethook(L);
  if (hook != NULL && hook != after_yield && !cast_stop_wanted(S)) return;
  /* The hook that raises what the task's wait has ended with has not been
     called yet. It looks after the next poke itself. */
  if (cast_deliver_raises(L)) return;
  atomic_store_explicit(&S->poked, L, memory_order_relaxed);
  lua_sethook(L, cast_hook, LUA_MASKCOUNT, 1);
}

#if CAST_LUA < 502
void cast_hook_starved(cast_state *S) { cast_hook_poke(&S->session); }
#endif

#endif
