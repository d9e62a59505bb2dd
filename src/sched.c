/* sched.c - run queues, and waking workers.
   SPDX-License-Identifier: MIT

   Locks: CAST_RANK_SCHED for the lists and numbers of workers, and for cores,
   permits and the global queue (core.c). Invariants: see sched.h. How a worker
   finds a job and falls asleep: idle.c.

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
#include "sched_in.h"

#include "../include/casting.h"

cast_sched_state cast_sched;

void cast_sched_init(
  uint32_t n, int (*start)(cast_core *core), void (*wake_sysmon)(void)) {
  memset(&cast_sched, 0, sizeof cast_sched);
  cast_lock_init(&cast_sched.lock, CAST_RANK_SCHED);
  cast_list_init(&cast_sched.idle_workers);
  cast_list_init(&cast_sched.workers);
  cast_sched.min = 1;
  cast_sched.max = CAST_WORKERS_MAX;
  cast_sched.start = start;
  cast_sched.wake_sysmon = wake_sysmon;
  cast_cores_init(n);
}

void cast_sched_fini(void) {
  CAST_ALWAYS(cast_sched_workers() == 0 && cast_sched_busy() == 0);
}

/* Could another thread go on with a permit: an idle one, or a new one? */
static bool has_thread_locked(void) {
  return !cast_list_is_empty(&cast_sched.idle_workers) ||
         cast_sched.nworkers < cast_sched.max;
}

/* -- waking --------------------------------------------------------------- */

void cast_sched_stop_spinning(void) {
  /* PAIR sleep: before the queues are read again. */
  uint32_t old =
    atomic_fetch_sub_explicit(&cast_sched.nspinning, 1, memory_order_seq_cst);
  CAST_ASSERT(old > 0);
  CAST_UNUSED(old);
}

static void signal_worker(cast_worker *w) {
  /* PAIR signal: releases w->core and w->spinning to it, which may end at once:
     nothing of it is read after that, and so where it sleeps is told by the
     same word (PAIR polls). */
  uint32_t where =
    atomic_exchange_explicit(&w->signal, CAST_GO_ON, memory_order_seq_cst);
  if (CAST_UNLIKELY(where == CAST_POLLS))
    cast_poller_break();
  else
    os_wake(&w->signal, 1);
}

/* The idle worker to wake: rather not the one that sleeps in the poller, which
   costs more to wake, and has to be replaced there. NULL: there is none. */
static cast_worker *choose_idle_locked(void) {
  cast_list *l = cast_sched.idle_workers.next;
  cast_worker *w;
  if (l == &cast_sched.idle_workers) return NULL;
  w = CAST_CONTAINER(l, cast_worker, link);
  /* Relaxed: a hint. */
  if (atomic_load_explicit(&w->signal, memory_order_relaxed) == CAST_POLLS &&
      l->next != &cast_sched.idle_workers)
    w = CAST_CONTAINER(l->next, cast_worker, link);
  cast_list_remove(&w->link);
  return w;
}

/* Gives a core back because no worker could be started for it. True if a worker
   has fallen asleep meanwhile that could have had it. */
static bool undo_core(cast_core *core) {
  bool sleeper;
  cast_lock_take(&cast_sched.lock);
  cast_core_give_locked(core);
  cast_sched.retry_due = true;
  sleeper = !cast_list_is_empty(&cast_sched.idle_workers);
  cast_lock_drop(&cast_sched.lock);
  return sleeper;
}

static bool has_thread(void) {
  bool yes;
  cast_lock_take(&cast_sched.lock);
  yes = has_thread_locked();
  cast_lock_drop(&cast_sched.lock);
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
  if (atomic_load_explicit(&cast_sched.nspinning, memory_order_seq_cst) != 0)
    return true;
  /* PAIR sleep: counted as spinning before the worker is chosen. */
  if (!atomic_compare_exchange_strong_explicit(&cast_sched.nspinning, &none, 1,
        memory_order_seq_cst, memory_order_relaxed))
    return true;
  cast_lock_take(&cast_sched.lock);
  stopping = cast_sched.stopping;
  no_thread = !has_thread_locked();
  core = stopping || no_thread ? NULL : cast_core_take_locked();
  if (core != NULL && (w = choose_idle_locked()) != NULL) {
    w->core = core;
    w->spinning = true;
  }
  cast_lock_drop(&cast_sched.lock);
  if (core != NULL || no_thread) cast_sched.wake_sysmon();
  if (w != NULL) {
    signal_worker(w);
    return true;
  }
  if (core != NULL && cast_sched.start(core) == 0) return true;
  cast_sched_stop_spinning();
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
  cast_lock_take(&cast_sched.lock);
  if (cast_sched.nworkers == 0) core = cast_core_take_locked();
  cast_lock_drop(&cast_sched.lock);
  if (core == NULL) return 0;
  /* PAIR sleep: the new worker counts as a spinning one, as in try_wake. */
  atomic_fetch_add_explicit(&cast_sched.nspinning, 1, memory_order_seq_cst);
  cast_sched.wake_sysmon();
  rc = cast_sched.start(core);
  if (rc != 0) {
    cast_sched_stop_spinning();
    undo_core(core);
  }
  return rc;
}

void cast_sched_submit_global(cast_job *job) {
  cast_lock_take(&cast_sched.lock);
  cast_global_push_locked(job, job, 1);
  cast_lock_drop(&cast_sched.lock);
  cast_sched_wake();
}

void cast_sched_submit_local(cast_core *c, cast_job *job) {
  while (!cast_runq_push(&c->queue, job)) {
    cast_job *last;
    uint32_t n;
    cast_job *first = cast_runq_half(&c->queue, &last, &n);
    if (first == NULL) continue;
    cast_lock_take(&cast_sched.lock);
    cast_global_push_locked(first, last, n);
    cast_lock_drop(&cast_sched.lock);
  }
  cast_sched_wake();
}

void cast_sched_ready(cast_worker *w, cast_job *job) {
  cast_core *c = w != NULL ? w->core : NULL;
  cast_job *old;
  if (c == NULL || !cast_core_put(c, job, &old))
    cast_sched_submit_global(
      job); /* from outside of the pool, or without a permit: R31 */
  else if (old != NULL)
    cast_sched_submit_local(c, old);
}

void cast_sched_again(cast_worker *w, cast_job *job) {
  /* Behind the jobs in the global queue, if there are any: they would otherwise
     wait until this worker looks at that queue, CAST_GLOBAL_EVERY slices on. */
  if (cast_global_has_jobs() || cast_core_is_lost(w->core))
    cast_sched_submit_global(job);
  else
    cast_sched_submit_local(w->core, job);
}

bool cast_sched_has_backlog(cast_worker *w) {
  cast_core *c = w->core;
  cast_job *next;
  /* All of these reads are hints. A keeper has its thread for itself, and lets
     go only to be counted again (keeper.c). */
  if (CAST_UNLIKELY(c == NULL))
    return atomic_load_explicit(&w->counted, memory_order_relaxed) == 0;
  next = atomic_load_explicit(&c->next, memory_order_relaxed);
  if (next == CAST_CORE_LOST) return cast_cores_have_work();
  return next != NULL || cast_global_has_jobs() ||
         cast_cores_spare_hint() < 0 || cast_runq_len(&c->queue) != 0;
}

/* -- descriptors ---------------------------------------------------------- */

bool cast_sched_cover(void) {
  cast_worker *w = NULL;
  cast_core *core = NULL;
  bool stopping, no_thread;
  /* PAIR token: a worker that is busy gives up its core before it looks whether
     the token is free. */
  if (!cast_poller_wanted() || cast_poller_taken() || cast_cores_busy() != 0)
    return true;
  /* PAIR sleep: the new one counts as a spinner, as in try_wake. */
  atomic_fetch_add_explicit(&cast_sched.nspinning, 1, memory_order_seq_cst);
  cast_lock_take(&cast_sched.lock);
  stopping = cast_sched.stopping;
  no_thread = !has_thread_locked();
  if (!stopping && !no_thread) core = cast_core_take_locked();
  if (core != NULL && (w = choose_idle_locked()) != NULL) {
    w->core = core;
    w->spinning = true;
  }
  cast_lock_drop(&cast_sched.lock);
  if (core != NULL || no_thread) cast_sched.wake_sysmon();
  if (w != NULL) {
    signal_worker(w);
    return true;
  }
  if (core != NULL && cast_sched.start(core) == 0) return true;
  cast_sched_stop_spinning();
  if (core != NULL) (void)undo_core(core);
  if (cast_cores_have_work()) cast_sched_wake();
  return stopping;
}

/* -- for the runtime and sysmon ------------------------------------------- */

void cast_sched_limit(uint32_t n) {
  cast_lock_take(&cast_sched.lock);
  cast_cores_limit_locked(n);
  cast_lock_drop(&cast_sched.lock);
  if (cast_cores_have_work()) cast_sched_wake();
}

void cast_sched_bounds(uint32_t min, uint32_t max) {
  cast_lock_take(&cast_sched.lock);
  cast_sched.min = min;
  cast_sched.max = max;
  /* The idle workers compute again when they retire. */
  for (cast_list *l = cast_sched.idle_workers.next;
       l != &cast_sched.idle_workers; l = l->next)
    os_wake(&CAST_CONTAINER(l, cast_worker, link)->signal, 1);
  cast_lock_drop(&cast_sched.lock);
}

void cast_sched_stop(void) {
  cast_list *l;
  cast_lock_take(&cast_sched.lock);
  cast_sched.stopping = true;
  while ((l = cast_list_shift(&cast_sched.idle_workers)) != NULL) {
    /* It has no core, so its cast_sched_find returns NULL. */
    cast_worker *w = CAST_CONTAINER(l, cast_worker, link);
    signal_worker(w);
  }
  cast_lock_drop(&cast_sched.lock);
}

uint32_t cast_sched_busy(void) {
  /* PAIR wake_sysmon: as cast_cores_busy. Two reads will do, since whoever
     begins to run wakes sysmon: only what has run since before sysmon announced
     its sleep must be seen. */
  return cast_cores_busy() +
         atomic_load_explicit(&cast_sched.nkeeping, memory_order_seq_cst);
}

void cast_sched_quit(cast_worker *w) {
  cast_sched_stop_spinning();
  w->spinning = false;
  if (undo_core(w->core) && cast_cores_have_work()) cast_sched_wake();
  w->core = NULL;
}

bool cast_sched_enlist(cast_worker *w) {
  bool room;
  cast_lock_take(&cast_sched.lock);
  room = !cast_sched.stopping && cast_sched.nworkers < cast_sched.max;
  if (room) {
    cast_list_push(&cast_sched.workers, &w->all);
    cast_sched.nworkers++;
  }
  cast_lock_drop(&cast_sched.lock);
  return room;
}

void cast_sched_delist(cast_worker *w) {
  cast_lock_take(&cast_sched.lock);
  cast_list_remove(&w->all);
  cast_sched.nworkers--;
  if (w->retiring) cast_sched.nretiring--;
  cast_lock_drop(&cast_sched.lock);
}

uint32_t cast_sched_workers(void) {
  uint32_t n;
  cast_lock_take(&cast_sched.lock);
  n = cast_sched.nworkers + cast_sched.nkeepers;
  cast_lock_drop(&cast_sched.lock);
  return n;
}

/* -- slices that do not end ----------------------------------------------- */

cast_view cast_sched_view(cast_worker *w, bool *lost) {
  cast_view view = CAST_VIEW_CALM;
  bool waits;
  cast_core *c;
  *lost = false;
  cast_lock_take(&cast_sched.lock);
  c = w->core;
  if (c != NULL) {
    *lost = !c->permit;
    waits = cast_global_has_jobs() || cast_runq_len(&c->queue) != 0 ||
            (c->permit &&
              atomic_load_explicit(&c->next, memory_order_relaxed) != NULL);
    if (waits)
      view = cast_cores_spare() > 0 ? CAST_VIEW_SPARE : CAST_VIEW_CROWDED;
  }
  cast_lock_drop(&cast_sched.lock);
  return view;
}

void cast_sched_release_next(cast_worker *w) {
  cast_job *job;
  cast_lock_take(&cast_sched.lock);
  job = w->core != NULL ? cast_core_pull(w->core) : NULL;
  if (job != NULL) cast_global_push_locked(job, job, 1);
  cast_lock_drop(&cast_sched.lock);
}

bool cast_sched_retake(cast_worker *w, uint32_t tick) {
  bool yes;
  cast_lock_take(&cast_sched.lock);
  /* Relaxed: if w is about to leave the slice, no harm is done; it asks for a
     permit again before it takes the next job (R32). */
  yes = w->core != NULL && has_thread_locked() && cast_sched_tick(w) == tick;
  if (yes) cast_core_lose_locked(w->core);
  cast_lock_drop(&cast_sched.lock);
  return yes && cast_cores_have_work();
}

void cast_sched_wake_sysmon(void) {
  if (cast_sched.wake_sysmon != NULL) cast_sched.wake_sysmon();
}

bool cast_sched_is_quiet(void) {
  uint32_t sleeping = 0;
  bool quiet;
  cast_lock_take(&cast_sched.lock);
  for (cast_list *l = cast_sched.idle_workers.next;
       l != &cast_sched.idle_workers; l = l->next)
    sleeping++;
  quiet = sleeping == cast_sched.nworkers - cast_sched.nretiring &&
          cast_sched.nawake == 0 && !cast_cores_have_work();
  cast_lock_drop(&cast_sched.lock);
  return quiet;
}

bool cast_sched_has_waiting(void) { return cast_cores_have_work(); }

bool cast_sched_take_retry(void) {
  bool retry_due;
  cast_lock_take(&cast_sched.lock);
  retry_due = cast_sched.retry_due;
  cast_sched.retry_due = false;
  cast_lock_drop(&cast_sched.lock);
  return retry_due && cast_cores_have_work();
}
