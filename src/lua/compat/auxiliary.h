/* auxiliary.h - what every room needs beside Lua's own auxiliary library.
   SPDX-License-Identifier: MIT */
#ifndef CAST_AUXILIARY_H
#define CAST_AUXILIARY_H

#include "compat.h"

/* Seconds in nanoseconds; OS_FOREVER: too many for that. */
uint64_t cast_period(double seconds);
/* Pushes nil and the word for an outcome, a CASTING_E*, and returns 2. Raises
   for CASTING_ENOMEM. */
int cast_push_failure(lua_State *L, int result);
/* The same in the finish of a wait that cleans up (cast_wait_kind), which is
   called for outcomes that the caller will raise, too: pushes nothing for
   these. */
int cast_push_interrupt(lua_State *L, int result);

/* What Lua raises when memory fails, in all versions. */
#define CAST_NO_MEMORY "not enough memory"
/* Raises that error exactly as Lua does, without a place in front: every state
   has the string already, so this needs no memory, and whoever catches the
   error can tell it by cast_is_memory_error. */
_Noreturn void cast_raise_memory(lua_State *L);
/* Is the value at index i that error? */
bool cast_is_memory_error(lua_State *L, int i);

/* Raises that no thread could be started. */
_Noreturn void cast_raise_thread(lua_State *L);
/* The time so many seconds from now; OS_FOREVER if that is beyond all time. */
uint64_t cast_deadline_in(double seconds);

#endif
