/* task.h - tasks: their start, their end, and blocking in place.
   SPDX-License-Identifier: MIT

   A task belongs to one session for life and is touched by its owner, but for
   reference counting and for starting it (any thread, before the session has
   seen it). The binding embeds cast_task in its own struct. */
#ifndef CAST_TASK_H
#define CAST_TASK_H

#include "event.h"

/* `t` all zero before; one reference for its caller besides its own. */
void cast_task_init(cast_task *t, cast_session *s, const cast_type *type);
/* Any thread: the session takes the task and will resume it. 0, or
   CASTING_ECLOSED, CASTING_EFULL (it has tasks_max): then the task is as after
   cast_task_init. */
int cast_task_start(cast_task *t, cast_session *self);
/* Owner, at the end of a task: leaves the session, tells the joiners, drops
   the task's own reference. */
void cast_task_finish(cast_task *t, cast_status how);
/* Owner: lets the task go to the back of the ready list. */
void cast_task_yield(cast_task *t);
/* Owner: the task was interrupted. It goes on first, but not before others
   than its session had their turn. */
void cast_task_preempt(cast_task *t);
/* Owner: sets the task's cancelled flag and ends its wait, unless
   ops->extended_until puts that off. */
void cast_task_cancel(cast_task *t);
/* Owner, the task runs: keeps its C stack until its wait is over. The runner
   has a reserved context. */
void cast_task_block(cast_task *t);
/* Owner: cancels every task of the session, which takes no more and closes
   once they have ended. */
void cast_task_cancel_all(cast_session *s);

#endif
