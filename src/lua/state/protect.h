/* protect.h - protected calls between slices.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PROTECT_H
#define CAST_PROTECT_H

#include "../compat/compat.h"
#include "state.h"

/* Calls fn(S->work) with `arg` as light userdata, protected: LUA_OK or an error
   status; the error is dropped. No task runs meanwhile, so finalizers must not
   wait. One that tries gets an error (cast_enter), which before 5.4 comes out
   in fn. Then fn is called again: it must bear that it had begun; and if it
   catches an error while protect.refused is set, it must raise it again. */
int cast_protect(cast_state *S, lua_CFunction fn, void *arg);
/* The same with some memory beyond the session's limit: a task that has used
   all there is must not be one that cannot be stopped. */
int cast_protect_amply(cast_state *S, lua_CFunction fn, void *arg);
/* As cast_protect, and amply if that fails: what a task that has used all there
   is has failed with is told still. */
int cast_protect_finally(cast_state *S, lua_CFunction fn, void *arg);
/* Owner, in the child of a fork, between tasks: the task that has forked has
   ended (ok: without an error). In a session of ours the process ends now; in a
   host the main program goes on, on its own stack, and this returns only if it
   runs on that already. */
void cast_state_forked(cast_state *S, bool ok);

#endif
