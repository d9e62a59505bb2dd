/* lib_chan.h - channels for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_CHAN_H
#define CAST_LIB_CHAN_H

#include "../../chan.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"

/* What channels are in Lua. */
extern const cast_class cast_chan_class;
/* Makes a channel and pushes its handle. Raises. */
cast_chan *cast_chan_push(lua_State *L, size_t capacity);

#endif
