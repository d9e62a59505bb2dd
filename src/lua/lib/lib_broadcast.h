/* lib_broadcast.h - broadcasts for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_BROADCAST_H
#define CAST_LIB_BROADCAST_H

#include "../state/handle.h"

/* What broadcasts are in Lua. */
extern const cast_class cast_broadcast_class;
/* A method that is written in Lua. */
int cast_broadcast_subscribe_lua(lua_State *L);

#endif
