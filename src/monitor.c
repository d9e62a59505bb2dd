/* monitor.c - timers, and jobs that wait behind a long slice.
   SPDX-License-Identifier: MIT

   One thread. It sleeps until the next deadline; while workers run it also
   looks every TICK at what they do, up to TICK_MAX apart when all is well
   (cast_workers_look).
   Once the pool has been idle for QUIET looks it sleeps for ever, so that an
   idle process makes no wake-ups; whoever wakes a worker then rouses it. Just
   before, it looks whether the program is dead (deadlock.h). */
#include "monitor.h"

#include "../include/casting.h"
#include "deadlock.h"
#include "fork.h"
#include "lock.h"
#include "sched.h"
#include "timer.h"
#include "worker.h"

#define TICK_NS 1000000u     /* 1 ms */
#define TICK_MAX_NS 4000000u /* 4 ms: two looks find a stuck thread in 8 */
#define CALM 16u             /* uneventful looks before ticks get longer */
#define QUIET 10u            /* looks at an idle pool before deep sleep */

static struct {
  cast_lock lock;
  os_thread thread;          /* (lock) */
  _Atomic bool runs;         /* (a) written under the lock */
  _Atomic uint32_t asleep;   /* (a) 1: in deep sleep */
  _Atomic uint32_t stopping; /* (a) */
  _Atomic uint32_t asked;    /* (a) 1: `answer` is to be called */
  void (*answer)(void);      /* (lock); (i) once a handler asks for it */
} monitor = {.lock = CAST_LOCK_STATIC(CAST_RANK_HOST)};

/* As a signal handler: an atomic store, and a wake-up by the kernel. */
static void ask(void) {
  /* Relaxed: the kick orders it. */
  atomic_store_explicit(&monitor.asked, 1, memory_order_relaxed);
  cast_timer_kick();
}

void cast_monitor_answer(void (*answer)(void)) {
  cast_lock_take(&monitor.lock);
  monitor.answer = answer;
  /* Relaxed: written under this lock. */
  if (atomic_load_explicit(&monitor.runs, memory_order_relaxed))
    (void)os_ask_install(ask);
  cast_lock_drop(&monitor.lock);
}

void cast_monitor_forked(void) { os_ask_remove(); }

void cast_monitor_rouse(void) {
  /* PAIR rouse: the caller has made a core busy (under the scheduler's lock)
     before it reads this; the monitor looks at the cores after setting it. */
  if (CAST_LIKELY(
        atomic_load_explicit(&monitor.asleep, memory_order_seq_cst) == 0))
    return;
  atomic_store_explicit(&monitor.asleep, 0, memory_order_relaxed);
  cast_clock_set(os_now());
  cast_timer_kick();
}

bool cast_monitor_asleep(void) {
  /* PAIR rouse: for tests; what it rouses for comes after. */
  return atomic_load_explicit(&monitor.asleep, memory_order_seq_cst) != 0;
}

/* Does nothing run? Announces the deep sleep first, and looks again after. */
static bool fall_asleep(void) {
  /* PAIR rouse: set before the cores are read. */
  atomic_store_explicit(&monitor.asleep, 1, memory_order_seq_cst);
  if (cast_sched_busy() == 0 && !cast_sched_waiting()) return true;
  atomic_store_explicit(&monitor.asleep, 0, memory_order_relaxed);
  return false;
}

/* What it has seen, and when it looks next. */
typedef struct watch {
  uint64_t at_ns; /* of the next look at the workers */
  uint64_t tick;  /* between two of them */
  uint32_t calm;  /* uneventful ones in a row */
  uint32_t quiet; /* of an idle pool in a row */
} watch;

static void look_around(watch *w, uint64_t now) {
  uint64_t next = OS_FOREVER;
  if (cast_sched_busy() == 0 && !cast_sched_waiting()) {
    if (w->quiet < QUIET) w->quiet++;
    w->at_ns = now + w->tick;
    return;
  }
  w->quiet = 0;
  if (cast_workers_look(now, &next)) {
    w->calm = 0;
    w->tick = TICK_NS;
  } else if (w->calm < CALM) {
    w->calm++;
  } else {
    w->tick = TICK_MAX_NS;
  }
  w->at_ns = now + w->tick;
  if (next < w->at_ns) w->at_ns = next;
}

static void monitor_main(void *arg) {
  watch w = {.tick = TICK_NS};
  CAST_UNUSED(arg);
  /* PAIR stop: acquire, though only the flag itself matters. */
  for (;;) {
    /* Before any condition is looked at: a kick from here on is noticed. */
    uint32_t ticket = cast_timer_ticket();
    uint64_t now;
    bool deep;
    if (atomic_load_explicit(&monitor.stopping, memory_order_acquire)) break;
    deep = w.quiet >= QUIET && fall_asleep();
    if (deep) cast_deadlock_look();
    cast_timer_sleep(ticket, deep ? OS_FOREVER : w.at_ns);
    if (atomic_exchange_explicit(&monitor.asked, 0, memory_order_relaxed) != 0)
      monitor.answer();
    now = os_now();
    if (deep) {
      atomic_store_explicit(&monitor.asleep, 0, memory_order_relaxed);
      /* Woken by a timer only: the pool may still be idle. */
      w = (watch){.tick = TICK_NS, .quiet = QUIET};
    }
    if (now >= w.at_ns) look_around(&w, now);
  }
}

static int start_locked(void) {
  atomic_store_explicit(&monitor.stopping, 0, memory_order_relaxed);
  atomic_store_explicit(&monitor.asleep, 0, memory_order_relaxed);
  cast_fork_threads(true);
  if (os_thread_start(&monitor.thread, monitor_main, NULL, "casting/mon") !=
      0) {
    cast_fork_threads(false);
    return CASTING_ENOMEM;
  }
  if (monitor.answer != NULL) (void)os_ask_install(ask);
  /* Relaxed: who finds it set needs nothing else of what was done here. */
  atomic_store_explicit(&monitor.runs, true, memory_order_relaxed);
  return 0;
}

int cast_monitor_start(void) {
  int rc = 0;
  if (CAST_LIKELY(atomic_load_explicit(&monitor.runs, memory_order_relaxed)))
    return 0;
  cast_lock_take(&monitor.lock);
  if (!atomic_load_explicit(&monitor.runs, memory_order_relaxed))
    rc = start_locked();
  cast_lock_drop(&monitor.lock);
  return rc;
}

void cast_monitor_stop(void) {
  cast_lock_take(&monitor.lock);
  if (atomic_load_explicit(&monitor.runs, memory_order_relaxed)) {
    /* PAIR stop: release; the kick makes it look. */
    atomic_store_explicit(&monitor.stopping, 1, memory_order_release);
    cast_timer_kick();
    os_thread_join(&monitor.thread);
    atomic_store_explicit(&monitor.runs, false, memory_order_relaxed);
  }
  cast_lock_drop(&monitor.lock);
}
