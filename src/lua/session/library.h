/* library.h - the standard libraries of a session of ours.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIBRARY_H
#define CAST_LIBRARY_H

#include "../compat/compat.h"
#include "../state/state.h"

/* The standard libraries that a session may have or lack; a NULL name ends the
   list. A set of them is a number: bit i is the library cast_libs[i], and the
   others are about sandboxes. */
extern const luaL_Reg cast_libs[];
#define CAST_LIBS_ALL UINT32_MAX    /* the set of all */
#define CAST_LIB_FS (1u << 28)      /* casting.fs */
#define CAST_LIB_PROCESS (1u << 29) /* casting.process */
#define CAST_LIB_NET (1u << 30)     /* casting.net */
#define CAST_LIB_TIME (1u << 31)    /* what os has about the time */

/* The parts of our module that sandboxes may lack: each is a field of it, and a
   module for require. A NULL name ends the list. */
typedef struct cast_lib_part {
  const char *name; /* "casting.net" */
  uint32_t lib;     /* CAST_LIB_NET */
} cast_lib_part;
extern const cast_lib_part cast_lib_parts[];
/* The part of that name, or NULL. */
const cast_lib_part *cast_libs_part(const char *name);

/* The set that a sandbox has unless its maker says otherwise. */
uint32_t cast_libs_harmless(void);
/* May code in S use that part of casting, CAST_LIB_NET for example? */
bool cast_libs_has(const cast_state *S, uint32_t lib);

/* Adds the library of that name to the set *libs; "package" and "base", which
   every session has, change nothing. False: there is no such library. "os" is
   all of os, the time included. */
bool cast_libs_add(uint32_t *libs, const char *name);
/* Opens the basic functions, `package`, and the libraries of that set.
   Raises. */
void cast_libs_open(lua_State *L, uint32_t libs);
/* Replaces the functions of the open libraries that would do harm in a session
   (library.c). The new ones have the state's box as an upvalue. Raises. */
void cast_libs_adapt(lua_State *L);
/* LuaJIT: switches the compiler off for good (limited.c). Raises. */
void cast_libs_interpret(lua_State *L);
/* Replaces what would do harm where memory is limited (limited.c). Raises. */
void cast_libs_limit(lua_State *L);

/* The parts of cast_libs_adapt, one for each file. */
void cast_open_math(lua_State *L);    /* mathlib.c */
void cast_open_nesting(lua_State *L); /* nestlib.c */
void cast_open_os(lua_State *L);      /* oslib.c */
void cast_open_program(lua_State *L); /* program.c */
void cast_open_string(lua_State *L);  /* strlib.c */

#endif
