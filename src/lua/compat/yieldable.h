/* yieldable.h - can a coroutine yield where it is now?
   SPDX-License-Identifier: MIT */
#ifndef CAST_YIELDABLE_H
#define CAST_YIELDABLE_H

#include "compat.h"

/* Can L, which runs, yield to what has resumed it? */
bool cast_is_yieldable(lua_State *L);
/* Prepares that, once in a process: before the first call of
   cast_is_yieldable. */
void cast_probe(lua_State *L);

#endif
