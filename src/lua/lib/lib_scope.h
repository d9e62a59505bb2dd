/* lib_scope.h - casting.with_timeout and casting.shield.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SCOPE_H
#define CAST_LIB_SCOPE_H

#include "../compat/compat.h"

/* Replaces with_timeout and shield in the module on the top of the stack, where
   they must be written in Lua (5.1 and LuaJIT). Raises. */
void cast_open_scope(lua_State *L);
/* internal.prolong() */
int cast_lib_prolong(lua_State *L);

#endif
