/* core.h - cores: run queues, and the permits to run; the global queue.
   SPDX-License-Identifier: MIT

   A worker needs a *core* to run sessions: a run queue and a run-next slot. A
   core usually has a *permit*; there are as many permits as sessions may run at
   once. (Go's P is a core with its permit.) A worker that is stuck in a slice
   (in C code that blocks, or that computes and cannot be interrupted) loses its
   permit, and another worker goes on with another core. The stuck worker keeps
   its core, empty and marked as lost, because it believes that it owns the
   queue: nobody else may push to it.

   Owner: the worker that has the core; an idle core belongs to the lock. Locks:
   functions named _locked are called under the scheduler's (sched.c).
   Invariants:
   1. A core is owned by one worker, or is in the idle list.
   2. busy = number of cores with a permit <= limit, except just after the limit
      was lowered; spare = limit - busy.
   3. The slot of a core is LOST exactly while the core has no permit. So a job
      can only be put into the slot of a core with a permit, and the exchange
      that takes the permit away takes the job out as well.
   4. The queue and the slot of an idle core are empty. */
#ifndef CAST_CORE_H
#define CAST_CORE_H

#include "limits.h"
#include "lock.h"
#include "runq.h"

/* The value of the slot of a core without a permit. Never dereferenced. */
#define CAST_CORE_LOST ((cast_job *)(uintptr_t)1)

typedef struct cast_core {
  cast_runq queue; /* its run queue (runq.h) */
  /* (a) The run-next slot: filled by the owner, emptied by any thread. A job,
     NULL, or CAST_CORE_LOST. */
  _Atomic(cast_job *) next;
  uint32_t streak;        /* (w) jobs taken from `next` in a row */
  bool permit;            /* (sched lock) it may run sessions */
  struct cast_core *idle; /* (sched lock) the next one in the idle list */
} cast_core;

/* `limit`: the number of permits. */
void cast_cores_init(uint32_t limit);

/* -- permits -------------------------------------------------------------- */

/* Takes an idle core and a permit for it; NULL if no permit is left. */
cast_core *cast_core_take_locked(void);
/* Puts a core into the idle list and its permit, if any, back. */
void cast_core_give_locked(cast_core *c);
/* Takes c's permit away, if it has one, and moves its jobs to the global
   queue. */
void cast_core_lose_locked(cast_core *c);
/* Gives a core without a permit a new one; false if none is left. */
bool cast_core_regain_locked(cast_core *c);
/* Changes the number of permits. */
void cast_cores_limit_locked(uint32_t limit);

/* Permits in use. Exact under the lock; else the value may be stale as soon as
   it is read. */
uint32_t cast_cores_busy(void);
/* Permits left; below zero just after the limit was lowered. A seq_cst read
   (PAIR sleep); the hint is a relaxed one. */
int32_t cast_cores_spare(void);
int32_t cast_cores_spare_hint(void);

/* Owner: has the core lost its permit? */
static inline bool cast_core_is_lost(cast_core *c) {
  /* Relaxed: the owner looks again before it takes the next job. */
  return atomic_load_explicit(&c->next, memory_order_relaxed) == CAST_CORE_LOST;
}

/* -- the run-next slot ---------------------------------------------------- */

/* Owner: puts a job into the slot; *old is the job that was there before, or
   NULL. False if the core has no permit; then nothing is done. */
static inline bool cast_core_put(cast_core *c, cast_job *job, cast_job **old) {
  *old = atomic_load_explicit(&c->next, memory_order_relaxed);
  do {
    if (*old == CAST_CORE_LOST) return false;
    /* PAIR next: release the job to another thread that may take it. */
  } while (!atomic_compare_exchange_weak_explicit(
    &c->next, old, job, memory_order_acq_rel, memory_order_relaxed));
  return true;
}

/* Any thread: takes the job out of the slot; NULL if there is none. */
static inline cast_job *cast_core_pull(cast_core *c) {
  cast_job *job = atomic_load_explicit(&c->next, memory_order_relaxed);
  while (job != NULL && job != CAST_CORE_LOST)
    /* PAIR next: acquire the job from its worker. */
    if (atomic_compare_exchange_weak_explicit(
          &c->next, &job, NULL, memory_order_acq_rel, memory_order_relaxed))
      return job;
  return NULL;
}

/* -- the global queue: FIFO ----------------------------------------------- */

/* Appends a chain of n jobs. */
void cast_global_push_locked(cast_job *first, cast_job *last, uint32_t n);
/* Takes the oldest job out, and moves a fair share of the others to c's queue.
   NULL if the queue is empty. */
cast_job *cast_global_pop_locked(cast_core *c);
/* Is it not empty? A relaxed read: a hint. */
bool cast_global_has_jobs(void);

/* -- all queues ----------------------------------------------------------- */

/* Is there a job in any queue? seq_cst reads (PAIR sleep). Run-next slots do
   not count: their workers take those jobs, or sysmon releases them. */
bool cast_cores_have_work(void);
/* Steals half of another core's queue: returns its oldest job and moves the
   others to mine, which is empty. NULL if all queues are empty. *seed is the
   state of the generator that chooses where to begin. */
cast_job *cast_cores_steal(cast_core *mine, uint32_t *seed);

#endif
