/* package.h - what a new session's package library starts with.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PACKAGE_H
#define CAST_PACKAGE_H

#include "../compat/compat.h"
#include "../state/state.h"

/* Gives the new session `to`, of which the caller is the owner, the
   package.path, the package.cpath and the loaders of package.preload of L's
   state, whose session is `from`. A loader that cannot be sent is left out.
   Raises for want of memory, or if the task is cancelled. */
void cast_package_give(lua_State *L, cast_state *from, cast_state *to);

#endif
