/* protect.h - protected calls between slices.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PROTECT_H
#define CAST_PROTECT_H

#include "../compat/compat.h"
#include "state.h"

/* Calls fn(work) with `arg` as light userdata, protected: LUA_OK or an error
   status; the error message is dropped. No task runs meanwhile: finalizers may
   not wait. One that tries raises an error, which fn meets before 5.4; then fn
   is called again, so it must not mind that it had begun, and if it catches an
   error while `refused` is set, it is to raise it. */
int cast_protect(cast_state *S, lua_CFunction fn, void *arg);
/* Owner, in the child of a fork, between tasks: who has forked has ended (`ok`:
   without an error). In a session of ours the process ends; of a host the main
   program goes on. Returns if that is what runs. */
void cast_state_forked(cast_state *S, bool ok);

#endif
