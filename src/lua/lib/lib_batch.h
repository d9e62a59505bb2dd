/* lib_batch.h - many messages at a time: send_all, receive_many, batches.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_BATCH_H
#define CAST_LIB_BATCH_H

#include "../compat/compat.h"

int cast_chan_send_all(lua_State *L);
int cast_chan_receive_many(lua_State *L);
int cast_chan_batches(lua_State *L);

#endif
