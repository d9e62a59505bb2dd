/* nestlib.c - LuaJIT: functions that call others, and look at the C stack.
   SPDX-License-Identifier: MIT

   LuaJIT limits nested calls only by the size of the Lua stack, and each
   coroutine has one of its own. A C function of a library that calls a function
   of the program, which calls that C function again, overflows the C stack
   before that: string.gsub with a buffer on the C stack for each call, load
   with the compiler's data for all functions that its text has begun. So those
   which call others raise an error when little of the C stack is left: there is
   always enough for the functions that call none. Each level of coroutines is
   looked at as well (../task/coroutine.c), and in a sandbox each call of a
   function of ours (../state/state.h).

   The other versions count nested C calls, and allow 200 of them.

   Functions that the compiler of LuaJIT knows (string.format) are replaced in
   sandboxes only, where nothing is compiled. */
#include "../../limits.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "../state/state.h"
#include "library.h"

#if CAST_LUAJIT

/* Calls the function; it will call others. */
static int nesting(lua_State *L) {
  cast_libs_deeper(L, CAST_STACK_SPARE);
  return cast_libs_pass(L);
}

/* The same for print, which has an upvalue. */
static int base_print(lua_State *L) {
  cast_libs_deeper(L, CAST_STACK_SPARE);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

/* The same for one that compiles. */
static int compiling(lua_State *L) {
  cast_libs_deeper(L, CAST_STACK_COMPILER);
  return cast_libs_pass(L);
}

static int str_gsub(lua_State *L) {
  int type = lua_type(L, 3);
  if (type == LUA_TFUNCTION || type == LUA_TTABLE)
    cast_libs_deeper(L, CAST_STACK_SPARE);
  return cast_libs_pass(L);
}

/* Replaces the function of the table on the top, if that has it. */
static void wrap(lua_State *L, const char *name, lua_CFunction f) {
  bool is;
  lua_getfield(L, -1, name);
  is = lua_tocfunction(L, -1) != NULL;
  lua_pop(L, 1);
  if (is) cast_libs_wrap(L, name, f);
}

void cast_open_nesting(lua_State *L) {
  bool sandbox = cast_state_find(L)->sandbox != NULL;
  lua_pushglobaltable(L);
  wrap(L, "load", compiling);
  wrap(L, "loadstring", compiling);
  wrap(L, "loadfile", compiling);
  wrap(L, "dofile", compiling);
  wrap(L, "print", base_print);
  lua_pop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "table");
  if (lua_istable(L, -1)) wrap(L, "sort", nesting);
  lua_pop(L, 1);
  lua_getfield(L, -1, "string");
  if (lua_istable(L, -1)) wrap(L, "gsub", str_gsub);
  if (lua_istable(L, -1) && sandbox) wrap(L, "format", nesting);
  lua_pop(L, 2);
}

#else
void cast_open_nesting(lua_State *L) { CAST_UNUSED(L); }
#endif
