/* interrupt.c - Ctrl-C: the hook that a host's interpreter sets.
   SPDX-License-Identifier: MIT

   lua.c answers a signal by setting a debug hook on the main thread, which
   raises "interrupted!" at the next instruction. While the main program waits,
   there is none. So the thread that runs its tasks meanwhile looks whether the
   hook of the main thread has changed since the wait began; if it has, it ends
   the wait, and the main program, going on, calls the hook by itself.
   Owner: the host's thread. */
#include "interrupt.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../wait.h"
#include "../compat/compat.h"
#include "../compat/stock.h"
#include "state.h"

#if CAST_LUAJIT
/* Is the hook that looks for tasks that compute in the place of another? */
static bool stands_in(const cast_state *S, lua_State *L) {
  return lua_gethook(L) == S->binding->hook;
}

/* The hook that there would be without ours. */
static lua_Hook hook_of_program(cast_state *S, lua_State *L) {
  return stands_in(S, L)
           ? atomic_load_explicit(&S->preempt.hook, memory_order_relaxed)
           : lua_gethook(L);
}

/* The count of that hook. */
static int count_of_program(cast_state *S, lua_State *L) {
  return stands_in(S, L)
           ? atomic_load_explicit(&S->preempt.count, memory_order_relaxed)
           : lua_gethookcount(L);
}

/* The order matters: a signal handler may come in between, and do the same. */
void cast_hook_put(cast_state *S, lua_State *L, lua_Hook hook, int count) {
  lua_Hook now = lua_gethook(L);
  if (now != S->binding->hook && now != hook) {
    atomic_store_explicit(
      &S->preempt.mask, lua_gethookmask(L), memory_order_relaxed);
    atomic_store_explicit(
      &S->preempt.count, lua_gethookcount(L), memory_order_relaxed);
    atomic_store_explicit(&S->preempt.hook, now, memory_order_relaxed);
  }
  lua_sethook(L, hook, LUA_MASKCOUNT, count);
}

void cast_hook_drop(cast_state *S, lua_State *L) {
  lua_Hook hook = atomic_exchange_explicit(
    &S->preempt.hook, (lua_Hook)NULL, memory_order_relaxed);
  lua_sethook(L, hook,
    hook != NULL ? atomic_load_explicit(&S->preempt.mask, memory_order_relaxed)
                 : 0,
    atomic_load_explicit(&S->preempt.count, memory_order_relaxed));
}
#else
#define hook_of_program(S, L) lua_gethook(L)
void cast_hook_put(cast_state *S, lua_State *L, lua_Hook hook, int count) {
  CAST_UNUSED(S);
  lua_sethook(L, hook, LUA_MASKCOUNT, count);
}
void cast_hook_drop(cast_state *S, lua_State *L) {
  CAST_UNUSED(S);
  cast_hook_clear(L);
}
#endif

/* Relaxed, in all of this file: hooks are set by a signal handler in the thread
   that looks; sysmon, too, looks, and if it sees the hook late it sees it
   the next time. */
void cast_hook_note(cast_state *S, lua_State *L) {
  lua_State *main = S->L != NULL ? S->L : L;
  atomic_store_explicit(&S->interrupt.main_thread, main, memory_order_relaxed);
  atomic_store_explicit(
    &S->interrupt.hook, hook_of_program(S, main), memory_order_relaxed);
}

/* Was that hook set by a signal handler during the wait? Not ours, not that of
   debug.sethook, which tasks may use, not the one that was there before. */
static bool is_news(cast_state *S, lua_Hook hook) {
  return hook != NULL && hook != S->binding->hook &&
         hook != cast_stock_hook() &&
         hook != atomic_load_explicit(&S->interrupt.hook, memory_order_relaxed);
}

bool cast_hook_has_changed(cast_state *S) {
  lua_State *L =
    atomic_load_explicit(&S->interrupt.main_thread, memory_order_relaxed);
  return L != NULL && is_news(S, lua_gethook(L));
}

bool cast_hook_is_due(cast_state *S, lua_State *L) {
  lua_State *main = S->L != NULL ? S->L : L;
  return S->interrupt.main_interrupted ||
         ((lua_gethookmask(main) & LUA_MASKCOUNT) != 0 &&
           is_news(S, lua_gethook(main)));
}

#if CAST_LUAJIT
/* LuaJIT has one hook for all coroutines, so that of a signal handler may be
   called in a task, which fails with the error that was meant for the main
   program. How is that found out? Where no hook is set, this number is left as
   its count, which LuaJIT keeps and does not use. A signal handler's hook
   unsets itself when it is called, and with that the number. */
#define UNTOUCHED 0x5ca57

void cast_hook_clear(lua_State *L) { lua_sethook(L, NULL, 0, UNTOUCHED); }

void cast_hook_mark(lua_State *L) {
  if (CAST_LIKELY(lua_gethookcount(L) == UNTOUCHED)) return;
  if (lua_gethook(L) == NULL) cast_hook_clear(L);
}

/* Is the error on the top the interpreter's? LuaJIT may lose the error on its
   way through compiled code: then it is nil. */
static bool is_interrupt(lua_State *L) {
  static const char word[] = "interrupted!";
  size_t size;
  const char *text;
  if (lua_isnil(L, -1)) return true;
  text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
  return text != NULL && size >= sizeof word - 1 &&
         strcmp(text + size - (sizeof word - 1), word) == 0;
}

bool cast_hook_has_interrupted(cast_state *S, lua_State *L) {
  if (S->host == NULL || count_of_program(S, S->work) == UNTOUCHED ||
      hook_of_program(S, S->work) != NULL || !is_interrupt(L))
    return S->interrupt.main_interrupted;
  cast_hook_clear(S->work);
  S->interrupt.main_interrupted = true;
  (void)cast_wait_end(&S->main->base, CASTING_EINTR);
  return true;
}
#else
void cast_hook_clear(lua_State *L) { lua_sethook(L, NULL, 0, 0); }
void cast_hook_mark(lua_State *L) { CAST_UNUSED(L); }
bool cast_hook_has_interrupted(cast_state *S, lua_State *L) {
  CAST_UNUSED(S);
  CAST_UNUSED(L);
  return false;
}
#endif

typedef struct hook_call {
  lua_Hook hook;
  lua_Debug ar;
} hook_call;

static int run_hook(lua_State *L) {
  hook_call *h = lua_touserdata(L, 1);
  if (lua_getstack(L, 0, &h->ar)) h->hook(L, &h->ar);
  return 0;
}

/* A signal handler has set a hook while the main program waited, or just before
   that. It is called here, as the interpreter would call it at the next
   instruction; lua.c's raises "interrupted!". The place in front of that must
   be one in the program, not in the part of the library that is written in Lua,
   so the hook is called from a C function, and the place is put in front
   here. */
void cast_call_hook(lua_State *L, cast_state *S) {
  lua_State *main = S->L != NULL ? S->L : L;
  lua_Hook hook = lua_gethook(main);
  hook_call call = {.hook = hook};
  if (S->interrupt.main_interrupted) {
    S->interrupt.main_interrupted = false;
    cast_lua_error(L, "interrupted!");
  }
  if (!is_news(S, hook)) return;
  call.ar.event = LUA_HOOKCOUNT;
  call.ar.currentline = -1;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushcfunction(L, run_hook);
  lua_pushlightuserdata(L, &call);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  if (L != main) cast_hook_clear(main); /* it has cleared that of L */
  if (lua_type(L, -1) == LUA_TSTRING) {
    cast_lua_where(L);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  lua_error(L);
}
