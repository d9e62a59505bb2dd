/* collect.c - a collection of garbage wherever the collector may run.
   SPDX-License-Identifier: MIT

   See collect.h. The garbage that is collected has a finalizer which waits, in
   one of several ways drawn at random, so that whatever can run meanwhile does.
   Between tasks it may not wait; it tries to, and raises as a program's
   finalizer would.

   Each place in the binding collects at its first passes, and then now and
   then: a program that passes it a million times would take hours otherwise.
   With CASTING_COLLECT=n[:seed] in the environment one pass in n collects
   instead, on average (1: each; 0: none). With CASTING_COLLECT=still or
   n[:seed]:still the finalizers do not wait.

   Nothing here may use helpers of other files that make values: those collect,
   and so would come back here. */
#ifdef CAST_COLLECT
#define CAST_COLLECT_ITSELF

#include "../state/state.h"
#include "lib.h"

#include <stdlib.h>

/* How many such finalizers may wait within each other. In 5.2 to 5.4 a
   finalizer runs with the collector stopped, and LuaJIT notes that one runs;
   both restore what was before when the finalizer ends. With several in each
   other, the last one to end must be the first that began, and nothing sees to
   that. */
#define DEPTH (CAST_LUA == 501 && !CAST_LUAJIT ? 3 : 1)

static const char meta_key = 0; /* of the garbage's metatable */

/* With more calls than that on the stack there is no collection any more: on
   5.1 finalizers run in the middle of others, and what these make collects
   again, until C has no stack left. */
#define CALLS_MAX 60

#define FIRST 200         /* passes of one place that all collect; */
#define SOMETIMES 64      /* one in so many of the others */
#define UNREAD UINT32_MAX /* `every`: the environment was not read yet */

/* (a) How often each place was passed, by a hash of its address. Relaxed. */
static _Atomic uint32_t passes[4096];

/* What the environment says, read when it is first asked for; two threads that
   do so at once write the same. (a), relaxed: `every` is written last, but a
   thread that sees it without the others only draws other numbers. */
#define THOROUGH (UINT32_MAX - 1)       /* each place decides by its passes */
static _Atomic uint32_t every = UNREAD; /* n, or one of the two above */
static _Atomic uint32_t seed;
static _Atomic bool still; /* the finalizers do not wait */

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

/* A random number below n, of the session's own sequence (xorshift). */
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

/* wait(how): yields so many times; if the number is negative, sleeps for a
   moment. */
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

/* The finalizer of the garbage. */
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
  if (S->session.current == NULL || S->protect.active > 0) {
    /* Seldom: cast_protect gives up after CAST_REFUSED_MAX tries. */
    if (how != 3) return 0;
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

/* Protected: makes the garbage, and collects. */
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
  lua_settop(L, 0); /* nothing refers to it any more */
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

/* Does this pass of the place collect? n is `every`. */
static bool is_turn(cast_state *S, const void *place, uint32_t n) {
  uint32_t i = (uint32_t)((uintptr_t)place * 2654435761u) >> 20;
  if (n == 1) return true;
  if (n != THOROUGH) return draw(S, n) == 0;
  return atomic_fetch_add_explicit(&passes[i], 1, memory_order_relaxed) <
           FIRST ||
         draw(S, SOMETIMES) == 0;
}

/* Does this call collect? Never where a finalizer could not run, or its waits
   would be too deep. */
static bool is_due(lua_State *L, const void *place) {
  cast_state *S;
#if CAST_LUA < 502 && !CAST_LUAJIT
  lua_Debug ar;
#endif
  uint32_t n = atomic_load_explicit(&every, memory_order_relaxed);
  if (n == UNREAD) {
    read_environment();
    n = atomic_load_explicit(&every, memory_order_relaxed);
  }
  if (n == 0) return false;
  S = cast_state_find(L);
  if (S == NULL || S->packer == NULL || S->session.runner == NULL ||
      S->closing || S->protect.halted || S->collecting >= DEPTH)
    return false;
#if CAST_LUA >= 502 || CAST_LUAJIT
  if (lua_gc(L, LUA_GCISRUNNING, 0) <= 0) return false;
#else
  if (lua_getstack(L, CALLS_MAX, &ar)) return false;
#endif
  return is_turn(S, place, n);
}

/* False: the finalizer's error is on the top. */
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
