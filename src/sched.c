/* sched.c - run queues, finding work, sleeping and waking.
   SPDX-License-Identifier: MIT

   Locks: CAST_RANK_SCHED for the lists and numbers of workers, and for cores,
   permits and the global queue (core.c). Invariants: see sched.h.

   The protocol that keeps invariant 2 (PAIR sleep): a thread that adds a job
   stores it (seq_cst) and then reads `spare` and `nspinning` (seq_cst). A
   worker that is about to sleep lowers nspinning (seq_cst) and then reads every
   queue (seq_cst). In the single order of these operations, either the thread
   that adds the job sees that no worker looks, and wakes one; or the worker
   sees the job.

   A job that a worker itself makes ready goes into its run-next slot, and no
   other worker is woken: the worker runs it as soon as the slice of the current
   session ends, so two sessions that talk to each other stay on one core. The
   job that was in the slot before goes to the run queue; this is real backlog,
   so another worker is woken if a permit is left. If the slice does not end
   soon, sysmon releases the job in the slot to all workers
   (cast_sched_release_next), or takes the worker's permit away, so that another
   thread goes on with it (cast_sched_retake). */
#include "sched.h"

#include "../include/casting.h"

static struct {
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
  int (*start)(cast_core *);  /* (i) starts a worker, see cast_sched_init */
  void (*wake_sysmon)(void);  /* (i) wakes sysmon from its deep sleep */
} sched;

void cast_sched_init(
  uint32_t n, int (*start)(cast_core *core), void (*wake_sysmon)(void)) {
  memset(&sched, 0, sizeof sched);
  cast_lock_init(&sched.lock, CAST_RANK_SCHED);
  cast_list_init(&sched.idle_workers);
  cast_list_init(&sched.workers);
  sched.min = 1;
  sched.max = CAST_WORKERS_MAX;
  sched.start = start;
  sched.wake_sysmon = wake_sysmon;
  cast_cores_init(n);
}

void cast_sched_fini(void) {
  CAST_ALWAYS(sched.nworkers == 0 && cast_cores_busy() == 0);
}

/* Could another thread go on with a permit: an idle one, or a new one? */
static bool has_thread_locked(void) {
  return !cast_list_is_empty(&sched.idle_workers) || sched.nworkers < sched.max;
}

/* -- waking --------------------------------------------------------------- */

/* A worker does not look for work any more, so it does not count as one that
   others may rely on. */
static void stop_spinning(void) {
  /* PAIR sleep: before the queues are read again. */
  uint32_t old =
    atomic_fetch_sub_explicit(&sched.nspinning, 1, memory_order_seq_cst);
  CAST_ASSERT(old > 0);
  CAST_UNUSED(old);
}

static void signal_worker(cast_worker *w) {
  /* PAIR signal: releases w->core and w->spinning to it. PAIR polls: stored
     before `polls` is read; the worker says that it polls, and then looks
     whether there is a signal. */
  atomic_store_explicit(&w->signal, 1, memory_order_seq_cst);
  if (CAST_UNLIKELY(atomic_load_explicit(&w->polls, memory_order_seq_cst) != 0))
    cast_poller_break();
  else
    os_wake(&w->signal, 1);
}

/* The idle worker to wake: rather not the one that sleeps in the poller, which
   costs more to wake, and has to be replaced there. NULL: there is none. */
static cast_worker *choose_idle_locked(void) {
  cast_list *l = sched.idle_workers.next;
  cast_worker *w;
  if (l == &sched.idle_workers) return NULL;
  w = CAST_CONTAINER(l, cast_worker, link);
  /* Relaxed: a hint. */
  if (atomic_load_explicit(&w->polls, memory_order_relaxed) != 0 &&
      l->next != &sched.idle_workers)
    w = CAST_CONTAINER(l->next, cast_worker, link);
  cast_list_remove(&w->link);
  return w;
}

/* Gives a core back because no worker could be started for it. True if a worker
   has fallen asleep meanwhile that could have had it. */
static bool undo_core(cast_core *core) {
  bool sleeper;
  cast_lock_take(&sched.lock);
  cast_core_give_locked(core);
  sched.retry_due = true;
  sleeper = !cast_list_is_empty(&sched.idle_workers);
  cast_lock_drop(&sched.lock);
  return sleeper;
}

static bool has_thread(void) {
  bool yes;
  cast_lock_take(&sched.lock);
  yes = has_thread_locked();
  cast_lock_drop(&sched.lock);
  return yes;
}

/* One attempt of cast_sched_wake. False if another one must follow, since a
   thread that added a job may have relied on this attempt, which counted as a
   spinning worker, instead of waking one itself. */
static bool try_wake(void) {
  uint32_t none = 0;
  cast_core *core;
  cast_worker *w = NULL;
  bool stopping, no_thread;
  /* PAIR sleep: these reads follow the caller's store of a job. */
  if (cast_cores_spare() <= 0) return true;
  if (atomic_load_explicit(&sched.nspinning, memory_order_seq_cst) != 0)
    return true;
  /* PAIR sleep: counted as spinning before the worker is chosen. */
  if (!atomic_compare_exchange_strong_explicit(
        &sched.nspinning, &none, 1, memory_order_seq_cst, memory_order_relaxed))
    return true;
  cast_lock_take(&sched.lock);
  stopping = sched.stopping;
  no_thread = !has_thread_locked();
  core = stopping || no_thread ? NULL : cast_core_take_locked();
  if (core != NULL && (w = choose_idle_locked()) != NULL) {
    w->core = core;
    w->spinning = true;
  }
  cast_lock_drop(&sched.lock);
  if (core != NULL || no_thread) sched.wake_sysmon();
  if (w != NULL) {
    signal_worker(w);
    return true;
  }
  if (core != NULL && sched.start(core) == 0) return true;
  stop_spinning();
  if (core == NULL) {
    if (stopping || !cast_cores_have_work()) return true;
    /* All threads are busy or stuck; the first one that comes back looks for
       jobs. But one may have fallen asleep since, while threads that added jobs
       relied on this attempt (R34). */
    return no_thread && !has_thread();
  }
  /* No thread could be started. The running workers will come to the job; since
     they may be stuck, sysmon tries again. But a worker that fell asleep
     meanwhile found no permit, because this attempt had it: then try again. */
  return !undo_core(core) || !cast_cores_have_work();
}

void cast_sched_wake(void) {
  while (!try_wake()) {}
}

int cast_sched_first(void) {
  cast_core *core = NULL;
  int rc = 0;
  cast_lock_take(&sched.lock);
  if (sched.nworkers == 0) core = cast_core_take_locked();
  cast_lock_drop(&sched.lock);
  if (core == NULL) return 0;
  /* PAIR sleep: the new worker counts as a spinning one, as in try_wake. */
  atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
  sched.wake_sysmon();
  rc = sched.start(core);
  if (rc != 0) {
    stop_spinning();
    undo_core(core);
  }
  return rc;
}

static void submit_global(cast_job *job) {
  cast_lock_take(&sched.lock);
  cast_global_push_locked(job, job, 1);
  cast_lock_drop(&sched.lock);
  cast_sched_wake();
}

/* Owner: pushes to its own queue; half of a full one goes to the global queue.
   */
static void submit_local(cast_core *c, cast_job *job) {
  while (!cast_runq_push(&c->queue, job)) {
    cast_job *last;
    uint32_t n;
    cast_job *first = cast_runq_half(&c->queue, &last, &n);
    if (first == NULL) continue;
    cast_lock_take(&sched.lock);
    cast_global_push_locked(first, last, n);
    cast_lock_drop(&sched.lock);
  }
  cast_sched_wake();
}

void cast_sched_ready(cast_worker *w, cast_job *job) {
  cast_core *c = w != NULL ? w->core : NULL;
  cast_job *old;
  if (c == NULL || !cast_core_put(c, job, &old))
    submit_global(job); /* from outside of the pool, or without a permit: R31 */
  else if (old != NULL)
    submit_local(c, old);
}

void cast_sched_again(cast_worker *w, cast_job *job) {
  /* Behind the jobs in the global queue, if there are any: they would otherwise
     wait until this worker looks at that queue, CAST_GLOBAL_EVERY slices on. */
  if (cast_global_has_jobs() || cast_core_is_lost(w->core))
    submit_global(job);
  else
    submit_local(w->core, job);
}

bool cast_sched_has_backlog(cast_worker *w) {
  cast_core *c = w->core;
  cast_job *next = atomic_load_explicit(&c->next, memory_order_relaxed);
  /* All of these reads are hints. */
  if (next == CAST_CORE_LOST) return cast_cores_have_work();
  return next != NULL || cast_global_has_jobs() ||
         cast_cores_spare_hint() < 0 || cast_runq_len(&c->queue) != 0;
}

/* -- finding work --------------------------------------------------------- */

/* A new slice begins. */
static void count(cast_worker *w) {
  atomic_store_explicit(&w->tick,
    atomic_load_explicit(&w->tick, memory_order_relaxed) + 1,
    memory_order_relaxed);
}

/* Takes a job from the run-next slot, but not more than CAST_NEXT_STREAK times
   in a row while the queue has jobs: two sessions that talk to each other must
   not starve a third one. */
static cast_job *pick_local(cast_core *c) {
  cast_job *job = NULL;
  if (c->streak < CAST_NEXT_STREAK && (job = cast_core_pull(c)) != NULL) {
    c->streak++;
    return job;
  }
  job = cast_runq_pop(&c->queue);
  c->streak = 0;
  if (job == NULL) return cast_core_pull(c);
  return job;
}

bool cast_sched_can_follow(cast_worker *w) {
  cast_core *c = w->core;
  cast_job *next = atomic_load_explicit(&c->next, memory_order_relaxed);
  if (next == NULL || next == CAST_CORE_LOST) return false;
  if (cast_cores_spare_hint() < 0) return false;
  if (cast_sched_tick(w) % CAST_GLOBAL_EVERY == 0 && cast_global_has_jobs())
    return false;
  return c->streak < CAST_NEXT_STREAK || cast_runq_len(&c->queue) == 0;
}

cast_job *cast_sched_follow(cast_worker *w) {
  cast_job *job = cast_core_pull(w->core);
  CAST_ASSERT(!w->spinning);
  if (CAST_UNLIKELY(job == NULL)) return NULL;
  w->core->streak++;
  count(w);
  return job;
}

static cast_job *pick_global(cast_core *c) {
  cast_job *job;
  /* The hint may be wrong: the last look before sleeping takes the lock. */
  if (!cast_global_has_jobs()) return NULL;
  cast_lock_take(&sched.lock);
  job = cast_global_pop_locked(c);
  cast_lock_drop(&sched.lock);
  return job;
}

/* w has found a job. If it was spinning, others may have relied on its looking,
   so it wakes the next worker if there is more work. */
static cast_job *begin_job(cast_worker *w, cast_job *job) {
  count(w);
  if (!w->spinning) return job;
  w->spinning = false;
  stop_spinning();
  if (cast_cores_have_work()) cast_sched_wake();
  return job;
}

/* Looks for jobs in the global queue and in the queues of others for a while;
   NULL if it finds none. */
static cast_job *spin(cast_worker *w) {
  if (!w->spinning) {
    /* Relaxed: the bound on spinning workers need not be exact. */
    uint32_t n = atomic_load_explicit(&sched.nspinning, memory_order_relaxed);
    if (2 * n >= cast_cores_busy()) return NULL;
    /* PAIR sleep: threads that see it rely on this worker's looking. */
    atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
    w->spinning = true;
  }
  for (uint32_t i = 0; i < CAST_SPIN_ROUNDS; i++) {
    cast_job *job = pick_global(w->core);
    if (job == NULL && i % CAST_STEAL_EVERY == 0)
      job = cast_cores_steal(w->core, &w->seed);
    if (job != NULL) return job;
    for (uint32_t k = 0; k < CAST_SPIN_PAUSES; k++) os_relax();
  }
  return cast_cores_steal(w->core, &w->seed);
}

/* -- descriptors ---------------------------------------------------------- */

static void push_global(cast_jobs *jobs) {
  cast_lock_take(&sched.lock);
  cast_global_push_locked(jobs->first, jobs->last, jobs->n);
  cast_lock_drop(&sched.lock);
}

/* The first one is the next to run, on this core; the others are backlog, for
   which one more worker is woken. */
void cast_sched_take_jobs(cast_worker *w, cast_jobs *jobs) {
  cast_core *c = w != NULL ? w->core : NULL;
  cast_job *job = jobs->first, *old = NULL;
  if (job == NULL) return;
  if (c == NULL || jobs->n > CAST_RUNQ_SIZE / 2 || cast_core_is_lost(c)) {
    push_global(jobs);
    cast_sched_wake();
    return;
  }
  jobs->first = job->next;
  if (!cast_core_put(c, job, &old)) {
    submit_global(job);
  } else if (old != NULL) {
    cast_jobs_add(jobs, old);
  }
  while ((job = jobs->first) != NULL) {
    jobs->first = job->next;
    submit_local(c, job);
  }
}

/* With the token, which is given up: looks without waiting. */
static CAST_NOINLINE void look_now(cast_worker *w) {
  cast_jobs jobs = {NULL, NULL, 0};
  cast_told told;
  cast_poller_ask(&told, 0, NULL, NULL);
  cast_poller_give();
  cast_poller_deal(&told, NULL, &jobs);
  cast_sched_take_jobs(w, &jobs);
  cast_poller_dealt(&told);
}

/* Looks at the descriptors, if there are any and nobody else does. */
static void look(cast_worker *w) {
  if (CAST_UNLIKELY(cast_poller_wanted()) && cast_poller_take()) look_now(w);
}

/* The queues of w are empty: looks at the descriptors, and in other places for
   a while. A worker that is alone and has descriptors to look at goes to sleep
   there at once: whatever comes, it comes from there, and a look that finds
   nothing would be a call of the system more for each message. */
static cast_job *seek(cast_worker *w) {
  cast_job *job = NULL;
  if (CAST_UNLIKELY(cast_poller_wanted())) {
    if (cast_cores_busy() == 1 && !w->spinning && !cast_poller_taken())
      return NULL;
    look(w);
    job = pick_local(w->core);
  }
  return job != NULL ? job : spin(w);
}

void cast_sched_look(void) {
  static uint32_t before; /* sysmon's */
  if (!cast_poller_wanted()) return;
  if (cast_poller_looks() == before) look(NULL);
  before = cast_poller_looks();
}

void cast_sched_look_as_host(struct cast_session *s) {
  cast_jobs jobs = {NULL, NULL, 0};
  cast_told told;
  if (!cast_poller_wanted_by_host() || !cast_poller_take()) return;
  cast_poller_ask(&told, 0, NULL, NULL);
  cast_poller_give();
  cast_poller_deal(&told, s, &jobs);
  cast_sched_take_jobs(NULL, &jobs);
  cast_poller_dealt(&told);
  (void)cast_sched_cover();
}

bool cast_sched_cover(void) {
  cast_worker *w = NULL;
  cast_core *core = NULL;
  bool stopping, no_thread;
  /* PAIR token: a worker that is busy gives up its core before it looks whether
     the token is free. */
  if (!cast_poller_wanted() || cast_poller_taken() || cast_cores_busy() != 0)
    return true;
  /* PAIR sleep: the new one counts as a spinner, as in try_wake. */
  atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
  cast_lock_take(&sched.lock);
  stopping = sched.stopping;
  no_thread = !has_thread_locked();
  if (!stopping && !no_thread) core = cast_core_take_locked();
  if (core != NULL && (w = choose_idle_locked()) != NULL) {
    w->core = core;
    w->spinning = true;
  }
  cast_lock_drop(&sched.lock);
  if (core != NULL || no_thread) sched.wake_sysmon();
  if (w != NULL) {
    signal_worker(w);
    return true;
  }
  if (core != NULL && sched.start(core) == 0) return true;
  stop_spinning();
  if (core != NULL) (void)undo_core(core);
  if (cast_cores_have_work()) cast_sched_wake();
  return stopping;
}

/* -- sleeping ------------------------------------------------------------- */

/* w has slept for long: if there are more workers than the minimum, it leaves
   the list of idle ones for good and returns true, to end. */
static bool retire(cast_worker *w) {
  cast_lock_take(&sched.lock);
  w->retiring = w->core == NULL && !sched.stopping &&
                sched.nworkers - sched.nretiring > sched.min;
  if (w->retiring) {
    cast_list_remove(&w->link);
    sched.nretiring++;
  }
  cast_lock_drop(&sched.lock);
  return w->retiring;
}

/* When a worker that falls asleep now would retire. */
static uint64_t retire_at(void) {
  uint64_t at = OS_FOREVER;
  cast_lock_take(&sched.lock);
  if (sched.nworkers - sched.nretiring > sched.min)
    at = os_now() + (uint64_t)CAST_RETIRE_MS * 1000000u;
  cast_lock_drop(&sched.lock);
  return at;
}

static bool is_signalled(cast_worker *w) {
  /* PAIR signal: acquire w->core and w->spinning. PAIR polls. */
  return atomic_load_explicit(&w->signal, memory_order_seq_cst) != 0;
}

/* A core for what the poller gave w: true, if it has got one, or is being given
   one by a waker, whose signal is on its way. */
static bool gets_core(cast_worker *w, bool *own) {
  bool yes;
  *own = false;
  cast_lock_take(&sched.lock);
  if (w->core == NULL && !sched.stopping &&
      (w->core = cast_core_take_locked()) != NULL) {
    cast_list_remove(&w->link);
    *own = true;
  }
  yes = w->core != NULL;
  cast_lock_drop(&sched.lock);
  return yes;
}

/* With the token: w sleeps in the poller, until it is signalled, or gets a core
   for what is ready: then true. */
static bool sleep_in_poller(cast_worker *w) {
  bool own = false;
  while (!own && !is_signalled(w)) {
    cast_jobs jobs = {NULL, NULL, 0};
    cast_told told = {.n = 0};
    /* PAIR polls: said before the signal is looked at. */
    atomic_store_explicit(&w->polls, 1, memory_order_seq_cst);
    if (!is_signalled(w)) cast_poller_ask(&told, OS_FOREVER, NULL, NULL);
    atomic_store_explicit(&w->polls, 0, memory_order_relaxed);
    cast_poller_deal(&told, NULL, &jobs);
    if (jobs.first != NULL && gets_core(w, &own) && own) {
      cast_poller_give();
      sched.wake_sysmon();
      cast_sched_take_jobs(w, &jobs);
    } else if (jobs.first != NULL) {
      push_global(&jobs); /* for those that have the permits */
      cast_sched_wake();
    }
    cast_poller_dealt(&told);
  }
  if (!own) cast_poller_give();
  return own;
}

/* Sleeps until another thread has given w a core, or w has taken one for what
   the poller gave it, or w retires without one. */
static void await_signal(cast_worker *w) {
  while (!is_signalled(w)) {
    if (cast_poller_wanted() && cast_poller_take()) {
      if (sleep_in_poller(w)) return;
    } else if (os_wait(&w->signal, 0, retire_at()) == OS_ETIMEOUT &&
               retire(w)) {
      return;
    }
  }
  atomic_store_explicit(&w->signal, 0, memory_order_relaxed);
}

/* After nspinning was lowered, as there is work after all: takes a core back.
   False if another thread has given w one meanwhile, whose signal is on its
   way; or if no permit is left. */
static bool take_back(cast_worker *w) {
  bool back = false;
  cast_lock_take(&sched.lock);
  if (w->core == NULL && (w->core = cast_core_take_locked()) != NULL) {
    cast_list_remove(&w->link);
    /* PAIR sleep: it looks for work again, and counts. */
    atomic_fetch_add_explicit(&sched.nspinning, 1, memory_order_seq_cst);
    w->spinning = true;
    back = true;
  }
  cast_lock_drop(&sched.lock);
  return back;
}

/* w has found nothing: gives its core back and sleeps. Returns a job if one
   came into the global queue at the last moment. Otherwise NULL: then w has a
   core again, or it has none and must end. */
static cast_job *go_to_sleep(cast_worker *w) {
  cast_job *job = NULL;
  bool was_spinning = w->spinning, stop, unnoticed = false;
  cast_lock_take(&sched.lock);
  stop = sched.stopping;
  if (!stop && w->core->permit && cast_cores_spare_hint() >= 0)
    job = cast_global_pop_locked(w->core);
  if (job == NULL) {
    CAST_ASSERT(cast_runq_len(&w->core->queue) == 0);
    unnoticed = !w->core->permit;
    cast_core_give_locked(w->core);
    w->core = NULL;
    w->spinning = false;
    /* In front: so the workers that have been idle for long stay so, and
       retire. */
    if (!stop) cast_list_unshift(&sched.idle_workers, &w->link);
  }
  cast_lock_drop(&sched.lock);
  if (job != NULL) return job;
  if (was_spinning) stop_spinning();
  /* Without a permit it did not count as busy: sysmon may have fallen
     asleep before, and must look whether this was the last worker (R90). */
  if (unnoticed) sched.wake_sysmon();
  if (stop) return NULL;
  if (cast_cores_have_work() && take_back(w)) return NULL;
  await_signal(w);
  return NULL;
}

/* A core may not run sessions now: moves its jobs to the global queue. */
static void empty_queue(cast_core *c) {
  cast_job *job;
  while ((job = pick_local(c)) != NULL) {
    cast_lock_take(&sched.lock);
    cast_global_push_locked(job, job, 1);
    cast_lock_drop(&sched.lock);
    cast_sched_wake(); /* the limit may have been raised meanwhile */
  }
}

/* c's permit was taken away during the last slice: tries to get another one. As
   the core is busy again then, sysmon must not sleep. */
static bool regain(cast_core *c) {
  bool yes;
  cast_lock_take(&sched.lock);
  yes = !sched.stopping && cast_core_regain_locked(c);
  cast_lock_drop(&sched.lock);
  if (yes) sched.wake_sysmon();
  return yes;
}

cast_job *cast_sched_find(cast_worker *w) {
  for (;;) {
    cast_core *c = w->core;
    cast_job *job = NULL;
    if (c == NULL) return NULL; /* w retires, or the pool stops */
    if (CAST_UNLIKELY(cast_core_is_lost(c)) && !regain(c)) {
      empty_queue(c);
    } else if (CAST_UNLIKELY(cast_cores_spare_hint() < 0)) {
      /* The limit was lowered: this worker notices it after its slice. */
      empty_queue(c);
    } else {
      uint32_t tick = cast_sched_tick(w);
      if (tick % CAST_GLOBAL_EVERY == 0) {
        look(w);
        job = pick_global(c);
      }
      if (job == NULL) job = pick_local(c);
      if (job == NULL) job = pick_global(c);
      if (job == NULL) job = seek(w);
    }
    if (job == NULL) job = go_to_sleep(w);
    if (job != NULL) return begin_job(w, job);
  }
}

/* -- for the runtime and sysmon ------------------------------------------- */

void cast_sched_limit(uint32_t n) {
  cast_lock_take(&sched.lock);
  cast_cores_limit_locked(n);
  cast_lock_drop(&sched.lock);
  if (cast_cores_have_work()) cast_sched_wake();
}

void cast_sched_bounds(uint32_t min, uint32_t max) {
  cast_lock_take(&sched.lock);
  sched.min = min;
  sched.max = max;
  /* The idle workers compute again when they retire. */
  for (cast_list *l = sched.idle_workers.next; l != &sched.idle_workers;
       l = l->next)
    os_wake(&CAST_CONTAINER(l, cast_worker, link)->signal, 1);
  cast_lock_drop(&sched.lock);
}

void cast_sched_stop(void) {
  cast_list *l;
  cast_lock_take(&sched.lock);
  sched.stopping = true;
  while ((l = cast_list_shift(&sched.idle_workers)) != NULL) {
    /* It has no core, so its cast_sched_find returns NULL. */
    cast_worker *w = CAST_CONTAINER(l, cast_worker, link);
    signal_worker(w);
  }
  cast_lock_drop(&sched.lock);
}

uint32_t cast_sched_busy(void) { return cast_cores_busy(); }

void cast_sched_quit(cast_worker *w) {
  stop_spinning();
  w->spinning = false;
  if (undo_core(w->core) && cast_cores_have_work()) cast_sched_wake();
  w->core = NULL;
}

bool cast_sched_enlist(cast_worker *w) {
  bool room;
  cast_lock_take(&sched.lock);
  room = !sched.stopping && sched.nworkers < sched.max;
  if (room) {
    cast_list_push(&sched.workers, &w->all);
    sched.nworkers++;
  }
  cast_lock_drop(&sched.lock);
  return room;
}

void cast_sched_delist(cast_worker *w) {
  cast_lock_take(&sched.lock);
  cast_list_remove(&w->all);
  sched.nworkers--;
  if (w->retiring) sched.nretiring--;
  cast_lock_drop(&sched.lock);
}

uint32_t cast_sched_workers(void) {
  uint32_t n;
  cast_lock_take(&sched.lock);
  n = sched.nworkers;
  cast_lock_drop(&sched.lock);
  return n;
}

/* -- slices that do not end ----------------------------------------------- */

cast_view cast_sched_view(cast_worker *w, bool *lost) {
  cast_view view = CAST_VIEW_CALM;
  bool waits;
  cast_core *c;
  *lost = false;
  cast_lock_take(&sched.lock);
  c = w->core;
  if (c != NULL) {
    *lost = !c->permit;
    waits = cast_global_has_jobs() || cast_runq_len(&c->queue) != 0 ||
            (c->permit &&
              atomic_load_explicit(&c->next, memory_order_relaxed) != NULL);
    if (waits)
      view = cast_cores_spare() > 0 ? CAST_VIEW_SPARE : CAST_VIEW_CROWDED;
  }
  cast_lock_drop(&sched.lock);
  return view;
}

void cast_sched_release_next(cast_worker *w) {
  cast_job *job;
  cast_lock_take(&sched.lock);
  job = w->core != NULL ? cast_core_pull(w->core) : NULL;
  if (job != NULL) cast_global_push_locked(job, job, 1);
  cast_lock_drop(&sched.lock);
}

bool cast_sched_retake(cast_worker *w, uint32_t tick) {
  bool yes;
  cast_lock_take(&sched.lock);
  /* Relaxed: if w is about to leave the slice, no harm is done; it asks for a
     permit again before it takes the next job (R32). */
  yes = w->core != NULL && has_thread_locked() && cast_sched_tick(w) == tick;
  if (yes) cast_core_lose_locked(w->core);
  cast_lock_drop(&sched.lock);
  return yes && cast_cores_have_work();
}

void cast_sched_wake_sysmon(void) {
  if (sched.wake_sysmon != NULL) sched.wake_sysmon();
}

bool cast_sched_is_quiet(void) {
  uint32_t sleeping = 0;
  bool quiet;
  cast_lock_take(&sched.lock);
  for (cast_list *l = sched.idle_workers.next; l != &sched.idle_workers;
       l = l->next)
    sleeping++;
  quiet =
    sleeping == sched.nworkers - sched.nretiring && !cast_cores_have_work();
  cast_lock_drop(&sched.lock);
  return quiet;
}

bool cast_sched_has_waiting(void) { return cast_cores_have_work(); }

bool cast_sched_take_retry(void) {
  bool retry_due;
  cast_lock_take(&sched.lock);
  retry_due = sched.retry_due;
  sched.retry_due = false;
  cast_lock_drop(&sched.lock);
  return retry_due && cast_cores_have_work();
}
