/* net_option.h - options of sockets.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NET_OPTION_H
#define CAST_NET_OPTION_H

#include "../../io/descriptor.h"
#include "../compat/compat.h"

/* stream:option(name [, value]), listener:option, udp:option: with a value,
   true; without one, what it is; or nil, why. */
int cast_net_stream_option(lua_State *L);
int cast_net_listener_option(lua_State *L);
int cast_net_udp_option(lua_State *L);

/* Sets the options for which the table at `table`, an argument, has a value
   under their names. 0, or what cast_net_option_failure tells of. Raises if a
   value is none for its option. */
int cast_net_options(lua_State *L, int table, cast_descriptor *file);
/* Pushes nil, and why. */
int cast_net_option_failure(lua_State *L, int rc);

#endif
