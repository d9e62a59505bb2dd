/* lib_monitor.h - the end of a task as a message.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_MONITOR_H
#define CAST_LIB_MONITOR_H

#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/ltask.h"

/* task:monitor([channel]), and what the library's Lua files use:
   internal.notice(task [, channel, number]), internal.failure_text(task),
   internal.disown(task), internal.own(task). */
/* *m = the message of a monitor that names its task: the handle, and the
   outcome. False: out of memory. */
bool cast_monitor_message(cast_msg *m, cast_ltask *t);

int cast_lib_monitor(lua_State *L);
int cast_lib_notice(lua_State *L);
int cast_lib_failure_text(lua_State *L);
int cast_lib_disown(lua_State *L);
int cast_lib_own(lua_State *L);

#endif
