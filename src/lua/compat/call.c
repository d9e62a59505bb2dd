/* call.c - calls of functions which may wait.
   SPDX-License-Identifier: MIT */
#include "call.h"

#include "../../base.h"
#include "compat.h"

#if CAST_LUA >= 503
static int finish(lua_State *L, int status, lua_KContext ctx) {
  CAST_UNUSED(status);
  CAST_UNUSED(ctx);
  return lua_gettop(L);
}
#elif CAST_HAS_YIELDK
static int finish(lua_State *L) { return lua_gettop(L); }
#endif

int cast_lua_call_all(lua_State *L) {
  int n = lua_gettop(L) - 1;
#if CAST_HAS_YIELDK
  lua_callk(L, n, LUA_MULTRET, 0, finish);
#else
  lua_call(L, n, LUA_MULTRET);
#endif
  return lua_gettop(L);
}
