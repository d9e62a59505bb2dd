/* sched.h - which session runs next, and who sleeps.
   SPDX-License-Identifier: MIT

   After Go's scheduler. A *core* is the permit to run sessions: a run queue
   and a run-next slot. A *worker* is an OS thread of the pool; it needs a core
   to run anything. There are at most `limit` cores in use; workers without a
   core sleep. Jobs from outside the pool go into one global queue.
   Invariants:
   1. A core is owned by one worker, or is in the idle list.
   2. If a queue holds a job, then a worker with a core is going to look at it:
      the protocol of sleep and wake (DESIGN, R20 to R29; model sleep.pml).
   3. nspinning counts workers that hold a core, have no job and are looking;
      at most half of the cores in use spin. */
#ifndef CAST_SCHED_H
#define CAST_SCHED_H

#include "context.h"
#include "limits.h"
#include "list.h"
#include "lock.h"
#include "runq.h"

typedef struct cast_core {
  cast_runq queue;
  _Atomic(cast_job *) next; /* (a) the owner's; the monitor may take it */
  _Atomic uint32_t tick;    /* (a) picks so far; the owner writes, relaxed */
  uint32_t streak;          /* (w) picks from `next` in a row */
  uint32_t seen_tick;       /* monitor only */
  cast_job *seen_next;      /* monitor only: compared, never followed */
  struct cast_core *idle;   /* (sched lock) */
} cast_core;

typedef struct cast_worker {
  cast_runner runner;
  cast_core *core;         /* (w); when idle: (sched lock) */
  cast_list link;          /* (sched lock) in the idle workers */
  cast_list all;           /* (sched lock) in all workers */
  cast_list live;          /* (workers lock) among those to be poked */
  _Atomic uint32_t signal; /* (a) 1: go on; what an idle worker sleeps on */
  bool spinning;           /* (w); when idle: (sched lock) */
  uint32_t seed;           /* (w) of the order of stealing */
  os_thread thread;        /* (i) */
  os_context *base;        /* (i) the thread's own stack */
} cast_worker;

/* `start` makes a new worker that owns `core` and spins: 0, CASTING_ENOMEM;
   `rouse` tells the monitor that a core is busy again. */
void cast_sched_init(
  uint32_t n, int (*start)(cast_core *core), void (*rouse)(void));
void cast_sched_fini(void);
/* How many cores may be in use at once, 1 .. CAST_CORES_MAX. */
void cast_sched_limit(uint32_t n);
/* Every worker ends once it has nothing to do. */
void cast_sched_stop(void);
bool cast_sched_stopping(void);
/* Starts the first worker if there is none: 0 or CASTING_ENOMEM. */
int cast_sched_first(void);

/* Queues a job. `w` is the calling thread's worker, or NULL. */
void cast_sched_ready(cast_worker *w, cast_job *job);
/* Puts the job that w has just run at the back. */
void cast_sched_again(cast_worker *w, cast_job *job);
/* Does anything wait for w's core? A hint. */
bool cast_sched_backlog(cast_worker *w);
/* The next job for w, after sleeping if need be. NULL: stop. */
cast_job *cast_sched_find(cast_worker *w);
/* Workers that have a core now. A moment's truth. */
uint32_t cast_sched_busy(void);
/* Monitor: frees jobs that wait in a run-next slot while cores are idle.
   True if it found any. */
bool cast_sched_rescue(void);
/* A new worker that cannot even begin gives its core back. */
void cast_sched_quit(cast_worker *w);
/* A worker comes and goes; the list is for the runtime. */
void cast_sched_enlist(cast_worker *w);
void cast_sched_delist(cast_worker *w);
uint32_t cast_sched_workers(void);

#endif
