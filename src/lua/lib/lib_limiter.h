/* lib_limiter.h - limiters for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_LIMITER_H
#define CAST_LIB_LIMITER_H

#include "../state/handle.h"

/* What limiters are in Lua. */
extern const cast_class cast_limiter_class;

#endif
