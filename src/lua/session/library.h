/* library.h - the standard libraries of a session of ours.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIBRARY_H
#define CAST_LIBRARY_H

#include "../compat/compat.h"

/* Libraries that a session may be limited to; name NULL ends the list. */
extern const luaL_Reg cast_libs[];
#define CAST_LIBS_ALL UINT32_MAX

/* Adds the library of that name to the bits `libs`; package and base, which
   every session has, add none. False: there is no such library. */
bool cast_libs_add(uint32_t *libs, const char *name);
/* Opens those of `libs`: CAST_LIBS_ALL, or bits of cast_libs; the basic
   functions and `package` always. Raises. */
void cast_libs_open(lua_State *L, uint32_t libs);
/* Puts functions of ours in place of those that would not do in a session.
   They have the state's box as their upvalue. Raises. */
void cast_libs_adapt(lua_State *L);
/* The same for a state with a memory limit (limited.c). Raises. */
void cast_libs_limit(lua_State *L);

void cast_open_math(lua_State *L);    /* mathlib.c */
void cast_open_os(lua_State *L);      /* oslib.c */
void cast_open_program(lua_State *L); /* program.c */
void cast_open_string(lua_State *L);  /* strlib.c */

#endif
