/* lib_semaphore.h - semaphores for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SEMAPHORE_H
#define CAST_LIB_SEMAPHORE_H

#include "../state/handle.h"

/* What semaphores, and permits of them, are in Lua. */
extern const cast_class cast_semaphore_class;
extern const cast_class cast_permit_class;
/* A method that is written in Lua. */
int cast_semaphore_with(lua_State *L);

#endif
