/* interrupt.h - Ctrl-C: the hook that a host's interpreter sets.
   SPDX-License-Identifier: MIT */
#ifndef CAST_INTERRUPT_H
#define CAST_INTERRUPT_H

#include "../compat/compat.h"
#include "state.h"

/* Host: the main program's wait begins, in L. Notes which hook there is. */
void cast_hook_note(cast_state *S, lua_State *L);
/* Has a signal handler set another hook since? What debug.sethook sets does not
   count. Sysmon may ask, too. */
bool cast_hook_has_changed(cast_state *S);
/* Takes any hook of L away. */
void cast_hook_clear(lua_State *L);
/* Has that hook of ours called after every `count` instructions of L. LuaJIT
   has one hook for all coroutines, so the program's is kept there. Also in a
   signal handler. */
void cast_hook_put(cast_state *S, lua_State *L, lua_Hook hook, int count);
/* L has a hook of ours: takes it away, and puts the program's back. */
void cast_hook_drop(cast_state *S, lua_State *L);
/* LuaJIT, a host: a task is about to go on in L; prepares
   cast_hook_has_interrupted. */
void cast_hook_mark(lua_State *L);
/* LuaJIT, a host: has a task met a signal handler's hook, with the error on the
   top of L? If so, the wait of the main program ends, and that will raise the
   error; returns true until then. */
bool cast_hook_has_interrupted(cast_state *S, lua_State *L);
/* Host: the main program is about to wait, in L. Has a signal handler just set
   a hook, which must be called before? */
bool cast_hook_is_due(cast_state *S, lua_State *L);
/* The main program's wait was interrupted: calls the hook that was set, in L.
   May raise. */
void cast_call_hook(lua_State *L, cast_state *S);

#endif
