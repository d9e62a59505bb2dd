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
/* The channel whose handle is argument i. Raises. */
cast_chan *cast_chan_arg(lua_State *L, int i);
/* S is about to have m sent into c. If S is a sandbox, c may come to lead to
   itself by that, whoever has made it: it is noted for when S closes (cycle.h).
   Raises when out of memory; then m is where it was. */
void cast_chan_note_sent(
  lua_State *L, const cast_state *S, cast_chan *c, cast_msg *m);
/* Makes a channel and pushes its handle. Raises. */
cast_chan *cast_chan_push(lua_State *L, size_t capacity);

#endif
