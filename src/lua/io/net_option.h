/* net_option.h - options of sockets.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NET_OPTION_H
#define CAST_NET_OPTION_H

#include "../../io/descriptor.h"
#include "../compat/compat.h"

/* The method option(name [, value]) of what has that descriptor: with a value,
   true; without one, what it is; or nil, why. */
int cast_net_option(lua_State *L, cast_descriptor *file);

/* Sets the options for which the table at `table`, an argument, has a value
   under their names. 0, or what cast_net_option_failure tells of. Raises if a
   value is none for its option. */
int cast_net_options(lua_State *L, int table, cast_descriptor *file);
/* Pushes nil, and why. */
int cast_net_option_failure(lua_State *L, int rc);

#endif
