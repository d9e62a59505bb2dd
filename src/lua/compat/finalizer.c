/* finalizer.c - does a finalizer run because its Lua state is being closed?
   SPDX-License-Identifier: MIT

   A table with weak values tells it: the collector takes userdata that it is
   about to finalize out of such tables first; lua_close leaves the tables as
   they are. On 5.1 and LuaJIT, lua_close marks all userdata as finalized before
   it calls the first finalizer, and if that collects garbage, they are taken
   out, too. So there one userdata is in such a table that always lives: if it
   has left the table, the state is being closed.
   Owner: the state's. */
#include "finalizer.h"

#include "../../base.h"
#include "compat.h"
#include "single.h"

#include <string.h>

/* In the registry: address -> userdata, weak. */
static const char alive_key = 0;

/* In the registry: userdata -> true, those that cast_finalizer_keep keeps. */
static const char kept_key = 0;

/* In the registry, of 5.1 and LuaJIT: the userdata that always lives. */
static const char witness_key = 0;

/* A maker (single.h) of it. */
static void make_witness(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  (void)lua_newuserdata(L, 1);
}

void cast_finalizer_open(lua_State *L) {
  if (CAST_LUA != 501) return;
  luaL_checkstack(L, 6, NULL);
  (void)cast_single_push(L, &witness_key, make_witness, NULL);
  cast_finalizer_add(L, &witness_key);
  lua_pop(L, 1);
}

void cast_finalizer_add(lua_State *L, const void *p) {
  luaL_checkstack(L, 5, NULL);
  (void)cast_single_push(L, &alive_key, cast_make_weak, "v");
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, p);
  lua_pop(L, 1);
}

/* Is the userdata still in the weak table? */
static bool is_alive(lua_State *L, const void *p) {
  bool is;
  if (!lua_checkstack(L, 2)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &alive_key);
  if (!lua_istable(L, -1)) return lua_pop(L, 1), false;
  lua_rawgetp(L, -1, p);
  is = lua_touserdata(L, -1) != NULL;
  lua_pop(L, 2);
  return is;
}

bool cast_finalizer_is_last(lua_State *L) {
  return CAST_LUA == 501 && lua_checkstack(L, 3) && !is_alive(L, &witness_key);
}

bool cast_finalizer_is_closing(lua_State *L, const void *p) {
  return is_alive(L, p) || cast_finalizer_is_last(L);
}

/* Lua looks for the __gc when a metatable is set, and only then: so there is
   none meanwhile. Its place in the table stays, so nothing here takes
   memory. */
void cast_finalizer_skip(lua_State *L, int i) {
  int meta = lua_gettop(L);
  i = lua_absindex(L, i);
  luaL_checkstack(L, 4, NULL);
  if (!lua_istable(L, meta)) {
    lua_setmetatable(L, i);
    return;
  }
  lua_pushliteral(L, "__gc");
  lua_pushvalue(L, -1);
  lua_rawget(L, meta);
  if (!lua_isnil(L, -1)) {
    lua_pushvalue(L, meta + 1);
    lua_pushnil(L);
    lua_rawset(L, meta);
    lua_pushvalue(L, meta);
    lua_setmetatable(L, i);
    lua_rawset(L, meta);
  } else {
    lua_pushvalue(L, meta);
    lua_setmetatable(L, i);
  }
  lua_settop(L, meta - 1);
}

/* (a) Relaxed: read when nothing else runs. */
static _Atomic uint32_t lost;

uint32_t cast_finalizers_lost(void) {
  return atomic_load_explicit(&lost, memory_order_relaxed);
}

#if CAST_LUA >= 504 && CAST_DEBUG >= 1

/* The text comes in pieces: "error in ", "__gc", ... */
static void on_warning(void *ud, const char *piece, int more) {
  CAST_UNUSED(ud);
  CAST_UNUSED(more);
  if (strcmp(piece, "__gc") == 0)
    atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

void cast_finalizer_watch(lua_State *L) { lua_setwarnf(L, on_warning, NULL); }

#else
void cast_finalizer_watch(lua_State *L) { CAST_UNUSED(L); }
#endif

void cast_finalizer_keep(lua_State *L, int i) {
  i = lua_absindex(L, i);
  luaL_checkstack(L, 5, NULL);
  (void)cast_single_push(L, &kept_key, cast_make_table, NULL);
  lua_pushvalue(L, i);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void cast_finalizer_push_kept(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
}
