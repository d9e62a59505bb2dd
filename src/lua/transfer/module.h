/* module.h - the table that require "casting" returns.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MODULE_H
#define CAST_MODULE_H

#include "../compat/compat.h"

/* Makes the module, unless that was done, and puts it into package.loaded. Both
   may raise. */
void cast_module_need(lua_State *L);
/* The same, and pushes it. */
void cast_module_push(lua_State *L);

#endif
