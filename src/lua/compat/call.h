/* call.h - calls of functions which may wait.
   SPDX-License-Identifier: MIT */
#ifndef CAST_CALL_H
#define CAST_CALL_H

#include "compat.h"

/* Calls the function at index 1 with all values above it as its arguments, and
   returns how many results it has left, from index 1 on: what a lua_CFunction
   returns whose work that call is. The called function may yield, where Lua has
   continuations; elsewhere a wait in it blocks in place. */
int cast_lua_call_all(lua_State *L);

#endif
