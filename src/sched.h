/* sched.h - which session runs next, and who sleeps.
   SPDX-License-Identifier: MIT

   After Go's scheduler. A *worker* is an OS thread of the pool; it runs
   sessions with a *core* and its permit (core.h). Workers without a core
   sleep; those that have slept for CAST_RETIRE_MS, and are more than the
   minimum, end. Jobs from outside the pool go into one global queue.
   Invariants:
   1. A worker that sleeps has no core; one that looks for a job has a core and
      a permit; one that runs a session has a core, and a permit unless it was
      taken away from it during that slice.
   2. If a queue holds a job, then a worker with a permit is going to look at
      it: the protocol of sleep and wake (DESIGN, R20 to R35; model sleep.pml).
   3. nspinning counts workers that have no job and are looking; at most half
      of the permits in use spin. */
#ifndef CAST_SCHED_H
#define CAST_SCHED_H

#include "context.h"
#include "core.h"
#include "list.h"

typedef struct cast_worker {
  cast_runner runner;
  cast_core *core;         /* (w), changed under the sched lock */
  cast_list link;          /* (sched lock) in the idle workers */
  cast_list all;           /* (sched lock) in all workers */
  cast_list live;          /* (workers lock) among those to be signalled */
  _Atomic uint32_t signal; /* (a) 1: go on; what an idle worker sleeps on */
  _Atomic uint32_t tick;   /* (a) jobs found so far; only w writes, relaxed */
  bool spinning;           /* (w); when idle: (sched lock) */
  bool retiring;           /* (sched lock) ends, and counts no more */
  uint32_t seed;           /* (w) of the order of stealing */
  os_thread thread;        /* (i) */
  os_context *base;        /* (i) the thread's own stack */
  uint32_t seen_tick;      /* sysmon: what it was at ... */
  uint64_t since_ns;       /* sysmon: ... when it was first seen */
  uint64_t cpu_ns;         /* sysmon: the thread's processor time at ... */
  uint64_t cpu_at_ns;      /* sysmon: ... its last look */
} cast_worker;

/* `start` makes a new worker that owns `core` and spins: 0, CASTING_ENOMEM;
   `wake_sysmon` tells sysmon that a permit is in use again. */
void cast_sched_init(
  uint32_t n, int (*start)(cast_core *core), void (*wake_sysmon)(void));
void cast_sched_fini(void);
/* How many permits there are, 1 .. CAST_WORKERS_MAX. */
void cast_sched_limit(uint32_t n);
/* Workers that never end, and that there may be at most. */
void cast_sched_bounds(uint32_t min, uint32_t max);
/* Every worker ends once it has nothing to do. */
void cast_sched_stop(void);
/* Starts the first worker if there is none: 0 or CASTING_ENOMEM. */
int cast_sched_first(void);

/* Queues a job. `w` is the calling thread's worker, or NULL. */
void cast_sched_ready(cast_worker *w, cast_job *job);
/* Puts the job that w has just run at the back. */
void cast_sched_again(cast_worker *w, cast_job *job);
/* Does anything wait for w's core? A hint. */
bool cast_sched_has_backlog(cast_worker *w);
/* Is what cast_sched_find would return now the job in w's run-next slot? Then
   follow takes it out; NULL if it has been taken from there meanwhile. */
bool cast_sched_can_follow(cast_worker *w);
cast_job *cast_sched_follow(cast_worker *w);
/* The next job for w, after sleeping if need be. NULL: stop. */
cast_job *cast_sched_find(cast_worker *w);
/* Permits in use now. A moment's truth. */
uint32_t cast_sched_busy(void);
/* A new worker that cannot even begin gives its core back. */
void cast_sched_quit(cast_worker *w);

/* -- slices that do not end ----------------------------------------------- */

typedef enum cast_view {
  CAST_VIEW_CALM,   /* nobody waits for w, or w is asleep */
  CAST_VIEW_SPARE,  /* jobs wait behind w while permits are left */
  CAST_VIEW_CROWDED /* jobs wait, and all permits are in use */
} cast_view;
/* Sysmon, of a worker that has been in one slice for a while. *lost: it has
   no permit any more. */
cast_view cast_sched_view(cast_worker *w, bool *lost);
/* Sysmon: the job in w's run-next slot is for others to take. */
void cast_sched_release_next(cast_worker *w);
/* Takes w's permit away if it is still in the slice with that tick, and if
   another thread is to be had: by sysmon; or by w itself, about to block.
   True: cast_sched_wake is due. */
bool cast_sched_retake(cast_worker *w, uint32_t tick);
static inline uint32_t cast_sched_tick(cast_worker *w) {
  /* Relaxed: a hint, but for w itself, which writes it. */
  return atomic_load_explicit(&w->tick, memory_order_relaxed);
}
/* With no lock held, after release_next and retake. */
void cast_sched_wake(void);
/* Jobs wait that nobody was found for: sysmon must stay awake. */
bool cast_sched_has_waiting(void);
/* Sysmon: jobs wait for a thread that could not be started: cast_sched_wake
   is due, once for each such attempt. */
bool cast_sched_take_retry(void);
/* All workers rest, with a permit or without, and no job is queued. */
bool cast_sched_is_quiet(void);
/* Sysmon is to look, should it sleep. */
void cast_sched_wake_sysmon(void);

/* A worker comes and goes. False: there are as many as there may be, or the
   pool stops: whoever waits for the last one must not miss it. */
bool cast_sched_enlist(cast_worker *w);
void cast_sched_delist(cast_worker *w);
uint32_t cast_sched_workers(void);

#endif
