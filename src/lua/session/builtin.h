/* builtin.h - the globals of what is written in Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_BUILTIN_H
#define CAST_BUILTIN_H

#include "../compat/compat.h"

/* Pushes a new table of the functions of the base library that the files of
   lualib/casting have as their globals. */
void cast_builtin_push(lua_State *L);
/* Pushes the pcall of that table. */
void cast_builtin_pcall(lua_State *L);
/* Remembers what must be remembered before the program can replace its globals;
   called when a state becomes a session. */
void cast_builtin_note(lua_State *L);

#endif
