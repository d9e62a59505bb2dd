/* sched.c - run queues, finding work, sleeping and waking.
   SPDX-License-Identifier: MIT

   The protocol that keeps invariant 2 of sched.h (PAIR sleep): whoever adds a
   job stores it (seq_cst) and then reads `spare` and `nspinning` (seq_cst);
   whoever is about to sleep lowers nspinning (seq_cst) and then reads every
   queue (seq_cst). In the single order of these, either the submitter sees
   that nobody looks and wakes a worker, or the looker sees the job.

   A job that its own worker makes ready goes into the run-next slot, and
   wakes nobody: that worker runs it as soon as its session's slice ends, and
   two sessions that talk stay on one core. What the slot held before goes to
   the queue; that is real backlog and wakes a worker if a core is idle. If
   the slice does not end soon, the monitor frees the slot (rescue). */
#include "sched.h"

#include "../include/casting.h"

static struct {
  cast_lock lock;
  cast_job *global;           /* (lock) FIFO */
  cast_job **global_tail;     /* (lock) */
  _Atomic uint32_t nglobal;   /* (a) written under the lock */
  cast_core *idle_cores;      /* (lock) */
  cast_list idle_workers;     /* (lock) */
  cast_list workers;          /* (lock) all of them */
  uint32_t nworkers;          /* (lock) */
  _Atomic uint32_t nbusy;     /* (a) cores in use; written under the lock */
  _Atomic uint32_t limit;     /* (a) written under the lock */
  _Atomic uint32_t high;      /* (a) cores[high ..] were never used */
  bool stopping;              /* (lock) */
  _Atomic int32_t spare;      /* (a) limit - nbusy; written under the lock */
  _Atomic uint32_t nspinning; /* (a) */
  int (*start)(cast_core *);  /* (i) */
  void (*rouse)(void);        /* (i) */
  cast_core cores[CAST_CORES_MAX];
} sched;

void cast_sched_init(
  uint32_t n, int (*start)(cast_core *core), void (*rouse)(void)) {
  memset(&sched, 0, sizeof sched);
  cast_lock_init(&sched.lock, CAST_RANK_SCHED);
  sched.global_tail = &sched.global;
  cast_list_init(&sched.idle_workers);
  cast_list_init(&sched.workers);
  atomic_init(&sched.limit, n);
  sched.start = start;
  sched.rouse = rouse;
  atomic_init(&sched.spare, (int32_t)n);
  for (uint32_t i = CAST_CORES_MAX; i-- > 0;) {
    cast_runq_init(&sched.cores[i].queue);
    sched.cores[i].idle = sched.idle_cores;
    sched.idle_cores = &sched.cores[i];
  }
}

/* Relaxed: changed and decided upon under the lock; elsewhere a hint. */
static uint32_t limit(void) {
  return atomic_load_explicit(&sched.limit, memory_order_relaxed);
}
static uint32_t busy_locked(void) {
  return atomic_load_explicit(&sched.nbusy, memory_order_relaxed);
}
void cast_sched_fini(void) {
  CAST_ALWAYS(sched.nworkers == 0 && busy_locked() == 0);
}

static uint32_t high(void) {
  /* PAIR sleep: a core is below `high` before it gets its first job. */
  return atomic_load_explicit(&sched.high, memory_order_seq_cst);
}

/* -- under the lock ------------------------------------------------------- */

static void set_busy_locked(uint32_t n) {
  /* PAIR rouse: the monitor reads it after it has announced its sleep. */
  atomic_store_explicit(&sched.nbusy, n, memory_order_seq_cst);
  /* PAIR sleep: submitters read it after their store of the job. */
  atomic_store_explicit(
    &sched.spare, (int32_t)(limit() - n), memory_order_seq_cst);
}

/* An idle core, if one more may be in use. */
static cast_core *take_core_locked(void) {
  cast_core *c;
  uint32_t index;
  if (busy_locked() >= limit()) return NULL;
  c = sched.idle_cores;
  if (c == NULL) return NULL;
  sched.idle_cores = c->idle;
  c->idle = NULL;
  index = (uint32_t)(c - sched.cores);
  if (index >= high()) /* PAIR sleep. */
    atomic_store_explicit(&sched.high, index + 1, memory_order_seq_cst);
  set_busy_locked(busy_locked() + 1);
  return c;
}

static void give_core_locked(cast_core *c) {
  c->idle = sched.idle_cores;
  sched.idle_cores = c;
  set_busy_locked(busy_locked() - 1);
}

static void global_push_locked(cast_job *first, cast_job *last, uint32_t n) {
  last->next = NULL;
  *sched.global_tail = first;
  sched.global_tail = &last->next;
  /* PAIR sleep: stored before the submitter looks for sleepers. */
  atomic_fetch_add_explicit(&sched.nglobal, n, memory_order_seq_cst);
}

/* Takes one job, and a fair share of the rest into c's queue. */
static cast_job *global_pop_locked(cast_core *c) {
  cast_job *job = sched.global, *more;
  /* Relaxed: only changed under this lock. */
  uint32_t n = atomic_load_explicit(&sched.nglobal, memory_order_relaxed);
  uint32_t share = n / (busy_locked() + 1), taken = 1;
  if (job == NULL) return NULL;
  if (share > CAST_RUNQ_SIZE / 2) share = CAST_RUNQ_SIZE / 2;
  sched.global = job->next;
  while (taken < share && (more = sched.global) != NULL) {
    cast_job *next = more->next;
    if (!cast_runq_push(&c->queue, more)) break;
    sched.global = next;
    taken++;
  }
  if (sched.global == NULL) sched.global_tail = &sched.global;
  /* PAIR sleep: with the reads of those about to sleep. */
  atomic_fetch_sub_explicit(&sched.nglobal, taken, memory_order_seq_cst);
  return job;
}

/* -- waking --------------------------------------------------------------- */

static void stop_spinning(void) {
  /* PAIR sleep: before the queues are read again. */
  uint32_t old =
    atomic_fetch_sub_explicit(&sched.nspinning, 1, memory_order_seq_cst);
  CAST_ASSERT(old > 0);
  CAST_UNUSED(old);
}

static void signal_worker(cast_worker *w) {
  /* PAIR signal: releases w->core and w->spinning to it. */
  atomic_store_explicit(&w->signal, 1, memory_order_release);
  os_wake(&w->signal, 1);
}

static bool any_work(void);

/* Gives a core back that no worker could be found for. True: a worker sleeps
   now that could have had it. */
static bool undo_core(cast_core *core) {
  bool sleeper;
  cast_lock_take(&sched.lock);
  give_core_locked(core);
  sleeper = !cast_list_empty(&sched.idle_workers);
  cast_lock_drop(&sched.lock);
  return sleeper;
}

/* One attempt of wake. False: it has to be made again, since a submitter may
   have relied on this one's counting as a spinner. */
static bool try_wake(void) {
  uint32_t none = 0;
  cast_core *core;
  cast_list *l = NULL;
  bool stopping;
  /* PAIR sleep: these reads come after the caller's store of a job. */
  if (atomic_load_explicit(&sched.spare, memory_order_seq_cst) <= 0)
    return true;
  if (atomic_load_explicit(&sched.nspinning, memory_order_seq_cst) != 0)
    return true;
  /* PAIR sleep: counted as spinning before the worker is chosen. */
  if (!atomic_compare_exchange_strong_explicit(
        &sched.nspinning, &none, 1, memory_order_seq_cst, memory_order_relaxed))
    return true;
  cast_lock_take(&sched.lock);
  stopping = sched.stopping;
  core = stopping ? NULL : take_core_locked();
  if (core != NULL && (l = cast_list_shift(&sched.idle_workers)) != NULL) {
    cast_worker *w = CAST_CONTAINER(l, cast_worker, link);
    w->core = core;
    w->spinning = true;
  }
  cast_lock_drop(&sched.lock);
  if (core != NULL) sched.rouse();
  if (l != NULL) {
    signal_worker(CAST_CONTAINER(l, cast_worker, link));
    return true;
  }
  if (core != NULL && sched.start(core) == 0) return true;
  stop_spinning();
  if (core == NULL) return stopping || !any_work();
  /* No thread to be had: those that run will come to the job; one that went
     to sleep meanwhile has found no core, because of this attempt. */
  return !undo_core(core) || !any_work();
}

/* Sees to it that one more worker looks for work, if a core is idle and
   nobody looks yet. */
static void wake(void) {
  while (!try_wake()) {}
}

int cast_sched_first(void) {
  cast_core *core = NULL;
  int rc = 0;
  cast_lock_take(&sched.lock);
  if (sched.nworkers == 0) core = take_core_locked();
  cast_lock_drop(&sched.lock);
  if (core == NULL) return 0;
  /* As wake does: the new worker counts as a spinning one. */
  /* PAIR sleep. */
  atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
  sched.rouse();
  rc = sched.start(core);
  if (rc != 0) {
    stop_spinning();
    undo_core(core);
  }
  return rc;
}

static void submit_global(cast_job *job) {
  cast_lock_take(&sched.lock);
  global_push_locked(job, job, 1);
  cast_lock_drop(&sched.lock);
  wake();
}

/* The owner's queue; half of a full one goes to the global queue. */
static void submit_local(cast_core *c, cast_job *job) {
  while (!cast_runq_push(&c->queue, job)) {
    cast_job *last;
    uint32_t n;
    cast_job *first = cast_runq_half(&c->queue, &last, &n);
    if (first == NULL) continue;
    cast_lock_take(&sched.lock);
    global_push_locked(first, last, n);
    cast_lock_drop(&sched.lock);
  }
  wake();
}

void cast_sched_ready(cast_worker *w, cast_job *job) {
  cast_core *c = w != NULL ? w->core : NULL;
  cast_job *old;
  if (c == NULL) {
    submit_global(job);
    return;
  }
  /* PAIR next: release the job to the monitor, should it take it. */
  old = atomic_exchange_explicit(&c->next, job, memory_order_acq_rel);
  if (old != NULL) submit_local(c, old);
}

void cast_sched_again(cast_worker *w, cast_job *job) {
  /* Behind those in the global queue, which would else wait until the next
     regular look at it, CAST_GLOBAL_EVERY slices on. Relaxed: a hint. */
  if (atomic_load_explicit(&sched.nglobal, memory_order_relaxed) != 0)
    submit_global(job);
  else
    submit_local(w->core, job);
}

bool cast_sched_backlog(cast_worker *w) {
  cast_core *c = w->core;
  /* Relaxed: a hint. */
  return atomic_load_explicit(&c->next, memory_order_relaxed) != NULL ||
         atomic_load_explicit(&sched.nglobal, memory_order_relaxed) != 0 ||
         atomic_load_explicit(&sched.spare, memory_order_relaxed) < 0 ||
         cast_runq_len(&c->queue) != 0;
}

/* -- finding work --------------------------------------------------------- */

static cast_job *take_next(cast_core *c) {
  /* Relaxed: only this worker stores jobs there. */
  if (atomic_load_explicit(&c->next, memory_order_relaxed) == NULL) return NULL;
  /* PAIR next: acquire, though the job is this worker's own. */
  return atomic_exchange_explicit(&c->next, NULL, memory_order_acq_rel);
}

/* The run-next slot, but no more than CAST_NEXT_STREAK times in a row while
   others wait: two talkers must not starve a third session. */
static cast_job *pick_local(cast_core *c) {
  cast_job *job = NULL;
  if (c->streak < CAST_NEXT_STREAK && (job = take_next(c)) != NULL) {
    c->streak++;
    return job;
  }
  job = cast_runq_pop(&c->queue);
  c->streak = 0;
  if (job == NULL) return take_next(c);
  return job;
}

static cast_job *pick_global(cast_core *c) {
  cast_job *job;
  /* Relaxed: a hint; the last look before sleeping is under the lock. */
  if (atomic_load_explicit(&sched.nglobal, memory_order_relaxed) == 0)
    return NULL;
  cast_lock_take(&sched.lock);
  job = global_pop_locked(c);
  cast_lock_drop(&sched.lock);
  return job;
}

static cast_job *steal(cast_worker *w) {
  uint32_t n = high();
  w->seed = w->seed * 1664525u + 1013904223u;
  for (uint32_t i = 0, at = w->seed % n; i < n; i++, at = (at + 1) % n) {
    cast_core *c = &sched.cores[at];
    cast_job *job;
    if (c == w->core) continue;
    job = cast_runq_steal(&c->queue, &w->core->queue);
    if (job != NULL) return job;
  }
  return NULL;
}

/* Is there a job in any queue? */
static bool any_work(void) {
  /* PAIR sleep: read after nspinning was lowered. */
  if (atomic_load_explicit(&sched.nglobal, memory_order_seq_cst) != 0)
    return true;
  for (uint32_t i = 0; i < high(); i++)
    if (cast_runq_len(&sched.cores[i].queue) != 0) return true;
  return false;
}

/* w has found a job. If it was looking, others may have relied on that. */
static cast_job *found(cast_worker *w, cast_job *job) {
  cast_core *c = w->core;
  atomic_store_explicit(&c->tick,
    atomic_load_explicit(&c->tick, memory_order_relaxed) + 1,
    memory_order_relaxed);
  if (!w->spinning) return job;
  w->spinning = false;
  stop_spinning();
  if (any_work()) wake();
  return job;
}

/* Looks in other places for a while; NULL when there is nothing. */
static cast_job *spin(cast_worker *w) {
  if (!w->spinning) {
    /* Relaxed: the bound on spinners is not exact. */
    uint32_t n = atomic_load_explicit(&sched.nspinning, memory_order_relaxed);
    if (2 * n >= cast_sched_busy()) return NULL;
    /* PAIR sleep: submitters that see it rely on this worker's looking. */
    atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
    w->spinning = true;
  }
  for (uint32_t i = 0; i < CAST_SPIN_ROUNDS; i++) {
    cast_job *job = pick_global(w->core);
    if (job == NULL && i % 16 == 0) job = steal(w);
    if (job != NULL) return job;
    for (uint32_t k = 0; k < 4; k++) os_relax();
  }
  return steal(w);
}

/* -- sleeping ------------------------------------------------------------- */

/* Sleeps until somebody has given w a core. */
static void await_signal(cast_worker *w) {
  /* PAIR signal: acquire w->core and w->spinning. */
  while (atomic_load_explicit(&w->signal, memory_order_acquire) == 0)
    os_wait(&w->signal, 0, OS_FOREVER);
  atomic_store_explicit(&w->signal, 0, memory_order_relaxed);
}

/* After nspinning was lowered: takes a core back if there is work after all.
   False: somebody else has given w one meanwhile; its signal is on its way. */
static bool take_back(cast_worker *w) {
  bool back = false;
  cast_lock_take(&sched.lock);
  if (w->core == NULL && (w->core = take_core_locked()) != NULL) {
    cast_list_remove(&w->link);
    /* PAIR sleep. */
    atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
    w->spinning = true;
    back = true;
  }
  cast_lock_drop(&sched.lock);
  return back;
}

/* Gives the core up and sleeps. A job if one came in at the last moment; else
   NULL, and w has a core again, or is to stop (then it has none). */
static cast_job *rest(cast_worker *w) {
  cast_job *job = NULL;
  bool was_spinning = w->spinning, stop;
  cast_lock_take(&sched.lock);
  stop = sched.stopping;
  if (!stop && busy_locked() <= limit()) job = global_pop_locked(w->core);
  if (job == NULL) {
    CAST_ASSERT(cast_runq_len(&w->core->queue) == 0);
    give_core_locked(w->core);
    w->core = NULL;
    w->spinning = false;
    if (!stop) cast_list_push(&sched.idle_workers, &w->link);
  }
  cast_lock_drop(&sched.lock);
  if (job != NULL) return job;
  if (was_spinning) stop_spinning();
  if (stop) return NULL;
  if (any_work() && take_back(w)) return NULL;
  await_signal(w);
  return NULL;
}

/* More cores are in use than allowed: w's jobs go to the global queue. */
static void empty_queue(cast_core *c) {
  cast_job *job;
  while ((job = pick_local(c)) != NULL) {
    cast_lock_take(&sched.lock);
    global_push_locked(job, job, 1);
    cast_lock_drop(&sched.lock);
    wake(); /* the limit may have been raised meanwhile */
  }
}

cast_job *cast_sched_find(cast_worker *w) {
  for (;;) {
    cast_core *c = w->core;
    cast_job *job = NULL;
    if (c == NULL) return NULL; /* stopping */
    /* Relaxed: a change of the limit is noticed in time, not at once. */
    if (atomic_load_explicit(&sched.spare, memory_order_relaxed) < 0) {
      empty_queue(c);
    } else {
      if (atomic_load_explicit(&c->tick, memory_order_relaxed) %
            CAST_GLOBAL_EVERY ==
          0)
        job = pick_global(c);
      if (job == NULL) job = pick_local(c);
      if (job == NULL) job = pick_global(c);
      if (job == NULL) job = spin(w);
    }
    if (job == NULL) job = rest(w);
    if (job != NULL) return found(w, job);
  }
}

/* -- for the runtime and the monitor -------------------------------------- */

void cast_sched_limit(uint32_t n) {
  cast_lock_take(&sched.lock);
  atomic_store_explicit(&sched.limit, n, memory_order_relaxed);
  set_busy_locked(busy_locked());
  cast_lock_drop(&sched.lock);
  if (any_work()) wake();
}

void cast_sched_stop(void) {
  cast_list *l;
  cast_lock_take(&sched.lock);
  sched.stopping = true;
  while ((l = cast_list_shift(&sched.idle_workers)) != NULL) {
    /* Without a core: cast_sched_find returns NULL. */
    cast_worker *w = CAST_CONTAINER(l, cast_worker, link);
    signal_worker(w);
  }
  cast_lock_drop(&sched.lock);
}

bool cast_sched_stopping(void) {
  bool stopping;
  cast_lock_take(&sched.lock);
  stopping = sched.stopping;
  cast_lock_drop(&sched.lock);
  return stopping;
}

uint32_t cast_sched_busy(void) {
  /* PAIR rouse: the monitor reads it after it has announced its sleep. */
  return atomic_load_explicit(&sched.nbusy, memory_order_seq_cst);
}

void cast_sched_quit(cast_worker *w) {
  stop_spinning();
  w->spinning = false;
  if (undo_core(w->core) && any_work()) wake();
  w->core = NULL;
}

void cast_sched_enlist(cast_worker *w) {
  cast_lock_take(&sched.lock);
  cast_list_push(&sched.workers, &w->all);
  sched.nworkers++;
  cast_lock_drop(&sched.lock);
}

void cast_sched_delist(cast_worker *w) {
  cast_lock_take(&sched.lock);
  cast_list_remove(&w->all);
  sched.nworkers--;
  cast_lock_drop(&sched.lock);
}

uint32_t cast_sched_workers(void) {
  uint32_t n;
  cast_lock_take(&sched.lock);
  n = sched.nworkers;
  cast_lock_drop(&sched.lock);
  return n;
}

/* A job that has waited in the slot since the last look, while its worker has
   picked nothing: its session computes on. */
static bool rescue_core(cast_core *c) {
  cast_job *job = atomic_load_explicit(&c->next, memory_order_relaxed);
  uint32_t tick = atomic_load_explicit(&c->tick, memory_order_relaxed);
  bool stuck = job != NULL && job == c->seen_next && tick == c->seen_tick;
  c->seen_next = job;
  c->seen_tick = tick;
  if (!stuck) return false;
  /* PAIR next: acquire the job from its worker. */
  job = atomic_exchange_explicit(&c->next, NULL, memory_order_acq_rel);
  if (job == NULL) return false;
  submit_global(job);
  return true;
}

bool cast_sched_rescue(void) {
  bool any = false;
  /* Relaxed: with no idle core there is nobody to take the job over. */
  if (atomic_load_explicit(&sched.spare, memory_order_relaxed) <= 0)
    return false;
  for (uint32_t i = 0; i < high(); i++) any |= rescue_core(&sched.cores[i]);
  return any;
}
