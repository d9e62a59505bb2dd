/* interrupt.h - Ctrl-C: the hook that a host's interpreter sets.
   SPDX-License-Identifier: MIT */
#ifndef CAST_INTERRUPT_H
#define CAST_INTERRUPT_H

#include "../compat/compat.h"
#include "state.h"

/* Host: the main program's wait begins, in L. */
void cast_hook_note(cast_state *S, lua_State *L);
/* Has a signal handler set one since? Not what debug.sethook sets. Sysmon,
   too. */
bool cast_hook_has_changed(cast_state *S);
/* No hook in L any more. */
void cast_hook_clear(lua_State *L);
/* LuaJIT, a host: a task is about to go on in L. */
void cast_hook_mark(lua_State *L);
/* LuaJIT, a host: has a task met a signal handler's hook, whose error is on the
   top of L (NULL: it has failed where a hook only can have been)? The main
   program will raise the error; true until then. */
bool cast_hook_has_interrupted(cast_state *S, lua_State *L);
/* Host: the main program's wait is about to begin, in L. Is there one that is
   to be called at the next instruction, as lua.c's is? */
bool cast_hook_is_due(cast_state *S, lua_State *L);
/* The main program's wait was interrupted: calls the hook that was set. */
void cast_call_hook(lua_State *L, cast_state *S);

#endif
