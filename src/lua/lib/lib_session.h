/* lib_session.h - sessions for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SESSION_H
#define CAST_LIB_SESSION_H

#include "../state/handle.h"

/* What sessions are in Lua. */
extern const cast_class cast_session_class;

#endif
