/* chanuse.h - what all functions of channels need.
   SPDX-License-Identifier: MIT */
#ifndef CAST_CHANUSE_H
#define CAST_CHANUSE_H

#include "../../buffer.h"
#include "../../chan.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* The channel whose handle is argument i. Raises. */
cast_chan *cast_chan_arg(lua_State *L, int i);
/* S is about to have m sent into c. If S is a sandbox, c may come to lead to
   itself by that, whoever has made it: it is noted for when S closes (cycle.h).
   Raises when out of memory; then m is where it was. */
void cast_chan_note_sent(
  lua_State *L, const cast_state *S, cast_chan *c, cast_msg *m);
/* For the task dump: "waiting to send to channel: 0x...", and "to receive
   from". */
void cast_chan_describe_send(cast_buffer *b, const cast_ltask *t);
void cast_chan_describe_receive(cast_buffer *b, const cast_ltask *t);

#endif
