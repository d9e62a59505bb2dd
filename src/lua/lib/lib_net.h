/* lib_net.h - the table casting.net.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_NET_H
#define CAST_LIB_NET_H

#include "../compat/compat.h"

/* The module's table is on the top: its field `net` will be made when it is
   first read. Raises. */
void cast_lib_net_open(lua_State *L);
/* Pushes the table casting.net. Raises. */
void cast_lib_net_push(lua_State *L);
#endif
