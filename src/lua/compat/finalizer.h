/* finalizer.h - does a finalizer run because its Lua state is being closed?
   SPDX-License-Identifier: MIT

   lua_close finalizes everything, newest first, also what is in use by tasks
   that wait in the middle of an operation, and go on when the host's end lets
   them unwind. So the first finalizer of ours that lua_close calls ends the
   host (cast_state_end), before it gives anything up. Handles do the same with
   a table of their own (handle.c). */
#ifndef CAST_FINALIZER_H
#define CAST_FINALIZER_H

#include "compat.h"

/* Once in each state, before the functions below are called. Raises. */
void cast_finalizer_open(lua_State *L);
/* In a finalizer of any userdata: is it known that the state is being closed?
   False: that depends on the userdata. */
bool cast_finalizer_is_last(lua_State *L);
/* The userdata on the top, at address p, has a finalizer that will ask
   cast_finalizer_is_closing. Raises when out of memory. */
void cast_finalizer_add(lua_State *L, const void *p);
/* In that finalizer: true if it was called because the state is being closed;
   false if the collector has found that nothing refers to the userdata. */
bool cast_finalizer_is_closing(lua_State *L, const void *p);
/* Sets the table or nil on the top as the metatable of the table at index i, as
   lua_setmetatable; but Lua never calls its __gc for that. Pops it. Raises only
   when out of memory, before anything is set. */
void cast_finalizer_skip(lua_State *L, int i);
/* In a finalizer, while the host's end is under way: keeps the userdata at
   index i in memory until the state is gone. */
void cast_finalizer_keep(lua_State *L, int i);
/* For tests, in debug builds: counts the finalizers of a new state that fail,
   as they do if there is no memory to call them: what they were for is lost.
   From 5.4 on, where Lua warns of them. */
void cast_finalizer_watch(lua_State *L);
uint32_t cast_finalizers_lost(void);
/* Pushes the table whose keys are kept in that way, or something else. */
void cast_finalizer_push_kept(lua_State *L);

#endif
