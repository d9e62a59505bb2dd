/* interrupt.c - Ctrl-C: the hook that a host's interpreter sets.
   SPDX-License-Identifier: MIT

   lua.c answers a signal by setting a debug hook that raises "interrupted!" at
   the next instruction. While the main program waits there is none: the thread
   that runs its tasks looks whether the hook of the main thread has changed,
   ends the wait, and has the hook called. */
#include "interrupt.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../wait.h"
#include "../compat/compat.h"
#include "../compat/stock.h"
#include "state.h"

/* Relaxed, all of these: hooks are set by a signal handler in the thread that
   looks, or looked at by sysmon, for which a look later is good enough. */
void cast_hook_note(cast_state *S, lua_State *L) {
  lua_State *main = S->L != NULL ? S->L : L;
  atomic_store_explicit(&S->interrupt.main_thread, main, memory_order_relaxed);
  atomic_store_explicit(
    &S->interrupt.hook, lua_gethook(main), memory_order_relaxed);
}

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

bool cast_hook_has_interrupted(cast_state *S, lua_State *L) {
  if (S->host == NULL || lua_gethookcount(S->work) == UNTOUCHED ||
      lua_gethook(S->work) != NULL || (L != NULL && !is_interrupt(L)))
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
   that: it is called here, as the interpreter would at the next instruction.
   lua.c's raises "interrupted!", and its place is the program's, not one in
   what of the library is written in Lua. */
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
