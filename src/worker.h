/* worker.h - the OS threads of the pool.
   SPDX-License-Identifier: MIT */
#ifndef CAST_WORKER_H
#define CAST_WORKER_H

#include "sched.h"

void cast_workers_init(void);
/* Starts a worker that owns `core` and spins: 0 or CASTING_ENOMEM. */
int cast_worker_start(cast_core *core);
/* The worker whose session `self` is being run by this thread, or NULL. */
struct cast_session;
cast_worker *cast_worker_of(const struct cast_session *self);
/* If a worker runs s now (NULL: any session), has ops->preempt called for the
   session that it runs, in its thread, as a signal handler is. For tasks that
   compute on. */
void cast_workers_preempt(const struct cast_session *s);
/* The thread's entry in the table of those that can be signalled: from which a
   preempt signal's handler finds the runner. NULL when the table is full: that
   thread is not signalled. Given back by whom it may be, while no session is
   served. */
typedef struct cast_slot cast_slot;
cast_slot *cast_slot_take(cast_runner *r);
void cast_slot_give(cast_slot *s);
/* In the child of a fork: what it executes next inherits the signals that
   programs of the session do which has forked. */
void cast_workers_forked(void);
/* Sysmon: looks after slices that do not end. A thread that sleeps in foreign
   code loses its permit; a session that computes on while others wait is
   signalled, and at last loses its permit as well. True if others were woken.
   *next is lowered to when somebody's slice will be over. */
bool cast_workers_check(uint64_t now, uint64_t *next);
/* Joins the workers that have ended; after cast_sched_stop all of them, at
   most until the deadline: false if some are still stuck in a session. */
bool cast_workers_join(uint64_t deadline_ns);

#endif
