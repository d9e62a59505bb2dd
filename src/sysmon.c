/* sysmon.c - timers, and jobs that wait behind a long slice.
   SPDX-License-Identifier: MIT

   One thread. It sleeps until the next deadline. While workers run sessions, it
   also looks at them, every CAST_TICK_NS at first, and up to CAST_TICK_MAX_NS
   apart when nothing had to be done for a while (cast_workers_check). Once the
   pool has been idle for CAST_QUIET_TICKS looks, it falls into a *deep sleep*
   without a deadline of its own, so that an idle process makes no wake-ups; the
   thread that makes a core busy again wakes it (cast_sysmon_wake). Just
   before the deep sleep it looks for a deadlock (deadlock.h).

   Locks: CAST_RANK_HOST for starting and stopping the thread. */
#include "sysmon.h"

#include "../include/casting.h"
#include "deadlock.h"
#include "fork.h"
#include "limits.h"
#include "lock.h"
#include "sched.h"
#include "timer.h"
#include "worker.h"

static struct {
  cast_lock lock;
  os_thread thread;          /* (lock) */
  _Atomic bool runs;         /* (a) the thread runs; written under the lock */
  _Atomic uint32_t asleep;   /* (a) 1: it is in deep sleep */
  _Atomic uint32_t stopping; /* (a) 1: it must end */
  _Atomic uint32_t asked;    /* (a) 1: it must call `answer` */
  void (*answer)(void);      /* (lock); (i) once the handler is installed */
} sysmon = {.lock = CAST_LOCK_STATIC(CAST_RANK_HOST)};

/* Called as a signal handler, so it only stores a flag and wakes sysmon.
   */
static void ask(void) {
  /* Relaxed: the kick orders it. */
  atomic_store_explicit(&sysmon.asked, 1, memory_order_relaxed);
  cast_timer_kick();
}

void cast_sysmon_answer(void (*answer)(void)) {
  cast_lock_take(&sysmon.lock);
  sysmon.answer = answer;
  /* Relaxed: written under this lock. */
  if (atomic_load_explicit(&sysmon.runs, memory_order_relaxed))
    (void)os_ask_install(ask);
  cast_lock_drop(&sysmon.lock);
}

void cast_sysmon_forked(void) { os_ask_remove(); }

void cast_sysmon_wake(void) {
  /* PAIR wake_sysmon: the caller has made a core busy (under the scheduler's
     lock) before it reads this; sysmon looks at the cores after setting it. */
  if (CAST_LIKELY(
        atomic_load_explicit(&sysmon.asleep, memory_order_seq_cst) == 0))
    return;
  atomic_store_explicit(&sysmon.asleep, 0, memory_order_relaxed);
  cast_clock_set(os_now());
  cast_timer_kick();
}

bool cast_sysmon_is_asleep(void) {
  /* PAIR wake_sysmon: for tests; what it wakes for comes after. */
  return atomic_load_explicit(&sysmon.asleep, memory_order_seq_cst) != 0;
}

/* Enters the deep sleep; false if a session runs or waits. It announces the
   sleep first and then looks, so that a worker that begins to run sees one or
   the other. */
static bool fall_asleep(void) {
  /* PAIR wake_sysmon: set before the cores are read. */
  atomic_store_explicit(&sysmon.asleep, 1, memory_order_seq_cst);
  if (cast_sched_busy() == 0 && !cast_sched_has_waiting() && cast_sched_cover())
    return true;
  atomic_store_explicit(&sysmon.asleep, 0, memory_order_relaxed);
  return false;
}

/* Again, if descriptors have become ready meanwhile: that spoils a look, and
   nobody would make sysmon look again. */
static void look_for_deadlock(void) {
  uint32_t before, after;
  do {
    while (cast_poller_deals(&before)) os_cede();
    cast_deadlock_detect();
    (void)cast_poller_deals(&after);
  } while (before != after);
}

/* What sysmon has seen, and when it looks next. */
typedef struct watch {
  uint64_t at_ns; /* when it looks at the workers next */
  uint64_t tick;  /* the time between two looks, in ns */
  uint32_t calm;  /* looks in a row at which nothing had to be done */
  uint32_t quiet; /* looks in a row at which the pool was idle */
} watch;

/* Nothing had to be done: after a while the looks are further apart. */
static void grow_calm(watch *w) {
  if (w->calm < CAST_CALM_TICKS)
    w->calm++;
  else
    w->tick = CAST_TICK_MAX_NS;
}

/* One look at the workers. A pool that is often idle, as that of a server is,
   is as calm as one whose slices are short. */
static void look_around(watch *w, uint64_t now) {
  uint64_t next = OS_FOREVER;
  cast_sched_look();
  if (cast_sched_busy() == 0 && !cast_sched_has_waiting()) {
    if (w->quiet < CAST_QUIET_TICKS) w->quiet++;
    grow_calm(w);
    w->at_ns = now + w->tick;
    return;
  }
  w->quiet = 0;
  if (cast_workers_check(now, &next)) {
    w->calm = 0;
    w->tick = CAST_TICK_NS;
  } else {
    grow_calm(w);
  }
  w->at_ns = now + w->tick;
  if (next < w->at_ns) w->at_ns = next;
}

static void sysmon_main(void *arg) {
  watch w = {.tick = CAST_TICK_NS};
  CAST_UNUSED(arg);
  /* PAIR stop: acquire, although only the flag itself matters. */
  for (;;) {
    /* Taken before any condition is read: a later kick ends the sleep. */
    uint32_t ticket = cast_timer_ticket();
    uint64_t now;
    bool deep;
    if (atomic_load_explicit(&sysmon.stopping, memory_order_acquire)) break;
    deep = w.quiet >= CAST_QUIET_TICKS && fall_asleep();
    if (deep) look_for_deadlock();
    cast_timer_sleep(ticket, deep ? OS_FOREVER : w.at_ns);
    if (atomic_exchange_explicit(&sysmon.asked, 0, memory_order_relaxed) != 0)
      sysmon.answer();
    now = os_now();
    if (deep) {
      atomic_store_explicit(&sysmon.asleep, 0, memory_order_relaxed);
      /* A timer may have woken it: if the pool is still idle at the next look,
         it goes back to deep sleep at once. */
      w.at_ns = 0;
      w.quiet = CAST_QUIET_TICKS;
    }
    if (now >= w.at_ns) look_around(&w, now);
  }
}

static int start_locked(void) {
  atomic_store_explicit(&sysmon.stopping, 0, memory_order_relaxed);
  atomic_store_explicit(&sysmon.asleep, 0, memory_order_relaxed);
  cast_fork_threads(true);
  if (os_thread_start(&sysmon.thread, sysmon_main, NULL, "casting/mon") != 0) {
    cast_fork_threads(false);
    return CASTING_ENOMEM;
  }
  if (sysmon.answer != NULL) (void)os_ask_install(ask);
  /* Relaxed: a thread that finds it set needs nothing else from here. */
  atomic_store_explicit(&sysmon.runs, true, memory_order_relaxed);
  return 0;
}

int cast_sysmon_start(void) {
  int rc = 0;
  if (CAST_LIKELY(atomic_load_explicit(&sysmon.runs, memory_order_relaxed)))
    return 0;
  cast_lock_take(&sysmon.lock);
  if (!atomic_load_explicit(&sysmon.runs, memory_order_relaxed))
    rc = start_locked();
  cast_lock_drop(&sysmon.lock);
  return rc;
}

void cast_sysmon_stop(void) {
  cast_lock_take(&sysmon.lock);
  if (atomic_load_explicit(&sysmon.runs, memory_order_relaxed)) {
    /* PAIR stop: release; the kick makes sysmon look at the flag. */
    atomic_store_explicit(&sysmon.stopping, 1, memory_order_release);
    cast_timer_kick();
    os_thread_join(&sysmon.thread);
    atomic_store_explicit(&sysmon.runs, false, memory_order_relaxed);
  }
  cast_lock_drop(&sysmon.lock);
}
