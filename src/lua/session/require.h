/* require.h - Lua's own require, which tells of what it loads.
   SPDX-License-Identifier: MIT */
#ifndef CAST_REQUIRE_H
#define CAST_REQUIRE_H

#include "../compat/compat.h"

/* Makes the global require of L, if it is Lua's own, load a module in one task
   at a time, while other tasks that require the module wait. Raises. */
void cast_require_open(lua_State *L);

#endif
