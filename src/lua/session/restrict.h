/* restrict.h - what the libraries of a sandbox lack.
   SPDX-License-Identifier: MIT */
#ifndef CAST_RESTRICT_H
#define CAST_RESTRICT_H

#include "../compat/compat.h"

/* In a new sandbox with that set of libraries: takes away from them what a
   sandbox must not have. After all else that looks for functions there.
   Raises. */
void cast_libs_restrict(lua_State *L, uint32_t libs);

#endif
