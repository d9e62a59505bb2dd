/* slice.h - running a session: slices, deadlines, its beginning and end.
   SPDX-License-Identifier: MIT

   All functions are for the session's owner. A slice ends when nothing is
   ready, or after CAST_SLICE_TASKS resumptions if anything else waits for the
   worker. What is left of it is kept in the session, not on the stack: tasks
   that block in place change stacks within a slice, and would renew it for
   ever. */
#ifndef CAST_SLICE_H
#define CAST_SLICE_H

#include "task.h"

/* All zero before. `ops` stays. One handle reference for the caller; the
   session starts idle (a pool's) or running (a host's). 0, CASTING_ENOMEM. */
int cast_session_init(
  cast_session *s, const cast_session_ops *ops, bool running);

/* Owner: takes the first of the ready list to resume it now, if that is a task
   that wants to be resumed and the slice is not over; else NULL. */
static inline cast_task *cast_session_take(cast_session *s) {
  cast_post *p = s->ready;
  cast_task *t;
  if (p == NULL || p->run != NULL || s->budget == 0) return NULL;
  t = CAST_CONTAINER(p, cast_task, post);
  if (CAST_UNLIKELY(t->stack != NULL)) return NULL;
  cast_session_shift(s);
  s->budget--;
  CAST_ASSERT(t->session == s && !t->finished);
  s->current = t;
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->status, CAST_RUNNING, memory_order_relaxed);
  return t;
}

typedef enum cast_run { CAST_RUN_IDLE, CAST_RUN_AGAIN, CAST_RUN_GONE } cast_run;
typedef struct cast_run_end {
  cast_run how;
  cast_session *session; /* the one that ran last; the caller owns it only
                            after CAST_RUN_AGAIN */
  cast_runner *runner;   /* the one that the caller's C stack is on now */
} cast_run_end;
/* Runs s for a slice on r. The runner may go on with further sessions before
   this returns, see cast_session_follow. */
cast_run_end cast_session_run(cast_session *s, cast_runner *r);

/* What ops->resume does next. */
typedef struct cast_next {
  cast_task *task;     /* resume this one; NULL: return to cast_session_run */
  cast_runner *runner; /* the one that the caller's C stack is on now */
} cast_next;
/* Called by ops->resume when session s has no task to resume. If s has nothing
   else to do and the worker's run-next slot holds another session, s goes idle
   and the runner switches to that session directly: to return to the worker's
   loop instead would cost more than the switch itself (cast_ltask_resume).
   The result names the first task of the current session. If that session has
   to do something else first, or s goes on, there is no task. The current
   session is cast_runner_session(runner): NULL if s was given up, but another
   thread has emptied the slot in the meantime. */
cast_next cast_session_follow(cast_session *s);
static inline cast_next cast_session_turn(cast_session *s) {
  cast_task *t = cast_session_take(s);
  if (t != NULL) return (cast_next){t, s->runner};
  return cast_session_follow(s);
}
/* The thread of a host, outside of its loop. Look: takes in what was pushed or
   is due; is anything ready? Depart: goes idle for as long as the thread does
   other things (`away`); what is ready, or becomes so, is in the inbox then,
   and the host woken. */
bool cast_session_look(cast_session *s);
void cast_session_depart(cast_session *s);
/* Host's sleep: earliest deadline of its own tasks. */
static inline uint64_t cast_session_next(const cast_session *s) {
  return cast_heap_next(&s->deadlines);
}
/* Owner of a host's session, which never closes by itself: closes it. */
void cast_session_end(cast_session *s);

#endif
