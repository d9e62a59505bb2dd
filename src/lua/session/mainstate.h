/* mainstate.h - the Lua state of a main program as a session, and its end.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MAINSTATE_H
#define CAST_MAINSTATE_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/state.h"

/* Makes L a host. Raises. */
cast_state *cast_state_host(lua_State *L, const cast_binding *binding);
/* Ends a host: lua_close has begun. Does nothing the second time, and in a
   session of ours. */
void cast_state_end(lua_State *L);
extern const cast_session_ops cast_host_ops;

#endif
