/* pending.h - coroutines of tasks, and tasks that have not begun.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PENDING_H
#define CAST_PENDING_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* A coroutine to run something in: one that has ended, or a new one. The
   program may have it as a value from its earlier life, so a function may only
   be put into it to be run at once: Lua lets anybody resume a coroutine that
   has one. Raises on L when out of memory. */
cast_coroutine cast_coroutine_get(lua_State *L, cast_state *S);
/* A new coroutine, which the program does not have. Raises as the above. */
cast_coroutine cast_coroutine_new(lua_State *L, cast_state *S);
/* Takes one that has ended, if any is kept. Takes no memory. */
bool cast_coroutine_reuse(cast_state *S, cast_coroutine *co);
/* Gives a coroutine back. clean: it can be used again, because it was not run
   or has ended without an error. */
void cast_coroutine_put(cast_state *S, cast_coroutine co, bool clean);

/* t becomes pending: takes its function and arguments, n values, from the top
   of L. False: nothing was taken, and t needs its coroutine at once. Raises. */
bool cast_pending_keep(lua_State *L, cast_state *S, cast_ltask *t, int n);
/* Moves what cast_pending_keep has taken to the stack of co, which has room;
   NULL: drops it. */
void cast_pending_give(cast_state *S, cast_ltask *t, lua_State *co);
/* The state has ended: frees the startups. */
void cast_pending_fini(cast_state *S);

#endif
