/* lib_message.h - packed messages for Lua, and casting.transferable.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_MESSAGE_H
#define CAST_LIB_MESSAGE_H

#include "../state/handle.h"

/* What packed messages are in Lua. */
extern const cast_class cast_message_class;

#endif
