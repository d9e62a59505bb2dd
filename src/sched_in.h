/* sched_in.h - what the scheduler's three files share, and nobody else.
   SPDX-License-Identifier: MIT

   sched.c queues jobs and wakes workers, idle.c finds jobs and has workers
   sleep, keeper.c does both for threads with one session each. Locks:
   CAST_RANK_SCHED for the lists and numbers of workers, and for cores, permits
   and the global queue (core.c). */
#ifndef CAST_SCHED_IN_H
#define CAST_SCHED_IN_H

#include "sched.h"

typedef struct cast_sched_state {
  cast_lock lock;
  cast_list idle_workers;     /* (lock) the one that fell asleep last first */
  cast_list workers;          /* (lock) all workers */
  uint32_t nworkers;          /* (lock) their number */
  uint32_t nretiring;         /* (lock) how many of them are about to end */
  uint32_t min;               /* (lock) how many stay when they are idle */
  uint32_t max;               /* (lock) how many there may be */
  bool stopping;              /* (lock) all workers end when they are idle */
  bool retry_due;             /* (lock) a thread could not be started (R26) */
  _Atomic uint32_t nspinning; /* (a) workers that look for work */
  uint32_t nkeepers;          /* (lock) keepers there are (keeper.h) */
  uint32_t nawake;            /* (lock) those that are not at rest */
  _Atomic uint32_t nkeeping;  /* (a) those of them for which sysmon is awake;
                                 written under the lock */
  int (*start)(cast_core *);  /* (i) starts a worker, see cast_sched_init */
  void (*wake_sysmon)(void);  /* (i) wakes sysmon from its deep sleep */
} cast_sched_state;

extern cast_sched_state cast_sched;

/* A worker does not look for work any more, so it does not count as one that
   others may rely on. */
void cast_sched_stop_spinning(void);
/* Queues a job for all, and wakes a worker. */
void cast_sched_submit_global(cast_job *job);
/* Owner of c: pushes to its own queue, of which half goes to the global one if
   it is full, and wakes a worker. */
void cast_sched_submit_local(cast_core *c, cast_job *job);

#endif
