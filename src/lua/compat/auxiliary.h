/* auxiliary.h - what every room needs beside Lua's own auxiliary library.
   SPDX-License-Identifier: MIT */
#ifndef CAST_AUXILIARY_H
#define CAST_AUXILIARY_H

#include "compat.h"

uint64_t cast_period(double seconds); /* nanoseconds, OS_FOREVER at most */
/* Pushes nil and the word for an outcome. */
int cast_push_failure(lua_State *L, int result);
/* The same for a kind of wait that cleans up, which is told of what the caller
   will raise, too: then nothing. */
int cast_push_interrupt(lua_State *L, int result);

/* What Lua raises when memory fails, in all versions. */
#define CAST_NO_MEMORY "not enough memory"
/* Raises that error exactly as Lua does, without a place in front: every state
   has the string already, so this needs no memory, and whoever catches the
   error can tell it by cast_is_memory_error. */
_Noreturn void cast_raise_memory(lua_State *L);
/* Is the value at index i that error? */
bool cast_is_memory_error(lua_State *L, int i);

/* No thread could be started. */
_Noreturn void cast_raise_thread(lua_State *L);
/* So many seconds from now, which may be more than there are: OS_FOREVER. */
uint64_t cast_deadline_in(double seconds);

#endif
