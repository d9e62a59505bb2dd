/* misuse.h - errors about arguments, of what is written in Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MISUSE_H
#define CAST_MISUSE_H

#include "../compat/compat.h"

/* internal.bad(i, name, text), internal.got(v), internal.quote(v),
   internal.kind(v), internal.room(n), internal.trace(e), internal.where(): see
   misuse.c. */
int cast_lib_bad(lua_State *L);
int cast_lib_got(lua_State *L);
int cast_lib_quote(lua_State *L);
int cast_lib_kind(lua_State *L);
int cast_lib_room(lua_State *L);
int cast_lib_trace(lua_State *L);
int cast_lib_where(lua_State *L);

#endif
