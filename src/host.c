/* host.c - a main program's thread while it waits.
   SPDX-License-Identifier: MIT */
#include "host.h"

#include "../include/casting.h"
#include "fork.h"
#include "limits.h"
#include "sched.h"

/* The main program was interrupted (a signal handler has set a hook). */
static bool is_interrupted(void *arg) {
  cast_host *h = arg;
  return h->session->ops->interrupted != NULL &&
         h->session->ops->interrupted(h->session);
}

/* Somebody of the pool is likely to answer soon: crossing threads by sleeping
   costs tens of microseconds, so look for a moment first. */
static bool spin(cast_host *h) {
  if (cast_sched_busy() == 0) return false;
  for (uint32_t i = 0; i < CAST_SPIN_ROUNDS; i++) {
    if (cast_session_is_notified(h->session)) return true;
    for (uint32_t k = 0; k < CAST_SPIN_PAUSES; k++) os_relax();
  }
  return false;
}

/* -- tasks that compute while the main program waits ---------------------- */

/* Sysmon. R74: the timer is not set for a host that rests or is in its main
   program; it takes itself out first and then looks again, while the host says
   first where it is and then looks whether the timer is set. */
static bool on_watch(cast_timer *t) {
  cast_host *h = CAST_CONTAINER(t, cast_host, watch);
  /* PAIR watch: each side stores first, then reads. */
  atomic_store_explicit(&h->watched, 0, memory_order_seq_cst);
  atomic_store_explicit(&h->preempting, 1, memory_order_seq_cst);
  if (atomic_load_explicit(&h->where, memory_order_seq_cst) == CAST_AT_TASKS &&
      atomic_exchange_explicit(&h->watched, 1, memory_order_relaxed) == 0) {
    os_thread thread = {atomic_load_explicit(&h->thread, memory_order_relaxed)};
    if (h->session->ops->urgent != NULL && h->session->ops->urgent(h->session))
      os_preempt(&thread);
    cast_timer_again(t, os_now() + CAST_HOST_WATCH_NS);
  } else {
    cast_timer_again(t, OS_FOREVER); /* keeps its place */
  }
  /* PAIR watch: release; the host's thread may end after it has seen this. */
  atomic_store_explicit(&h->preempting, 0, memory_order_release);
  return false;
}

static void enter_tasks(cast_host *h) {
  bool begins = h->begins;
  uint64_t now;
  h->begins = false;
  /* PAIR watch: said first, then the timer is looked at. */
  atomic_store_explicit(&h->where, CAST_AT_TASKS, memory_order_seq_cst);
  if (CAST_LIKELY(atomic_load_explicit(&h->watched, memory_order_seq_cst) != 0))
    return;
  /* Relaxed: the timer's lock orders what follows. */
  if (atomic_exchange_explicit(&h->watched, 1, memory_order_relaxed) != 0)
    return;
  now = os_now();
  /* Sysmon may have slept while the main program ran: then the main program's
     wait, if it has just begun, was not given the right time. */
  cast_clock_set(now);
  if (begins) h->main->waiter.since = cast_clock();
  /* Cannot fail: it has had its place in the heap from the beginning. */
  if (cast_timer_set(&h->watch, now + CAST_HOST_WATCH_NS) != 0)
    cast_panic(__FILE__, __LINE__, "a watch was lost");
}

static void leave_tasks(cast_host *h) {
  /* PAIR watch: a preempt signal that has begun arrives before the thread goes
     on, which might end next. */
  atomic_store_explicit(&h->where, CAST_AT_MAIN, memory_order_seq_cst);
  while (atomic_load_explicit(&h->preempting, memory_order_seq_cst) != 0)
    os_cede();
}

/* From idle to running again. Each idle time that a pusher has ended uses up
   its one set: then the pusher is through with the session, which may be freed
   next. */
static void reclaim(cast_host *h) {
  if (cast_session_reclaim(h->session)) return;
  while (os_event_wait(&h->event, OS_FOREVER, NULL, NULL) != 0) {}
  os_event_clear(&h->event);
}

/* The session is idle: sleeps until it has something to do. */
static int sleep_until_ready(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  uint64_t next = cast_session_next(h->session);
  int rc = 0;
  if (next > deadline_ns) next = deadline_ns;
  if (!spin(h)) {
    bool waits = next == OS_FOREVER && cast_wait_is_armed(&h->main->wait);
    if (waits) cast_sleeper_toggle(&h->sleeper);
    /* PAIR watch: release; sysmon looks for deadlocks after it. If the
       timer misses it, it looks once more for nothing. */
    atomic_store_explicit(&h->where, CAST_AT_SLEEP, memory_order_release);
    rc = os_event_wait(&h->event, next, stop, arg);
    if (waits) cast_sleeper_toggle(&h->sleeper);
  }
  reclaim(h);
  return rc;
}

static void loop(cast_runner *r) {
  cast_host *h = CAST_CONTAINER(r, cast_host, runner);
  for (;;) {
    cast_run_end end;
    enter_tasks(h);
    end = cast_session_run(h->session, r);
    /* A host's session neither closes here nor is put back for others. */
    CAST_ALWAYS(end.how == CAST_RUN_IDLE && end.runner == r);
    (void)sleep_until_ready(h, OS_FOREVER, is_interrupted, h);
  }
}

/* Nothing can end the main program's wait, unless it has ended meanwhile. */
static void on_deadlock(cast_session *s, cast_post *p, bool closed) {
  cast_host *h = CAST_CONTAINER(p, cast_host, sleeper.deadlock_post);
  CAST_UNUSED(s);
  cast_sleeper_told(&h->sleeper);
  if (!closed) cast_wait_end(h->main, CAST_DEADLOCK);
}

/* -- a main program with a loop of its own -------------------------------- */

void cast_host_return(cast_host *h) {
  if (!h->session->away) return;
  h->session->away = false;
  reclaim(h);
}

static void depart(cast_host *h) {
  if (h->pollable) cast_session_depart(h->session);
}

void cast_host_block(cast_host *h) {
  cast_host_return(h);
  h->begins = true;
  cast_task_block(h->main);
  if (CAST_UNLIKELY(cast_forked)) return; /* sysmon is not there */
  leave_tasks(h);
  depart(h);
}

int cast_host_fd(cast_host *h) {
  if (h->event.fd >= 0 && !h->pollable) {
    h->pollable = true;
    depart(h);
  }
  return h->event.fd;
}

int cast_host_poll(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  cast_session *s = h->session;
  int rc = 0;
  cast_host_return(h);
  while (!cast_session_look(s)) {
    if (rc == OS_EINTR && stop(arg)) {
      depart(h);
      return CASTING_EINTR;
    }
    if (deadline_ns != OS_FOREVER && os_now() >= deadline_ns) {
      depart(h);
      return CASTING_ETIMEOUT;
    }
    if (cast_session_go_idle(s))
      rc = sleep_until_ready(h, deadline_ns, stop, arg);
  }
  /* Behind all that is ready: the loop comes back here once it has run. */
  cast_task_yield(h->main);
  cast_host_block(h);
  return 0;
}

/* -- life ----------------------------------------------------------------- */

void cast_host_wake(cast_host *h) { os_event_set(&h->event); }

int cast_host_init(cast_host *h, cast_session *session, cast_task *main) {
  h->runner.loop = loop;
  h->session = session;
  h->main = main;
  h->watch.fire = on_watch;
  h->watch.passive = true;
  session->runner = &h->runner;
  session->current = main;
  h->event.fd = -1;
  if (cast_timer_set(&h->watch, OS_FOREVER) != 0) return CASTING_ENOMEM;
  cast_sleeper_enlist(&h->sleeper, session, on_deadlock);
  return 0;
}

void cast_hosts_forked(void) {
  for (cast_sleeper *r = NULL; (r = cast_sleepers_next(r)) != NULL;) {
    cast_host *h = CAST_CONTAINER(r, cast_host, sleeper);
    if (h->prepared) (void)os_event_renew(&h->event);
  }
}

void cast_host_unwatch(cast_host *h) {
  cast_sleeper_delist(&h->sleeper);
  cast_timer_remove(&h->watch);
  cast_slot_give(h->slot);
  h->slot = NULL;
}

void cast_host_fini(cast_host *h) {
  cast_host_unwatch(h);
  cast_runner_fini(&h->runner);
  if (h->own != NULL) os_context_free(h->own);
  if (h->prepared) os_event_fini(&h->event);
}

/* The state may be run by another thread of its host than last time. */
static int adopt(cast_host *h) {
  uintptr_t thread = os_thread_self();
  os_context *own;
  /* Relaxed: the owner's, and read by the timer while that is in its loop. */
  if (h->own != NULL &&
      atomic_load_explicit(&h->thread, memory_order_relaxed) == thread)
    return 0;
  own = os_context_adopt();
  if (own == NULL) return CASTING_ENOMEM;
  if (h->own != NULL) os_context_free(h->own);
  h->own = h->runner.at = own;
  atomic_store_explicit(&h->thread, thread, memory_order_relaxed);
  atomic_store_explicit(
    &h->sleeper.first, os_thread_is_first(), memory_order_relaxed);
  if (h->session->ops->urgent == NULL) return 0;
  cast_slot_give(h->slot);
  h->slot = cast_slot_take(&h->runner);
  return 0;
}

int cast_host_prepare(cast_host *h) {
  if (h->prepared) return 0;
  if (os_event_init(&h->event) != 0) return CASTING_ENOMEM;
  h->prepared = true;
  return 0;
}

int cast_host_reserve(cast_host *h) {
  /* A main-state task that blocks in place runs on a loop's stack already. */
  if (h->session->current == h->main && adopt(h) != 0) return CASTING_ENOMEM;
  return cast_runner_reserve(&h->runner);
}
