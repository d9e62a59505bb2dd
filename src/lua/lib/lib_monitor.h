/* lib_monitor.h - the end of a task as a message.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_MONITOR_H
#define CAST_LIB_MONITOR_H

#include "../compat/compat.h"

/* task:monitor([channel]), and what the library's Lua files use:
   internal.notice(task [, channel, number]), internal.failure_text(task),
   internal.disown(task), internal.own(task). */
int cast_lib_monitor(lua_State *L);
int cast_lib_notice(lua_State *L);
int cast_lib_failure_text(lua_State *L);
int cast_lib_disown(lua_State *L);
int cast_lib_own(lua_State *L);

#endif
