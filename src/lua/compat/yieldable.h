/* yieldable.h - can a coroutine yield where it is now?
   SPDX-License-Identifier: MIT */
#ifndef CAST_YIELDABLE_H
#define CAST_YIELDABLE_H

#include "compat.h"

/* Can L yield to whoever resumed it? */
bool cast_is_yieldable(lua_State *L);
void cast_probe(lua_State *L); /* once per process; before any of these */

#endif
