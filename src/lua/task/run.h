/* run.h - tasks as coroutines: start, resume, end.
   SPDX-License-Identifier: MIT */
#ifndef CAST_RUN_H
#define CAST_RUN_H

#include "../../context.h"
#include "../../types.h"

/* ops->resume: runs t, and then the tasks that cast_session_turn returns, until
   it returns none. Returns the runner that it has left off with. */
cast_runner *cast_ltask_resume(cast_task *t);

#endif
