/* task.h - tasks: their start, their end, and blocking in place.
   SPDX-License-Identifier: MIT

   A task belongs to one session for life, and the owner of that session alone
   touches it. Exceptions are its reference count, and its start: any thread may
   make and start a task, which belongs to that thread until then. The struct is
   in types.h; the binding embeds it in its own. */
#ifndef CAST_TASK_H
#define CAST_TASK_H

#include "event.h"

/* *t is all zero before. One reference, for the caller; a started task has
   another one of its own. */
void cast_task_init(cast_task *t, cast_session *s, const cast_type *type);
/* Any thread: gives the task to its session, which will resume it. 0;
   CASTING_ECLOSED, or CASTING_EFULL if the session has tasks_max tasks, or its
   account may have no more: then the task is as after cast_task_init. */
int cast_task_start(cast_task *t, cast_session *self);
/* Owner, at the end of a task: takes it out of the session, wakes the tasks
   that join it, and drops its own reference. */
void cast_task_finish(cast_task *t, cast_status how);
/* Owner: appends the running task to the ready list. */
void cast_task_yield(cast_task *t);
/* Owner: the running task was preempted. It is the next one of its session to
   run, but the slice is over, so other sessions have their turn before. */
void cast_task_preempt(cast_task *t);
/* Owner: marks the task as cancelled, and ends its wait unless
   ops->extended_until puts that off. */
void cast_task_cancel(cast_task *t);
/* Owner, called by the running task when its wait is armed: the task keeps its
   C stack, and the runner goes on with its reserved context. Returns when the
   wait is over, perhaps on another thread. */
void cast_task_block(cast_task *t);
/* Owner: cancels all tasks of the session. It takes no new ones, and closes
   when they have ended. */
void cast_task_cancel_all(cast_session *s);

#endif
