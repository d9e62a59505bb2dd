/* pending.h - coroutines of tasks, and tasks that have not begun.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PENDING_H
#define CAST_PENDING_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* A coroutine to run something in: one that has ended, or a new one. The
   program may have it from its earlier life, so nothing may lie in it that is
   not run at once: else Lua takes it for one that can be resumed. May raise on
   L. */
cast_coroutine cast_coroutine_get(lua_State *L, cast_state *S);
/* A new one, which nobody else has. May raise on L. */
cast_coroutine cast_coroutine_new(lua_State *L, cast_state *S);
/* One that has ended, if there is any. */
bool cast_coroutine_reuse(cast_state *S, cast_coroutine *co);
/* Gives it back; `clean`: it ended without an error. */
void cast_coroutine_put(cast_state *S, cast_coroutine co, bool clean);

/* Takes a new task's function and arguments, n values, from the top of L until
   the task begins. False: it is to have its coroutine at once. Raises. */
bool cast_pending_keep(lua_State *L, cast_state *S, cast_ltask *t, int n);
/* They go to the coroutine's stack, which has room; NULL: nowhere. */
void cast_pending_give(cast_state *S, cast_ltask *t, lua_State *co);
/* Frees what there is for all that. */
void cast_pending_fini(cast_state *S);

#endif
