/* coroutine.h - coroutine.resume and wrap that let a task be preempted.
   SPDX-License-Identifier: MIT */
#ifndef CAST_COROUTINE_H
#define CAST_COROUTINE_H

#include "../compat/compat.h"

/* Puts coroutine.resume and wrap of ours in place. Raises. */
void cast_open_coroutine(lua_State *L);

#endif
