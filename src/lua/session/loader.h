/* loader.h - casting.require: one session at a time loads.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LOADER_H
#define CAST_LOADER_H

#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* casting.require(name) */
int cast_lib_require(lua_State *L);
/* `init` is going to be the first task of the new session S, and t, in session
   from, waits for it: notes what t loads meanwhile, which nothing that init
   loads may wait for. */
void cast_loader_pass_on(
  const cast_state *from, const cast_ltask *t, cast_state *S, cast_ltask *init);
/* The tasks of S never go on: gives up what they hold, and their places. */
void cast_loader_leave(cast_state *S);

#endif
