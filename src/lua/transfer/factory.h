/* factory.h - functions that make closures of a prototype.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FACTORY_H
#define CAST_FACTORY_H

#include "../../msg.h"
#include "../compat/compat.h"

#define CAST_FACTORY_UPVALUES 60 /* at most; what 5.1 allows */

/* Pushes a Lua function that returns, at each call, a new closure of the
   function whose bytecode is in b, with `nups` (1 to the maximum) variables of
   its own. False, and nothing pushed: not to be had in this Lua. May raise. */
bool cast_factory_push(lua_State *L, const cast_bytes *b, int nups);

#endif
