/* replace.h - functions of ours in place of some of a standard library.
   SPDX-License-Identifier: MIT */
#ifndef CAST_REPLACE_H
#define CAST_REPLACE_H

#include "../compat/compat.h"

/* Each file that has functions of ours for a standard library does its part
   with this: puts them into that library, if it is open. They have the state's
   box as their upvalue. Raises. */
void cast_libs_replace(
  lua_State *L, const char *name, const luaL_Reg *functions);
/* Puts f in the place of a function of the table on the top; that becomes its
   upvalue. */
void cast_libs_wrap(lua_State *L, const char *name, lua_CFunction f);
/* In such an f: runs that function in its place, which has no upvalues of its
   own. */
int cast_libs_pass(lua_State *L);
/* Raises if there is too little of the C stack left for calls in calls. */
void cast_libs_deeper(lua_State *L);

#endif
