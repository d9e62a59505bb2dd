/* functions.h - the functions of casting.h, for modules that ask for them.
   SPDX-License-Identifier: MIT

   See include/casting_import.h. */
#ifndef CAST_FUNCTIONS_H
#define CAST_FUNCTIONS_H

#include "../compat/compat.h"

/* So that modules find them in the state. May raise: no memory. */
void cast_functions_open(lua_State *L);

#endif
