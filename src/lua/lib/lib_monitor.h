/* lib_monitor.h - the end of a task as a message.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_MONITOR_H
#define CAST_LIB_MONITOR_H

#include "../compat/compat.h"

/* task:monitor([channel]), internal.watch(task, channel), and
   internal.disown(task). */
int cast_lib_monitor(lua_State *L);
int cast_lib_watch(lua_State *L);
int cast_lib_disown(lua_State *L);

#endif
