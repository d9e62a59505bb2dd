/* worker.h - the OS threads of the pool.
   SPDX-License-Identifier: MIT

   A worker's thread finds a session, runs it, and finds the next (sched.h says
   which). Lock: CAST_RANK_WORKERS, for the threads that may be signalled and
   looked at, and for those that have ended. It keeps a worker's thread and
   memory valid while another thread uses them. */
#ifndef CAST_WORKER_H
#define CAST_WORKER_H

#include "sched.h"

void cast_workers_init(void);
/* Starts a worker that owns `core` and spins: 0 or CASTING_ENOMEM. */
int cast_worker_start(cast_core *core);
/* Starts a keeper for s, which nobody else has seen yet, and notes it in
   s->keeper: 0; CASTING_ENOMEM; CASTING_EFULL: there are as many as there may
   be, or the runtime stops; OS_ENOMEM: no thread can be started. */
struct cast_session;
int cast_worker_keep(struct cast_session *s);
/* The worker of the calling thread, which runs session `self`; NULL if that
   thread is a host's, or if `self` is NULL. */
cast_worker *cast_worker_of(const struct cast_session *self);
/* Sends a preempt signal to the worker that runs s now (NULL: to all workers).
   Its thread calls ops->preempt for the session that it runs, as a signal
   handler. For tasks that compute and must be interrupted. */
void cast_workers_preempt(const struct cast_session *s);
/* A slot is the entry of a thread in a table in which the handler of a preempt
   signal finds the thread's runner. `take` is called by the thread; NULL when
   the table is full: then the handler does nothing in that thread. `give` may
   be called by any thread, while the thread runs no task. */
typedef struct cast_slot cast_slot;
cast_slot *cast_slot_take(cast_runner *r);
void cast_slot_give(cast_slot *s);
/* In the child of a fork: programs that it executes inherit the same signals as
   programs started by the session that has forked. */
void cast_workers_forked(void);
/* Sysmon: looks at slices that do not end. A worker whose thread sleeps in
   foreign code loses its permit. A session that computes while others wait gets
   a preempt signal; if that does not help, its worker loses the permit, too.
   True if another worker was given work. *next is lowered to the time at which
   a slice that was looked at is over. */
bool cast_workers_check(uint64_t now, uint64_t *next);
/* Joins the workers that have ended. After cast_sched_stop it waits for all of
   them, until the deadline at most: false if some are stuck in a session. */
bool cast_workers_join(uint64_t deadline_ns);

#endif
