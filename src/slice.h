/* slice.h - running a session: slices, deadlines, its beginning and end.
   SPDX-License-Identifier: MIT

   All functions are for the owner of the session. A slice is what a session
   does between being taken out of a run queue and being put back or going idle.
   It ends when nothing is ready, or after CAST_SLICE_TASKS resumptions (and
   other posts) if another session waits for the worker; if none does, the
   session looks at its inbox and its deadlines then, and goes on. Resumptions
   may be long, so it is earlier when sysmon finds that the slice lasts, when a
   task yields while others wait for a time (CAST_YIELDS_MOST), and when one
   that has done much takes a turn (cast_wait_turn). What is left of
   them is counted in the session, not on the C stack: a task that blocks in
   place changes stacks within a slice, and would otherwise begin a new one each
   time. */
#ifndef CAST_SLICE_H
#define CAST_SLICE_H

#include "task.h"

/* *s is all zero before; `ops` must stay valid. The caller gets a strong
   reference. The session is running (a host's), or idle (one of the pool).
   0 or CASTING_ENOMEM. */
int cast_session_init(
  cast_session *s, const cast_session_ops *ops, bool running);

/* Owner: the slice is over after the task that runs next. */
void cast_session_hurry(cast_session *s);

/* Owner: if the slice is not over and the first post of the ready list is a
   task that can be resumed, takes it out, and it is the running task. Otherwise
   NULL: the list is empty, or cast_session_run must serve the first post
   itself. */
static inline cast_task *cast_session_take(cast_session *s) {
  cast_post *p = s->ready;
  cast_task *t;
  if (p == NULL || p->run != NULL || s->budget == 0) return NULL;
  t = CAST_CONTAINER(p, cast_task, post);
  if (CAST_UNLIKELY(t->stack != NULL)) return NULL;
  cast_session_shift(s);
  s->budget--;
  if (CAST_UNLIKELY(
        atomic_load_explicit(&s->runner->look, memory_order_relaxed)))
    cast_session_hurry(s);
  CAST_ASSERT(t->session == s && !t->finished);
  s->current = t;
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->status, CAST_RUNNING, memory_order_relaxed);
  return t;
}

/* How a run has ended: IDLE, the session has gone idle; AGAIN, its slice is
   over and the caller must queue it; GONE, it has closed, and may be freed. */
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
/* For the thread of a host, outside of its loop: takes in what was pushed, and
   ends waits whose deadline has passed. Is a post ready? */
bool cast_session_look(cast_session *s);
/* The same thread is about to do other things for a while: the session goes
   idle and `away`. Posts that are ready are pushed into its inbox, so the
   host's event is set. */
void cast_session_depart(cast_session *s);
/* The earliest deadline of its tasks: how long a host may sleep. */
static inline uint64_t cast_session_next(const cast_session *s) {
  return cast_heap_next(&s->deadlines);
}
/* Closes the session, which has no task and takes none. For owners of a host's
   session, which never closes by itself. */
void cast_session_end(cast_session *s);

#endif
