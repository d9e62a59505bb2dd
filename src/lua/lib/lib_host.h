/* lib_host.h - driving the main session's tasks from a loop of the host's own.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_HOST_H
#define CAST_LIB_HOST_H

#include "../compat/compat.h"
#include "../state/state.h"

/* Main program: runs the tasks of its session that are ready, each once. If
   there is none, waits for one until the deadline (0: does not wait). True if
   any has run. Raises. */
bool cast_state_poll(lua_State *L, cast_state *S, uint64_t deadline_ns);
/* Main program: the descriptor that is readable when there is something to
   poll, or -1 where there is none. Raises. */
int cast_state_fd(lua_State *L, cast_state *S);

#endif
