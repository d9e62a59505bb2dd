/* factory.h - functions that make closures of a prototype.
   SPDX-License-Identifier: MIT */
#ifndef CAST_FACTORY_H
#define CAST_FACTORY_H

#include "../../msg.h"
#include "../compat/compat.h"

/* At most so many: what 5.1 allows. Functions with more are loaded. */
#define CAST_FACTORY_UPVALUES 60

/* Pushes a Lua function that returns, at each call, a new closure of the
   function whose bytecode is in b, with `nups` (1 to the maximum) variables of
   its own. False, and nothing pushed: this Lua's bytecode cannot be put
   together that way, or it is not what it should be. May raise. */
bool cast_factory_push(lua_State *L, const cast_bytes *b, int nups);

#endif
