/* verdict.h - the error of a task that must stop, raised in a hook.
   SPDX-License-Identifier: MIT */
#ifndef CAST_VERDICT_H
#define CAST_VERDICT_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* In a hook that is called in L: raises the error of what t must stop for;
   returns if there is nothing. */
void cast_verdict_raise(
  lua_State *L, cast_state *S, cast_ltask *t, uint64_t now_ns);
/* The same for a task that is cancelled, and whose error is raised again and
   again: it is made once. Returns if it cannot be made. */
void cast_verdict_raise_end(lua_State *L, cast_state *S, cast_ltask *t);
/* Pushes that error of the task that runs; nil: there is none. */
void cast_verdict_push_end(lua_State *L, cast_state *S);
/* In a hook that raises an error now: hooks may be called again, before it has
   ended, and L is known to run. S may be NULL. */
void cast_verdict_allow(lua_State *L, cast_state *S);
/* LuaJIT: the caller may be in a finalizer or a hook, and other tasks run
   before that ends: hooks have to be called in them. */
void cast_stop_allow(cast_state *S);
/* Keeps what that needs of the globals, while they are the library's own. */
void cast_stop_note(lua_State *L);

#endif
