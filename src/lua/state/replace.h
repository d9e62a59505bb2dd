/* replace.h - functions of ours in place of some of a standard library.
   SPDX-License-Identifier: MIT */
#ifndef CAST_REPLACE_H
#define CAST_REPLACE_H

#include "../compat/compat.h"

/* Puts functions of ours into the standard library `name`, if it is open. They
   have the state's box as their upvalue. Each file that has such functions
   calls this for them. Raises. */
void cast_libs_replace(
  lua_State *L, const char *name, const luaL_Reg *functions);
/* Replaces the function `name` of the table on the top by f, which has that
   function as its upvalue. */
void cast_libs_wrap(lua_State *L, const char *name, lua_CFunction f);
/* In such an f: calls that function with the same arguments, as a C function:
   it must have no upvalues of its own. */
int cast_libs_pass(lua_State *L);
/* Raises "C stack overflow" if less than `spare` bytes (CAST_STACK_SPARE or
   CAST_STACK_COMPILER) are left of the C stack that a task runs on. For
   functions that lead to nested C calls, which LuaJIT does not count, nor 5.4
   those that close coroutines. */
void cast_libs_deeper(lua_State *L, size_t spare);
/* Are so many left? */
bool cast_libs_left(lua_State *L, size_t spare);

#endif
