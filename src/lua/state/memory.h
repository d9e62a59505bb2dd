/* memory.h - a session's own Lua state, in the session's memory; its end.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MEMORY_H
#define CAST_MEMORY_H

#include "../compat/compat.h"
#include "state.h"

/* Without libraries, closed by lua_close. NULL: out of memory, or over the
   session's limit. */
lua_State *cast_state_new_lua(cast_state *S);
/* lua_close. */
void cast_state_close_lua(cast_state *S);
#if CAST_LUA < 502
/* Owner: collects all garbage, whatever the limit. Finalizers may not wait, as
   between tasks. */
void cast_state_collect(cast_state *S);
/* The state is starved: the task that runs will look up at its next
   instruction, if it can. Called by the allocator. */
void cast_state_starve(cast_state *S);
#endif

#endif
