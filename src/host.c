/* host.c - a main program's thread while it waits.
   SPDX-License-Identifier: MIT

   Owner and life: see host.h. The session of a host is in one of three states
   (DESIGN, R57 and R74):
     running           the thread runs the main program, or tasks; nobody wakes
                       it
     idle              the thread sleeps in sleep_until_ready() on the event,
                       which a waker sets
     idle and `away`   the program is in its own event loop, which has the
                       descriptor */
#include "host.h"

#include "../include/casting.h"
#include "fork.h"
#include "io/descriptor.h"
#include "limits.h"
#include "sched.h"

/* Was the main program interrupted, because a signal handler has set a hook?
   Its wait has ended then. */
static bool is_interrupted(void *arg) {
  cast_host *h = arg;
  return h->session->ops->interrupted != NULL &&
         h->session->ops->interrupted(h->session);
}

/* While workers run sessions, an answer is likely soon, and a sleep and a
   wake-up cost tens of microseconds: so the thread looks for a moment first.
   True if a post has come. */
static bool spin(cast_host *h) {
  if (cast_sched_busy() == 0) return false;
  for (uint32_t i = 0; i < CAST_SPIN_ROUNDS; i++) {
    if (cast_session_is_notified(h->session)) return true;
    for (uint32_t k = 0; k < CAST_SPIN_PAUSES; k++) os_relax();
  }
  return false;
}

/* -- tasks that compute while the main program waits ---------------------- */

/* Does it sleep, and may a signal have come just before (R52)? */
static bool must_check(cast_host *h) {
  /* PAIR watch: as above. Relaxed: another number than what was checked is
     enough, whichever it is. */
  return atomic_load_explicit(&h->where, memory_order_seq_cst) ==
           CAST_AT_SLEEP &&
         atomic_load_explicit(&h->nrests, memory_order_relaxed) != h->checked &&
         atomic_exchange_explicit(&h->watched, 1, memory_order_relaxed) == 0;
}

/* The `after` of the watch. If the thread sleeps by now, a signal that comes
   from here on ends its sleep; one that came before has set the hook. */
static void check_sleep(cast_timer *t) {
  cast_host *h = CAST_CONTAINER(t, cast_host, watch);
  os_thread thread = {atomic_load_explicit(&h->thread, memory_order_relaxed)};
  uint32_t n = atomic_load_explicit(&h->nrests, memory_order_relaxed);
  if (os_thread_is_asleep(&thread)) {
    h->checked = n;
    if (h->session->ops->urgent != NULL && h->session->ops->urgent(h->session))
      cast_poller_break();
  }
  /* PAIR watch: release, as in on_watch. */
  atomic_store_explicit(&h->preempting, 0, memory_order_release);
}

/* The `fire` of the watch, on sysmon's thread. The watch is not set for a
   host that sleeps or runs its main program (R74). To lose no change, this
   function first notes that the watch is not set and then reads where the host
   is, while the host first notes where it is and then reads whether the watch
   is set. */
static bool on_watch(cast_timer *t) {
  cast_host *h = CAST_CONTAINER(t, cast_host, watch);
  /* PAIR watch: each side stores first, then reads. */
  atomic_store_explicit(&h->watched, 0, memory_order_seq_cst);
  atomic_store_explicit(&h->preempting, 1, memory_order_seq_cst);
  if (atomic_load_explicit(&h->where, memory_order_seq_cst) == CAST_AT_TASKS &&
      atomic_exchange_explicit(&h->watched, 1, memory_order_relaxed) == 0) {
    os_thread thread = {atomic_load_explicit(&h->thread, memory_order_relaxed)};
    if (cast_runner_asks_again(&h->runner) ||
        (h->session->ops->urgent != NULL &&
          h->session->ops->urgent(h->session)))
      os_preempt(&thread);
    cast_timer_again(t, os_now() + CAST_HOST_WATCH_NS);
  } else if (must_check(h)) {
    cast_timer_again(t, os_now() + CAST_HOST_WATCH_NS);
    return true;
  } else {
    cast_timer_again(t, OS_FOREVER); /* keeps its room in the heap */
  }
  /* PAIR watch: release; once it has seen this, the host's thread may end. */
  atomic_store_explicit(&h->preempting, 0, memory_order_release);
  return false;
}

/* The host begins to run tasks: sets the watch, if it is not set. */
static void enter_tasks(cast_host *h) {
  bool begins = h->begins;
  uint64_t now;
  h->begins = false;
  /* PAIR watch: noted before the watch is looked at. */
  atomic_store_explicit(&h->where, CAST_AT_TASKS, memory_order_seq_cst);
  if (CAST_LIKELY(atomic_load_explicit(&h->watched, memory_order_seq_cst) != 0))
    return;
  /* Relaxed: the timer lock orders what follows. */
  if (atomic_exchange_explicit(&h->watched, 1, memory_order_relaxed) != 0)
    return;
  now = os_now();
  /* Sysmon may have slept while the main program ran, so the coarse clock was
     late, and so is the beginning of the main program's wait, if that has just
     begun. */
  cast_clock_set(now);
  if (begins) h->main->waiter.since = cast_clock();
  /* Cannot fail: it has had room in the heap from the beginning. */
  if (cast_timer_set(&h->watch, now + CAST_HOST_WATCH_NS) != 0)
    cast_panic(__FILE__, __LINE__, "a watch was lost");
}

/* The host goes back to its main program. */
static void leave_tasks(cast_host *h) {
  /* PAIR watch: a signal that is being sent must arrive before the thread goes
     on, since the thread may end next. */
  atomic_store_explicit(&h->where, CAST_AT_MAIN, memory_order_seq_cst);
  while (atomic_load_explicit(&h->preempting, memory_order_seq_cst) != 0)
    os_cede();
}

static int await_event(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  int rc = os_event_wait(&h->event, deadline_ns, stop, arg);
  /* Nothing would ever be told again, and waiting would not end. */
  if (CAST_UNLIKELY(rc == OS_EBADF))
    cast_panic(__FILE__, __LINE__,
      "the program has closed a descriptor of casting's own, an eventfd");
  return rc;
}

/* Makes the idle session running again. If a pusher has ended the idle state,
   it sets the event as the last thing it does with the session. So this
   function waits for that and clears the event: afterwards the session may be
   freed. */
static void reclaim(cast_host *h) {
  if (cast_session_reclaim(h->session)) return;
  while (await_event(h, OS_FOREVER, NULL, NULL) != 0) {}
  os_event_clear(&h->event);
  /* Relaxed: the pusher was through with it before the event. */
  atomic_store_explicit(&h->woken, 0, memory_order_relaxed);
}

/* With the token: the same in the poller, which wakes tasks of this session and
   of others. It is running again then. */
static int sleep_in_poller(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  cast_jobs jobs = {NULL, NULL, 0};
  cast_told told; /* with room for many: not cleared each time */
  bool stopped = false;
  told.n = 0;
  /* The watch, which is set, finds out if a signal was missed. Relaxed: see
     must_check. */
  if (stop == is_interrupted) {
    atomic_store_explicit(&h->nrests,
      1 + atomic_load_explicit(&h->nrests, memory_order_relaxed),
      memory_order_relaxed);
    stopped = stop(arg);
    stop = os_poller_yields;
  }
  /* PAIR polls: said before it is looked whether the session was woken. */
  atomic_store_explicit(&h->polls, 1, memory_order_seq_cst);
  if (atomic_load_explicit(&h->woken, memory_order_seq_cst) == 0 && !stopped)
    cast_poller_ask(&told, deadline_ns, stop, arg);
  atomic_store_explicit(&h->polls, 0, memory_order_relaxed);
  cast_poller_give();
  reclaim(h);
  cast_poller_deal(&told, h->session, &jobs);
  cast_sched_take_jobs(NULL, &jobs);
  cast_poller_dealt(&told);
  if (CAST_UNLIKELY(cast_poller_wanted())) (void)cast_sched_cover();
  if (told.n == 0 && deadline_ns != OS_FOREVER && os_now() >= deadline_ns)
    return OS_ETIMEOUT;
  return told.n < 0 ? told.n : 0;
}

/* The host is about to sleep: does it so in the poller, with the token? Else
   somebody looks for it. */
static bool polls_itself(cast_host *h) {
  if (CAST_LIKELY(!cast_poller_wanted_by_host())) {
    (void)cast_sched_cover();
    return false;
  }
  if (cast_poller_take()) return true;
  /* PAIR token: counted, and then tried again: either the token is free by now,
     or its holder, when it gives it up, finds the count. */
  cast_poller_away(true);
  if (cast_poller_take()) {
    cast_poller_away(false);
    return true;
  }
  h->relies = true;
  return false;
}

/* The session is idle: sleeps until a post comes, its next deadline,
   deadline_ns, or a signal after which stop(arg) returns true; then the session
   is running again. Returns what os_event_wait has returned, or 0. */
static int sleep_until_ready(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  uint64_t next = cast_session_next(h->session);
  int rc = 0;
  if (next > deadline_ns) next = deadline_ns;
  if (!spin(h)) {
    bool waits = next == OS_FOREVER && cast_wait_is_armed(&h->main->wait);
    if (waits) cast_sleeper_toggle(&h->sleeper);
    /* PAIR watch: release; sysmon looks for deadlocks after it. If the
       watch does not see this in time, it fires once more in vain. */
    atomic_store_explicit(&h->where, CAST_AT_SLEEP, memory_order_release);
    if (polls_itself(h)) {
      rc = sleep_in_poller(h, next, stop, arg);
      if (waits) cast_sleeper_toggle(&h->sleeper);
      return rc;
    }
    rc = await_event(h, next, stop, arg);
    if (waits) cast_sleeper_toggle(&h->sleeper);
    if (h->relies) cast_poller_away(false);
    h->relies = false;
  } else if (++h->nspins % CAST_GLOBAL_EVERY == 0) {
    reclaim(h);
    cast_sched_look_as_host(h->session);
    return 0;
  }
  reclaim(h);
  return rc;
}

/* The loop of a host's runner, on a second C stack: runs tasks, or sleeps. The
   end of the main program's wait makes cast_session_run jump back to the main
   program's stack. */
static void loop(cast_runner *r) {
  cast_host *h = CAST_CONTAINER(r, cast_host, runner);
  for (;;) {
    cast_run_end end;
    enter_tasks(h);
    end = cast_session_run(h->session, r);
    /* A host's session neither closes here nor goes into a run queue. */
    CAST_ALWAYS(end.how == CAST_RUN_IDLE && end.runner == r);
    (void)sleep_until_ready(h, OS_FOREVER, is_interrupted, h);
  }
}

/* The program is deadlocked (deadlock.c): ends the main program's wait, unless
   that has ended meanwhile. */
static void on_deadlock(cast_session *s, cast_post *p, bool closed) {
  cast_host *h = CAST_CONTAINER(p, cast_host, sleeper.deadlock_post);
  CAST_UNUSED(s);
  cast_sleeper_told(&h->sleeper);
  if (!closed) cast_wait_end(h->main, CAST_DEADLOCK);
}

/* -- a main program with an event loop of its own ------------------------- */

void cast_host_return(cast_host *h) {
  if (!h->session->away) return;
  h->session->away = false;
  reclaim(h);
}

/* Back in its main program, a host that has asked for its descriptor is away.
   */
static void depart(cast_host *h) {
  if (!h->pollable) return;
  cast_session_depart(h->session);
  if (CAST_UNLIKELY(cast_poller_wanted())) (void)cast_sched_cover();
}

void cast_host_block(cast_host *h) {
  cast_host_return(h);
  h->begins = true;
  cast_task_block(h->main);
  if (CAST_UNLIKELY(cast_forked)) return; /* there is no sysmon here */
  leave_tasks(h);
  depart(h);
}

int cast_host_fd(cast_host *h) {
  if (h->event.fd >= 0 && !h->pollable) {
    h->pollable = true;
    cast_poller_away(true);
    depart(h);
  }
  return h->event.fd;
}

int cast_host_poll(
  cast_host *h, uint64_t deadline_ns, bool (*stop)(void *), void *arg) {
  cast_session *s = h->session;
  int rc = 0;
  cast_host_return(h);
  cast_sched_look_as_host(s);
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
  /* The main program goes behind all tasks that are ready: it comes back here
     when each of them has run once. */
  cast_task_yield(h->main);
  cast_host_block(h);
  return 0;
}

/* -- life ----------------------------------------------------------------- */

/* The event comes last: then the host may go. */
void cast_host_wake(cast_host *h) {
  /* PAIR polls: said before it is looked whether it sleeps in the poller. */
  atomic_store_explicit(&h->woken, 1, memory_order_seq_cst);
  if (CAST_UNLIKELY(atomic_load_explicit(&h->polls, memory_order_seq_cst) != 0))
    cast_poller_break();
  os_event_set(&h->event);
}

int cast_host_init(cast_host *h, cast_session *session, cast_task *main) {
  h->runner.loop = loop;
  h->session = session;
  h->main = main;
  h->watch.fire = on_watch;
  h->watch.after = check_sleep;
  h->watch.passive = true;
  session->runner = &h->runner;
  session->current = main;
  h->event.fd = -1;
  if (cast_timer_set(&h->watch, OS_FOREVER) != 0) return CASTING_ENOMEM;
  cast_sleeper_enlist(&h->sleeper, session, on_deadlock);
  cast_poller_host(true);
  return 0;
}

bool cast_hosts_own(int fd) {
  bool own = false;
  cast_sleepers_lock();
  for (cast_sleeper *r = NULL; (r = cast_sleepers_next(r)) != NULL;) {
    const cast_host *h = CAST_CONTAINER(r, cast_host, sleeper);
    own |= h->prepared && h->event.fd == fd;
  }
  cast_sleepers_unlock();
  return own;
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
  /* PAIR watch: what the watch does after its fire. */
  while (atomic_load_explicit(&h->preempting, memory_order_seq_cst) != 0)
    os_cede();
  cast_slot_give(h->slot);
  h->slot = NULL;
}

void cast_host_fini(cast_host *h) {
  cast_host_unwatch(h);
  cast_poller_host(false);
  if (h->pollable) cast_poller_away(false);
  cast_runner_fini(&h->runner);
  if (h->own != NULL) os_context_free(h->own);
  if (h->prepared) os_event_fini(&h->event);
}

/* Adopts the calling thread's stack, as another thread may have run the state
   last time: 0 or CASTING_ENOMEM. */
static int adopt(cast_host *h) {
  uintptr_t thread = os_thread_self();
  os_context *own;
  /* Relaxed: written by the owner, read by the watch while the owner runs
     tasks. */
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
  if (h->event.fd >= 0) cast_descriptor_lost(h->event.fd);
  cast_sleepers_lock(); /* others look at it, see cast_hosts_own */
  h->prepared = true;
  cast_sleepers_unlock();
  return 0;
}

int cast_host_reserve(cast_host *h) {
  /* Another task of the state that blocks in place runs on the loop's stack, so
     there is nothing to adopt. */
  if (h->session->current == h->main && adopt(h) != 0) return CASTING_ENOMEM;
  return cast_runner_reserve(&h->runner);
}
