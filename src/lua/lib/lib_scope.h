/* lib_scope.h - casting.with_timeout and casting.shield.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SCOPE_H
#define CAST_LIB_SCOPE_H

#include "../compat/compat.h"

/* Finishes the module on the top of the stack. */
void cast_open_scope(lua_State *L);
int cast_lib_prolong(lua_State *L);

#endif
