/* lib_host.h - driving the main state's tasks from a loop of the host's own.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_HOST_H
#define CAST_LIB_HOST_H

#include "../compat/compat.h"
#include "../state/state.h"

/* Main program: lets its tasks run that are ready, waiting for one up to the
   deadline (0: not). Did any? Raises. */
bool cast_state_poll(lua_State *L, cast_state *S, uint64_t deadline_ns);
/* The descriptor that is readable when there is something to poll, or -1. */
int cast_state_fd(lua_State *L, cast_state *S);

#endif
