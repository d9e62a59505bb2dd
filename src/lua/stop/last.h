/* last.h - waits of finalizers while a host's state closes.
   SPDX-License-Identifier: MIT

   lua_close runs finalizers of the program before the first of ours, which ends
   everything (cast_state_end). Such a finalizer may wait: the host's tasks run
   meanwhile. So that the end comes, all these waits together take CAST_LAST_NS
   at most, and a task that computes lets go when one is over.
   Owner: the host's thread. */
#ifndef CAST_LAST_H
#define CAST_LAST_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* L has just become a host's. Raises. */
void cast_last_open(lua_State *L, cast_state *S);
/* t is about to wait on L, which is not its own coroutine: is that such a wait?
   May run Lua code. Raises, if the main program is not who waits. */
bool cast_last_is_wait(lua_State *L, cast_state *S, const cast_ltask *t);
/* The main program, or a finalizer in it, is about to wait on L: are hooks
   called there? What fails raises. */
bool cast_last_has_hooks(lua_State *L, cast_state *S);
/* The main program is about to wait; is it? Raises, if the time is up. */
void cast_last_begin(lua_State *L, cast_state *S, bool is);
/* It waits now: until when, at most. */
uint64_t cast_last_until(const cast_state *S, uint64_t deadline_ns);
/* In a task that computes meanwhile: is it to let the main program go on? */
bool cast_last_is_due(cast_state *S);
/* The wait has ended, with a result: with which one is it to go on? */
int cast_last_result(cast_state *S, int result);
/* It has not brought what was waited for, and is over. Raises, if that was for
   want of time. */
void cast_last_over(lua_State *L, cast_state *S);

/* A finalizer of ours, called in L, is to end everything. Does it stray? Then
   the wait ends, and who has waited is to end everything. */
bool cast_last_defer(lua_State *L, cast_state *S);
/* When a host that ends now is to have ended. */
uint64_t cast_last_end(cast_state *S);

#endif
