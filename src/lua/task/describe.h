/* describe.h - what is said of the error of a task.
   SPDX-License-Identifier: MIT */
#ifndef CAST_DESCRIBE_H
#define CAST_DESCRIBE_H

#include "../compat/compat.h"
#include "outcome.h"

/* Calls __tostring of the error on the top of the failed coroutine, if it has
   one, for e->error. Code of the program runs, as the task, and may wait. */
void cast_describe_error(cast_ending *e);
/* Protected: writes down text and traceback of that error, into e. May be
   called again after an error. */
void cast_describe_failure(lua_State *L, cast_ending *e);

#endif
