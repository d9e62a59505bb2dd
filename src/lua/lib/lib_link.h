/* lib_link.h - tasks that share their fate.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_LINK_H
#define CAST_LIB_LINK_H

#include "../compat/compat.h"

/* task:link([other]), task:unlink([other]), and internal.follow(task [,
   other]): the task is cancelled when the other, or the caller, fails, and not
   the other way. */
int cast_lib_link(lua_State *L);
int cast_lib_follow(lua_State *L);
int cast_lib_unlink(lua_State *L);

#endif
