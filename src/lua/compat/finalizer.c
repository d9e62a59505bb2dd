/* finalizer.c - does a finalizer run because its Lua state is being closed?
   SPDX-License-Identifier: MIT

   A table with weak values tells it: the collector takes userdata that it is
   about to finalize out of such tables first; lua_close leaves the tables as
   they are.
   Owner: the state's. */
#include "finalizer.h"

#include "compat.h"
#include "single.h"

/* In the registry: address -> userdata, weak. */
static const char alive_key = 0;

/* In the registry: userdata -> true, those that cast_finalizer_keep keeps. */
static const char kept_key = 0;

void cast_finalizer_add(lua_State *L, const void *p) {
  luaL_checkstack(L, 5, NULL);
  (void)cast_single_push(L, &alive_key, cast_make_weak, "v");
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, p);
  lua_pop(L, 1);
}

bool cast_finalizer_is_closing(lua_State *L, const void *p) {
  bool there;
  if (!lua_checkstack(L, 2)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &alive_key);
  if (!lua_istable(L, -1)) return lua_pop(L, 1), false;
  lua_rawgetp(L, -1, p);
  there = lua_touserdata(L, -1) == p;
  lua_pop(L, 2);
  return there;
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
