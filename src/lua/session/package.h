/* package.h - what a new session's package library starts with.
   SPDX-License-Identifier: MIT */
#ifndef CAST_PACKAGE_H
#define CAST_PACKAGE_H

#include "../compat/compat.h"
#include "../state/state.h"

/* package.path, package.cpath and the loaders in package.preload become those
   of L's state, whose session is `from`; the caller still owns `to`. A loader
   that cannot cross is left out. Raises: out of memory, or interrupted. */
void cast_package_give(lua_State *L, cast_state *from, cast_state *to);

#endif
