/* sched.h - which session runs next, and who sleeps.
   SPDX-License-Identifier: MIT

   After Go's scheduler. A *worker* is an OS thread of the pool; it runs
   sessions with a *core* and its permit (core.h). Workers without a core sleep;
   those above the minimum number end after CAST_RETIRE_MS of sleep. Jobs from
   outside the pool go into one global queue. Invariants:
   1. A sleeping worker has no core. A worker that looks for a job has a core
      and a permit. A worker that runs a session has a core, and a permit unless
      that was taken away during the slice.
   2. If a queue has a job, a worker with a permit is going to look at it: this
      is what the protocol of sleep and wake ensures (sched.c; DESIGN, R20 to
      R35; model sleep.pml).
   3. nspinning counts the workers that have no job and look for one. At most
      half as many workers spin as permits are in use. */
#ifndef CAST_SCHED_H
#define CAST_SCHED_H

#include "context.h"
#include "core.h"
#include "io/poller.h"
#include "list.h"

/* Of cast_worker.signal. CALL and QUIT: of a keeper (keeper.c). */
enum { CAST_GO_ON = 1, CAST_POLLS = 2, CAST_CALL = 3, CAST_QUIT = 4 };

typedef struct cast_worker {
  cast_runner runner;      /* what it runs sessions with */
  cast_core *core;         /* (w) or NULL; changed under the sched lock */
  cast_list link;          /* (sched lock) in the list of idle workers; when it
                              has ended (workers lock) in the list of these */
  cast_list all;           /* (sched lock) in the list of all workers */
  cast_list live;          /* (workers lock) among threads to be signalled */
  _Atomic uint32_t signal; /* (a) what an idle worker sleeps on: 0; CAST_GO_ON;
                              CAST_POLLS: it sleeps in the poller instead */
  _Atomic uint32_t tick;   /* (a) jobs found so far; only w writes, relaxed */
  bool spinning;           /* (w) counted in nspinning; idle: (sched lock) */
  bool retiring;           /* (sched lock) it ends, and counts no more */
  uint32_t seed;           /* (w) of the order in which it steals */
  os_thread thread;        /* (i) */
  os_context *base;        /* (i) the thread's own stack */
  uint32_t seen_tick;      /* (sysmon) the tick at its last look, ... */
  uint64_t since_ns;       /* (sysmon) ... when it first saw that tick, ... */
  uint64_t cpu_ns;         /* (sysmon) ... the thread's processor time ... */
  uint64_t cpu_at_ns;      /* (sysmon) ... and when that was read */
  /* Of a keeper only (keeper.h), which has no core and is in neither of the
     first two lists. */
  struct cast_session *session; /* (i) the one that it keeps; else NULL */
  _Atomic uint32_t counted; /* (a) 1: sysmon is awake for it; (sched lock) */
  uint32_t awake;           /* (sched lock) 0: it rests; see keeper.c */
  void (*call)(void *arg);  /* the maker's, until it is answered: a function */
  void *call_arg;           /* ... to be called, and its argument */
  _Atomic uint32_t answer;  /* (a) what the maker sleeps on meanwhile */
  uint64_t again_ns;        /* (sysmon) when it may send a signal again */
} cast_worker;

/* n permits. start(core) makes a new worker that owns `core` and spins: 0 or
   CASTING_ENOMEM. wake_sysmon() wakes sysmon, as a permit is in use again. */
void cast_sched_init(
  uint32_t n, int (*start)(cast_core *core), void (*wake_sysmon)(void));
void cast_sched_fini(void);
/* Changes the number of permits, 1 to CAST_WORKERS_MAX. */
void cast_sched_limit(uint32_t n);
/* How many workers stay when they are idle, and how many there may be. */
void cast_sched_bounds(uint32_t min, uint32_t max);
/* Makes every worker end once it has nothing to do. */
void cast_sched_stop(void);
/* Starts the first worker if there is none: 0 or CASTING_ENOMEM. */
int cast_sched_first(void);

/* Queues a job. `w` is the calling thread's worker, or NULL. */
void cast_sched_ready(cast_worker *w, cast_job *job);
/* Queues the job that w has just run, behind all others. */
void cast_sched_again(cast_worker *w, cast_job *job);
/* Does another job wait for w's core? A hint. */
bool cast_sched_has_backlog(cast_worker *w);
/* Would cast_sched_find return the job in w's run-next slot now? */
bool cast_sched_can_follow(cast_worker *w);
/* After that: takes the job out of the slot. NULL if another thread has done so
   meanwhile. */
cast_job *cast_sched_follow(cast_worker *w);
/* Finds the next job for w, which sleeps until there is one. NULL: w must
   end. */
cast_job *cast_sched_find(cast_worker *w);
/* Permits in use, and keepers that run. The value may be stale as soon as it is
   read. */
uint32_t cast_sched_busy(void);
/* For a new worker whose thread has no memory to begin: gives its core back. */
void cast_sched_quit(cast_worker *w);

/* -- slices that do not end ----------------------------------------------- */

typedef enum cast_view {
  CAST_VIEW_CALM,   /* no job waits for w's core, or w is idle */
  CAST_VIEW_SPARE,  /* jobs wait for it, although permits are left */
  CAST_VIEW_CROWDED /* jobs wait for it, and all permits are in use */
} cast_view;
/* Sysmon: looks at a worker that has been in one slice for a while. *lost: it
   has no permit any more. */
cast_view cast_sched_view(cast_worker *w, bool *lost);
/* Sysmon: releases the job in w's run-next slot to the global queue, so that
   another worker can take it. */
void cast_sched_release_next(cast_worker *w);
/* Takes w's permit away if w is still in the slice with that tick, and if
   another thread can go on with the permit. Called by sysmon, and by w
   itself before it blocks. True: the caller must call cast_sched_wake. */
bool cast_sched_retake(cast_worker *w, uint32_t tick);
/* The number of jobs that w has found so far: it names a slice. */
static inline uint32_t cast_sched_tick(cast_worker *w) {
  /* Relaxed: exact for w itself, which writes it; a hint for others. */
  return atomic_load_explicit(&w->tick, memory_order_relaxed);
}
/* Makes one more worker look for work, if a permit is left and no worker is
   looking already. With no lock held, also after release_next and retake. */
void cast_sched_wake(void);
/* Do jobs wait for which no worker was found? Then sysmon must stay
   awake. */
bool cast_sched_has_waiting(void);
/* Sysmon: do jobs wait for a thread that could not be started? True once for
   each such attempt: the caller must call cast_sched_wake. */
bool cast_sched_take_retry(void);
/* -- descriptors (io/poller.h) -------------------------------------------- */

/* Queues what the poller has given, with no lock held; `w` as above. */
void cast_sched_take_jobs(cast_worker *w, cast_jobs *jobs);
/* Sysmon, at each tick: looks, if nobody has since the last call. */
void cast_sched_look(void);
/* If descriptors are waited for in the pool and nobody looks: wakes a worker,
   or starts one, which then does. False: nobody was to be had; sysmon must
   stay awake. */
bool cast_sched_cover(void);
/* A host that does not sleep, with its session s: looks without waiting. */
struct cast_session;
void cast_sched_look_as_host(struct cast_session *s);

/* Are all workers idle, with a permit or without, all keepers at rest, and all
   queues empty? */
bool cast_sched_is_quiet(void);
/* Wakes sysmon from its deep sleep. */
void cast_sched_wake_sysmon(void);

/* Counts a new worker. False if there are as many as there may be, or if the
   pool stops: the thread that waits for the last worker must not miss one. */
bool cast_sched_enlist(cast_worker *w);
/* Counts a worker that ends no more. */
void cast_sched_delist(cast_worker *w);
/* Threads that have not ended yet: workers and keepers. */
uint32_t cast_sched_workers(void);

#endif
