/* builtin.h - the globals of what is written in Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_BUILTIN_H
#define CAST_BUILTIN_H

#include "../compat/compat.h"

/* Pushes a table of the base library's functions that such files use. */
void cast_builtin_push(lua_State *L);
void cast_builtin_pcall(lua_State *L); /* one of them */
/* The state is new, or is made a host. */
void cast_builtin_note(lua_State *L);

#endif
