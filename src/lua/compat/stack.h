/* stack.h - a coroutine's stack: how deep it is, and what it is as text.
   SPDX-License-Identifier: MIT */
#ifndef CAST_STACK_H
#define CAST_STACK_H

#include "../../buffer.h"
#include "compat.h"

/* How many calls are active in co, whether it runs or not. Each look at a level
   costs as many steps as the level is deep, so this looks at few: it doubles
   the level while there is one, then halves the interval. */
int cast_stack_depth(lua_State *co);

#define CAST_STACK_SLOTS 8 /* free ones that cast_stack_write needs on L */

/* Adds to b what luaL_traceback would push for co, from that level on, in the
   words of the Lua version. luaL_traceback makes Lua strings, so finalizers may
   run, and wait, while co goes on, and ends: its frames, or all of it, would be
   gone in the middle. This makes none, and raises nothing. L is used to look
   for names; it may be co, but not a coroutine that waits. */
void cast_stack_write(cast_buffer *b, lua_State *L, lua_State *co, int level);

#endif
