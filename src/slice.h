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
  if (CAST_UNLIKELY(t->object.stack != NULL)) return NULL;
  cast_session_shift(s);
  s->budget--;
  CAST_ASSERT(t->session == s && !t->finished);
  s->current = t;
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->status, CAST_RUNNING, memory_order_relaxed);
  return t;
}

typedef enum cast_run { CAST_RUN_IDLE, CAST_RUN_AGAIN, CAST_RUN_GONE } cast_run;
/* Runs *s for a slice on *r, and perhaps others after it, which is what *s is
   at the end; *r is the runner that this ended on. After CAST_RUN_IDLE and
   CAST_RUN_GONE the caller must not touch *s. */
cast_run cast_session_run(cast_session **s, cast_runner **r);
/* Owner of *s, within ops->resume, nothing more to resume in it: if nothing
   else is to be done there either, and another session is to run next, goes on
   with that one, *s then; the first task to resume, if that is what it has to
   do first. Should the other session be gone, *s is NULL; and *r is the runner.
   (To return to cast_session_run and its caller instead would cost more than
   the rest: see cast_ltask_resume.) */
cast_task *cast_session_follow(cast_session **s, cast_runner **r);
static inline cast_task *cast_session_turn(cast_session **s, cast_runner **r) {
  cast_task *t = cast_session_take(*s);
  return t != NULL ? t : cast_session_follow(s, r);
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
