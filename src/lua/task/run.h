/* run.h - tasks as coroutines: start, resume, end.
   SPDX-License-Identifier: MIT */
#ifndef CAST_RUN_H
#define CAST_RUN_H

#include "../../context.h"
#include "../../types.h"

/* ops->resume: runs t, and then what cast_session_turn returns, until that is
   NULL. Returns the session that it has left off with. */
cast_session *cast_ltask_resume(cast_session *s, cast_task *t, cast_runner **r);

#endif
