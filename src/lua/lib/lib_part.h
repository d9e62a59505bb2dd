/* lib_part.h - the parts of the module: casting.net, casting.process.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_PART_H
#define CAST_LIB_PART_H

#include "../compat/compat.h"

/* The module's table is on the top: its fields that are parts will be made when
   they are first read. Raises. */
void cast_lib_parts_open(lua_State *L);
/* Pushes the part "casting.X", which is one of cast_lib_parts. Raises. */
void cast_lib_part_push(lua_State *L, const char *name);

#endif
