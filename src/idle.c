/* idle.c - workers without a job: where they look for one, and how they sleep.
   SPDX-License-Identifier: MIT

   The interface is sched.h; sched.c queues jobs and wakes workers. A worker
   looks into its own queue, the global one and those of others; at descriptors,
   if any are waited for (io/poller.h); and then sleeps, the first one that
   finds the token free in the poller, the others on their words. Invariants,
   and the protocol of sleeping and waking: see sched.h and sched.c. */
#include "sched_in.h"

#include "../include/casting.h"

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
  cast_job *next;
  if (CAST_UNLIKELY(c == NULL)) return false; /* a keeper */
  next = atomic_load_explicit(&c->next, memory_order_relaxed);
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
  cast_lock_take(&cast_sched.lock);
  job = cast_global_pop_locked(c);
  cast_lock_drop(&cast_sched.lock);
  return job;
}

/* w has found a job. If it was spinning, others may have relied on its looking,
   so it wakes the next worker if there is more work. */
static cast_job *begin_job(cast_worker *w, cast_job *job) {
  count(w);
  if (!w->spinning) return job;
  w->spinning = false;
  cast_sched_stop_spinning();
  if (cast_cores_have_work()) cast_sched_wake();
  return job;
}

/* Looks for jobs in the global queue and in the queues of others for a while;
   NULL if it finds none. */
static cast_job *spin(cast_worker *w) {
  if (!w->spinning) {
    /* Relaxed: the bound on spinning workers need not be exact. */
    uint32_t n =
      atomic_load_explicit(&cast_sched.nspinning, memory_order_relaxed);
    if (2 * n >= cast_cores_busy()) return NULL;
    /* PAIR sleep: threads that see it rely on this worker's looking. */
    atomic_fetch_add_explicit(&cast_sched.nspinning, 1, memory_order_seq_cst);
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
  cast_lock_take(&cast_sched.lock);
  cast_global_push_locked(jobs->first, jobs->last, jobs->n);
  cast_lock_drop(&cast_sched.lock);
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
    cast_sched_submit_global(job);
  } else if (old != NULL) {
    cast_jobs_add(jobs, old);
  }
  while ((job = jobs->first) != NULL) {
    jobs->first = job->next;
    cast_sched_submit_local(c, job);
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

/* -- sleeping ------------------------------------------------------------- */

/* w has slept for long: if there are more workers than the minimum, it leaves
   the list of idle ones for good and returns true, to end. */
static bool retire(cast_worker *w) {
  cast_lock_take(&cast_sched.lock);
  w->retiring = w->core == NULL && !cast_sched.stopping &&
                cast_sched.nworkers - cast_sched.nretiring > cast_sched.min;
  if (w->retiring) {
    cast_list_remove(&w->link);
    cast_sched.nretiring++;
  }
  cast_lock_drop(&cast_sched.lock);
  return w->retiring;
}

/* When a worker that falls asleep now would retire. */
static uint64_t retire_at(void) {
  uint64_t at = OS_FOREVER;
  cast_lock_take(&cast_sched.lock);
  if (cast_sched.nworkers - cast_sched.nretiring > cast_sched.min)
    at = os_now() + (uint64_t)CAST_RETIRE_MS * 1000000u;
  cast_lock_drop(&cast_sched.lock);
  return at;
}

static bool is_signalled(cast_worker *w) {
  /* PAIR signal: acquire w->core and w->spinning. PAIR polls. */
  return atomic_load_explicit(&w->signal, memory_order_seq_cst) == CAST_GO_ON;
}

/* w says that it sleeps in the poller, or that it does no more. False: it is
   signalled. PAIR polls: one exchange, as the waker's. */
static bool says(cast_worker *w, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong_explicit(
    &w->signal, &from, to, memory_order_seq_cst, memory_order_seq_cst);
}

/* A core for what the poller gave w: true, if it has got one, or is being given
   one by a waker, whose signal is on its way. */
static bool gets_core(cast_worker *w, bool *own) {
  bool yes;
  *own = false;
  cast_lock_take(&cast_sched.lock);
  if (w->core == NULL && !cast_sched.stopping &&
      (w->core = cast_core_take_locked()) != NULL) {
    cast_list_remove(&w->link);
    *own = true;
  }
  yes = w->core != NULL;
  cast_lock_drop(&cast_sched.lock);
  return yes;
}

/* With the token, which is given up: w sleeps on its word for a while, *pause
   or until it is signalled, while others look. True: w has the token again. The
   order of the first two is that of R171. */
static bool leave_it_to_others(cast_worker *w, uint64_t *pause) {
  cast_poller_give();
  if (cast_cores_busy() != 0) {
    (void)os_wait(&w->signal, 0, os_now() + *pause);
    if (*pause < CAST_PAUSE_MAX_NS) *pause *= 2;
  }
  return cast_poller_take();
}

/* With the token: w sleeps in the poller, until it is signalled, or another
   thread has the token, or it gets a core for what is ready: then true. While
   what it is told is for sessions that others run already, it would be woken
   for each message, and have nothing to do: then it leaves the poller to them,
   for ever longer (R191). */
static bool sleep_in_poller(cast_worker *w) {
  bool own = false, has_token = true;
  uint64_t pause = CAST_PAUSE_MIN_NS;
  while (!own && has_token && !is_signalled(w)) {
    cast_jobs jobs = {NULL, NULL, 0};
    cast_told told;
    told.n = 0;
    if (says(w, 0, CAST_POLLS)) {
      cast_poller_ask(&told, OS_FOREVER, NULL, NULL);
      (void)says(w, CAST_POLLS, 0);
    }
    cast_poller_deal(&told, NULL, &jobs);
    if (jobs.first == NULL) {
      cast_poller_dealt(&told);
      has_token = leave_it_to_others(w, &pause);
      continue;
    }
    pause = CAST_PAUSE_MIN_NS;
    if (gets_core(w, &own) && own) {
      cast_poller_give();
      cast_sched.wake_sysmon();
      cast_sched_take_jobs(w, &jobs);
    } else {
      push_global(&jobs); /* for those that have the permits */
      cast_sched_wake();
    }
    cast_poller_dealt(&told);
  }
  if (!own && has_token) cast_poller_give();
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
  cast_lock_take(&cast_sched.lock);
  if (w->core == NULL && (w->core = cast_core_take_locked()) != NULL) {
    cast_list_remove(&w->link);
    /* PAIR sleep: it looks for work again, and counts. */
    atomic_fetch_add_explicit(&cast_sched.nspinning, 1, memory_order_seq_cst);
    w->spinning = true;
    back = true;
  }
  cast_lock_drop(&cast_sched.lock);
  return back;
}

/* w has found nothing: gives its core back and sleeps. Returns a job if one
   came into the global queue at the last moment. Otherwise NULL: then w has a
   core again, or it has none and must end. */
static cast_job *go_to_sleep(cast_worker *w) {
  cast_job *job = NULL;
  bool was_spinning = w->spinning, stop, unnoticed = false;
  cast_lock_take(&cast_sched.lock);
  stop = cast_sched.stopping;
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
    if (!stop) cast_list_unshift(&cast_sched.idle_workers, &w->link);
  }
  cast_lock_drop(&cast_sched.lock);
  if (job != NULL) return job;
  if (was_spinning) cast_sched_stop_spinning();
  /* Without a permit it did not count as busy: sysmon may have fallen
     asleep before, and must look whether this was the last worker (R90). */
  if (unnoticed) cast_sched.wake_sysmon();
  if (stop) return NULL;
  if (cast_cores_have_work() && take_back(w)) return NULL;
  await_signal(w);
  return NULL;
}

/* A core may not run sessions now: moves its jobs to the global queue. */
static void empty_queue(cast_core *c) {
  cast_job *job;
  while ((job = pick_local(c)) != NULL) {
    cast_lock_take(&cast_sched.lock);
    cast_global_push_locked(job, job, 1);
    cast_lock_drop(&cast_sched.lock);
    cast_sched_wake(); /* the limit may have been raised meanwhile */
  }
}

/* c's permit was taken away during the last slice: tries to get another one. As
   the core is busy again then, sysmon must not sleep. */
static bool regain(cast_core *c) {
  bool yes;
  cast_lock_take(&cast_sched.lock);
  yes = !cast_sched.stopping && cast_core_regain_locked(c);
  cast_lock_drop(&cast_sched.lock);
  if (yes) cast_sched.wake_sysmon();
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
