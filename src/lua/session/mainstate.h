/* mainstate.h - the Lua state of a main program as a session, and its end.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MAINSTATE_H
#define CAST_MAINSTATE_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/state.h"

/* Makes the Lua state of L, which somebody else has created, a session (a
   host), unless it is one. Raises. */
cast_state *cast_state_host(lua_State *L, const cast_binding *binding);
/* Ends the session of a host, as its lua_close has begun: cancels and unwinds
   its tasks, and closes all sessions below it. Does nothing the second time,
   nor in a session of the pool. */
void cast_state_end(lua_State *L);
/* What the core calls for the session of a host. */
extern const cast_session_ops cast_host_ops;

#endif
