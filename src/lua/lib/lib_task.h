/* lib_task.h - tasks for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_TASK_H
#define CAST_LIB_TASK_H

#include "../state/handle.h"

/* What tasks are in Lua. */
extern const cast_class cast_task_class;

#endif
