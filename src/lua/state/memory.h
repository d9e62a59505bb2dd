/* memory.h - a session's own Lua state, in the session's memory; its end.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MEMORY_H
#define CAST_MEMORY_H

#include "../compat/compat.h"
#include "state.h"

/* The session has an account that limits memory: what its Lua state may use is
   a grant of that, which follows what it uses. False: the account has nothing
   left. */
bool cast_memory_grant(cast_state *S);
/* How much that is; 0: there is none. Any thread. */
static inline size_t cast_memory_granted(const cast_state *S) {
  /* Relaxed: a figure, for all but the owner. */
  return atomic_load_explicit(&S->memory.granted, memory_order_relaxed);
}
/* Gives the grant back: the Lua state is gone, or was not made. While slabs are
   left, as long as somebody has a task of the session, these are charged. */
void cast_memory_ungrant(cast_state *S);
/* Makes the Lua state of a session, without libraries. NULL: out of memory, or
   over the session's limit. */
lua_State *cast_state_new_lua(cast_state *S);
/* Closes that state, with memory for its finalizers. */
void cast_state_close_lua(cast_state *S);

/* Owner: collects the garbage of a state with a limit, whatever that is. Before
   5.2 finalizers are called, which may not wait, as between tasks. */
void cast_state_collect(cast_state *S);
/* 5.1 and LuaJIT do not look for garbage when memory fails, so it is done for
   them (memory.c). Later versions do, and need none of this. */
#if CAST_LUA < 502
/* Is a collection due? */
static inline bool cast_state_starved(const cast_state *S) {
  return S->memory.starved;
}
/* The state is starved: the task that runs will look up at its next
   instruction, if it can. Called by the allocator. */
void cast_state_starve(cast_state *S);
#else
static inline bool cast_state_starved(const cast_state *S) {
  return CAST_UNUSED(S), false;
}
static inline void cast_state_starve(cast_state *S) { CAST_UNUSED(S); }
#endif

#endif
