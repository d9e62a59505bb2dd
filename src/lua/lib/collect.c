/* collect.c - a collection of garbage wherever the collector may run.
   SPDX-License-Identifier: MIT

   See collect.h. What is collected has a finalizer that waits, now and then for
   a moment, so that whatever can run meanwhile does. Between tasks it may not
   wait, and raises as everybody's does that tries.

   Each place in the binding collects at its first passes, and then now and
   then, or a program that passes it a million times would take hours. The
   environment's CASTING_COLLECT=n[:seed] has one pass in n collect instead, on
   average (1: each; 0: none). With CASTING_COLLECT=still or n[:seed]:still the
   finalizers do not wait. */
#ifdef CAST_COLLECT
#define CAST_COLLECT_ITSELF

#include "../state/state.h"
#include "lib.h"

#include <stdlib.h>

/* Waits within waits: a stopped collector (5.2 to 5.4), and what LuaJIT notes
   of a finalizer that runs, come back with the last of them to end, which is to
   be the first that began. */
#define DEPTH (CAST_LUA == 501 && !CAST_LUAJIT ? 3 : 1)

static const char meta_key = 0;

#define FIRST 200    /* passes of one place that all collect; */
#define SOMETIMES 64 /* one in so many of the others */
#define UNREAD UINT32_MAX

/* How often each place was passed, by its hashed address. */
static _Atomic uint32_t passes[4096];

/* Of the process, fixed when first asked for; all of them say the same. With
   THOROUGH, each place decides by its passes. */
#define THOROUGH (UINT32_MAX - 1)
static _Atomic uint32_t every = UNREAD;
static _Atomic uint32_t seed;
static _Atomic bool still;

static void read_environment(void) {
  const char *text = getenv("CASTING_COLLECT");
  uint32_t n = THOROUGH, start = 1;
  char *end;
  if (text != NULL && *text >= '0' && *text <= '9') {
    n = (uint32_t)strtoul(text, &end, 10);
    if (*end == ':') start = (uint32_t)strtoul(end + 1, &end, 10);
  }
  if (text != NULL && strstr(text, "still") != NULL)
    atomic_store_explicit(&still, true, memory_order_relaxed);
  atomic_store_explicit(&seed, start, memory_order_relaxed);
  atomic_store_explicit(&every, n, memory_order_relaxed);
}

static uint32_t draw(cast_state *S, uint32_t n) {
  uint32_t x = S->chance;
  if (x == 0) {
    x = atomic_load_explicit(&seed, memory_order_relaxed) * 2654435761u;
    x = (x ^ (uint32_t)S->session.id) | 1;
  }
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  S->chance = x;
  return x % n;
}

/* Waits as long as `how` says. */
static int wait(lua_State *L) {
  int how = (int)lua_tointeger(L, 1);
  lua_settop(L, 0);
  cast_state_box(L);
  lua_pushcclosure(L, how < 0 ? cast_lib_sleep : cast_lib_yield, 1);
  for (; how > 0; how--) {
    lua_pushvalue(L, 1);
    lua_call(L, 0, 0);
  }
  if (how == 0) return 0;
  lua_pushnumber(L, 0.00005);
  lua_call(L, 1, 0);
  return 0;
}

static int finalize(lua_State *L) {
  static const signed char ways[] = {0, 1, 1, 1, 2, 3, -1, 1};
  cast_state *S = cast_state_find(L);
  int how;
  if (S == NULL || S->closing ||
      atomic_load_explicit(&still, memory_order_relaxed))
    return 0;
  lua_settop(L, 0);
  lua_pushcfunction(L, wait);
  how = ways[draw(S, sizeof ways)];
  if (S->session.current == NULL || S->between > 0) {
    if (how != 3) return 0; /* not always: it is tried so many times only */
    lua_pushinteger(L, how);
    lua_call(L, 1, 0);
    return 0;
  }
  if (how == 0 || S->collecting >= DEPTH) return 0;
  lua_pushinteger(L, how);
  S->collecting++;
  (void)lua_pcall(L, 1, 0, 0); /* the task may be cancelled */
  S->collecting--;
  return 0;
}

/* Protected. */
static int collect(lua_State *L) {
  lua_settop(L, 0);
  (void)cast_lua_newuserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalize);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &meta_key);
  }
  lua_setmetatable(L, -2);
  lua_settop(L, 0); /* nobody has it */
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

/* Whether this pass of the place collects. */
static bool is_turn(cast_state *S, const void *place, uint32_t n) {
  uint32_t i = (uint32_t)((uintptr_t)place * 2654435761u) >> 20;
  if (n == 1) return true;
  if (n != THOROUGH) return draw(S, n) == 0;
  return atomic_fetch_add_explicit(&passes[i], 1, memory_order_relaxed) <
           FIRST ||
         draw(S, SOMETIMES) == 0;
}

static bool is_due(lua_State *L, const void *place) {
  cast_state *S;
  uint32_t n = atomic_load_explicit(&every, memory_order_relaxed);
  if (n == UNREAD) {
    read_environment();
    n = atomic_load_explicit(&every, memory_order_relaxed);
  }
  if (n == 0) return false;
  S = cast_state_find(L);
  if (S == NULL || S->packer == NULL || S->session.runner == NULL ||
      S->closing || S->halted || S->collecting >= DEPTH)
    return false;
#if CAST_LUA >= 502 || CAST_LUAJIT
  if (lua_gc(L, LUA_GCISRUNNING, 0) <= 0) return false;
#endif
  return is_turn(S, place, n);
}

/* False: an error is on the top. */
static bool collected(lua_State *L) {
#if CAST_LUA < 502
  return lua_cpcall(L, collect, NULL) == LUA_OK;
#else
  lua_pushcfunction(L, collect);
  return lua_pcall(L, 0, 0, 0) == LUA_OK;
#endif
}

void cast_collect_quietly(lua_State *L) {
  if (is_due(L, __builtin_return_address(0)) && !collected(L)) lua_pop(L, 1);
}

void cast_collect(lua_State *L) {
  if (is_due(L, __builtin_return_address(0)) && !collected(L)) lua_error(L);
}

#endif
