/* core.h - cores: run queues, and the permits to run; the global queue.
   SPDX-License-Identifier: MIT

   A *core* is what a worker runs sessions from: a run queue and a run-next
   slot. With it goes, as a rule, a *permit*: there are as many as sessions may
   run at once. A worker that is stuck in a slice (foreign C code that blocks,
   or computes and cannot be interrupted) loses its permit: another worker goes
   on with another core, and the stuck one keeps its own, empty and marked, so
   that nobody ever touches a queue of which it believes to be the owner.

   Locks: everything named _locked, under the scheduler's (sched.c).
   Invariants:
   1. A core is owned by one worker, or is in the idle list.
   2. busy = number of cores with a permit <= limit, but for the moments after
      the limit was lowered; spare = limit - busy.
   3. A core's slot is LOST exactly while it has no permit. So a job is put
      into the slot of a core with a permit only, and who takes the permit away
      takes the job out with the same exchange.
   4. An idle core's queue and slot are empty. */
#ifndef CAST_CORE_H
#define CAST_CORE_H

#include "limits.h"
#include "lock.h"
#include "runq.h"

/* What a slot holds when its core has no permit. Never followed. */
#define CAST_CORE_LOST ((cast_job *)(uintptr_t)1)

typedef struct cast_core {
  cast_runq queue;
  /* (a) run-next: filled by the owner, emptied by anybody; or LOST. */
  _Atomic(cast_job *) next;
  uint32_t streak;        /* (w) picks from `next` in a row */
  bool permit;            /* (sched lock) */
  struct cast_core *idle; /* (sched lock) */
} cast_core;

void cast_cores_init(uint32_t limit);

/* -- permits -------------------------------------------------------------- */

/* A core with a permit, empty. NULL: no permit is left. */
cast_core *cast_core_take_locked(void);
/* Back into the idle list, with its permit if it has one. */
void cast_core_give_locked(cast_core *c);
/* Takes c's permit away; its jobs go to the global queue. Also when it has
   none any more, should jobs have got there since. */
void cast_core_lose_locked(cast_core *c);
/* A permit for a core without. False: none is left. */
bool cast_core_regain_locked(cast_core *c);
void cast_cores_limit_locked(uint32_t limit);

/* Under the lock exact, else a moment's truth. */
uint32_t cast_cores_busy(void);
/* Permits left, below zero after the limit was lowered. seq_cst (PAIR sleep);
   the hint is a relaxed read. */
int32_t cast_cores_spare(void);
int32_t cast_cores_spare_hint(void);

static inline bool cast_core_is_lost(cast_core *c) {
  /* Relaxed: the owner looks again at each pick. */
  return atomic_load_explicit(&c->next, memory_order_relaxed) == CAST_CORE_LOST;
}

/* -- the run-next slot ---------------------------------------------------- */

/* Owner: false if the core is LOST; else job is in the slot, and *old is what
   was there before, or NULL. */
static inline bool cast_core_put(cast_core *c, cast_job *job, cast_job **old) {
  *old = atomic_load_explicit(&c->next, memory_order_relaxed);
  do {
    if (*old == CAST_CORE_LOST) return false;
    /* PAIR next: release the job to whoever else may take it. */
  } while (!atomic_compare_exchange_weak_explicit(
    &c->next, old, job, memory_order_acq_rel, memory_order_relaxed));
  return true;
}

/* Any thread: takes the job out. NULL: none, or LOST. */
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

void cast_global_push_locked(cast_job *first, cast_job *last, uint32_t n);
/* Takes one job, and a fair share of the rest into c's queue. */
cast_job *cast_global_pop_locked(cast_core *c);
/* Is anything in it? Relaxed: a hint. */
bool cast_global_has_jobs(void);

/* -- all queues ----------------------------------------------------------- */

/* Is there a job in any queue? seq_cst reads (PAIR sleep). Slots do not count:
   those are their workers' business, and sysmon's. */
bool cast_cores_have_work(void);
/* Half of another core's queue goes into mine (which is empty), but for its
   oldest job, which is returned; NULL when there is none. */
cast_job *cast_cores_steal(cast_core *mine, uint32_t *seed);

#endif
