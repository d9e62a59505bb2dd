/* tidy.h - tells clang-tidy which functions of Lua do not return.
   SPDX-License-Identifier: MIT

   Lua's headers do not say it, so that every check of an argument would look
   as if execution went on with a bad one. Included before the sources of the
   binding by `./dev check tidy`, and by nothing else. */
#include <lauxlib.h>
#include <lua.h>

__attribute__((noreturn)) int(luaL_error)(lua_State *L, const char *fmt, ...);
__attribute__((noreturn)) int(lua_error)(lua_State *L);
