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
/* t is about to wait in L, which is not its own coroutine: is that a wait of a
   finalizer while the state closes? May run Lua code. Raises if t is not the
   main program, which cannot go on then. */
bool cast_last_is_wait(lua_State *L, cast_state *S, const cast_ltask *t);
/* The main program, or a finalizer in it, is about to wait in L: are hooks
   called there? What fails raises. */
bool cast_last_has_hooks(lua_State *L, cast_state *S);
/* The main program is about to wait; is: cast_last_is_wait has said yes. Raises
   if the time for such waits is up. */
void cast_last_begin(lua_State *L, cast_state *S, bool is);
/* The deadline of such a wait: that of the call, or the end of the time. */
uint64_t cast_last_until(const cast_state *S, uint64_t deadline_ns);
/* In a task that computes meanwhile: must it let the main program go on? */
bool cast_last_is_due(cast_state *S);
/* Such a wait has ended with `result`: the result with which it goes on. */
int cast_last_result(cast_state *S, int result);
/* Such a wait is over and has not brought what it was for. Raises if the time
   for such waits is up. */
void cast_last_over(lua_State *L, cast_state *S);

/* A finalizer of ours, called in L, would end the host now. If the collector
   has called it in a task, while such a wait is under way (cast_last_is_stray),
   it must not: then the wait ends, the function that waited ends the host, and
   this returns true. */
bool cast_last_defer(lua_State *L, cast_state *S);
/* A finalizer of ours, called in L, is to end the host: may a C function be in
   use on the stack below it, so that it goes on with what the host has? */
bool cast_last_is_nested(lua_State *L, const cast_state *S);
/* Until when a host that ends now has time to unwind its tasks. */
uint64_t cast_last_end(cast_state *S);

#endif
