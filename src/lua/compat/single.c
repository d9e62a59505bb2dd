/* single.c - what a Lua state has one of.
   SPDX-License-Identifier: MIT

   Both functions look twice: before `make`, and after it, since it may have run
   code that has made the same. What was made second is garbage. */
#include "single.h"

#include "../../base.h"
#include "compat.h"

bool cast_single_push(
  lua_State *L, const void *key, cast_maker make, const void *arg) {
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  if (CAST_LIKELY(!lua_isnil(L, -1))) return false;
  lua_pop(L, 1);
  make(L, arg);
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  if (!lua_isnil(L, -1)) {
    lua_remove(L, -2);
    return false;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  return true;
}

bool cast_single_push_in(
  lua_State *L, int t, int slot, cast_maker make, const void *arg) {
  lua_rawgeti(L, t, slot);
  if (CAST_LIKELY(lua_toboolean(L, -1))) return false;
  lua_pop(L, 1);
  make(L, arg);
  lua_rawgeti(L, t, slot);
  if (lua_toboolean(L, -1)) {
    lua_remove(L, -2);
    return false;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, t, slot);
  return true;
}

void cast_make_table(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_newtable(L);
}

void cast_make_weak(lua_State *L, const void *arg) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, arg);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

void cast_make_meta(lua_State *L, const void *arg) {
  const lua_CFunction *gc = arg;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, *gc);
  lua_setfield(L, -2, "__gc");
}
