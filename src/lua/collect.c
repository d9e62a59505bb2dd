/* collect.c - a collection of garbage wherever the collector may run.
   SPDX-License-Identifier: MIT

   See collect.h. What is collected has a finalizer that waits, now and then for
   a moment, so that whatever can run meanwhile does. Between tasks it may not
   wait, and raises as everybody's does that tries.

   The environment's CASTING_COLLECT=n[:seed] has one call in n collect, on
   average (1: each, the default; 0: none); without the finalizers' waiting it
   is CASTING_COLLECT=n[:seed]:still. */
#ifdef CAST_COLLECT
#define CAST_COLLECT_ITSELF

#include <stdlib.h>

#include "state.h"

/* Waits within waits: a stopped collector (5.2 to 5.4), and what LuaJIT notes
   of a finalizer that runs, come back with the last of them to end, which is to
   be the first that began. */
#define DEPTH (CAST_LUA == 501 && !CAST_LUAJIT ? 3 : 1)

static const char meta_key = 0;

/* Of the process, fixed when first asked for; all of them say the same. */
static _Atomic uint32_t every = UINT32_MAX;
static _Atomic uint32_t seed;
static _Atomic bool still;

static void read_environment(void) {
  const char *text = getenv("CASTING_COLLECT");
  uint32_t n = 1, start = 1;
  char *end;
  if (text != NULL) {
    n = (uint32_t)strtoul(text, &end, 10);
    if (*end == ':') start = (uint32_t)strtoul(end + 1, &end, 10);
    atomic_store_explicit(
      &still, strcmp(end, ":still") == 0, memory_order_relaxed);
  }
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

static bool is_due(lua_State *L) {
  cast_state *S;
  uint32_t n = atomic_load_explicit(&every, memory_order_relaxed);
  if (n == UINT32_MAX) {
    read_environment();
    n = atomic_load_explicit(&every, memory_order_relaxed);
  }
  if (n == 0) return false;
  S = cast_state_find(L);
  if (S == NULL || S->packer == NULL || S->session.runner == NULL ||
      S->closing || S->collecting >= DEPTH)
    return false;
#if CAST_LUA >= 502 || CAST_LUAJIT
  if (lua_gc(L, LUA_GCISRUNNING, 0) <= 0) return false;
#endif
  return n == 1 || draw(S, n) == 0;
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
  if (is_due(L) && !collected(L)) lua_pop(L, 1);
}

void cast_collect(lua_State *L) {
  if (is_due(L) && !collected(L)) lua_error(L);
}

#endif
