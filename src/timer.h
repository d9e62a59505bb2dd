/* timer.h - deadlines of the whole process.
   SPDX-License-Identifier: MIT

   The heaps are under one lock (CAST_RANK_TIMER) and stay small: a session
   keeps the deadlines of its tasks itself and registers only the earliest one
   here, as its alarm. The others are tickers, watchdogs and reports of
   failures. Sysmon sleeps in cast_timer_sleep and fires the timers that
   are due. Invariants:
   1. fire() runs with the timer lock held, so after cast_timer_remove has
      returned, it does not run and will not run.
   2. sleeping_ns <= every deadline in the heaps, or sysmon was woken after
      that deadline was pushed.
   3. Under the lock nothing is done but fire() for one timer: no wake-up, no
      operation on a channel, no system call but a preempt signal.

   There are *lanes*, each a heap: lane 0 for timers of which each session has
   one (alarm, watchdog, watch), the others for timers of which programs make
   any number; the session that makes a timer chooses among these. Timers that
   are due are fired from the lanes in turn, so that a session that floods the
   process with timers hardly delays those of others. */
#ifndef CAST_TIMER_H
#define CAST_TIMER_H

#include "heap.h"
#include "limits.h"

typedef struct cast_timer cast_timer;
struct cast_timer {
  cast_heap_node node;  /* (timer lock) its place in the heap of its lane */
  uint32_t lane;        /* (i) 0, or what cast_timer_lane gives */
  uint64_t deadline_ns; /* (timer lock) when it is due */
  /* (i) Called with the lock held, to decide; it may call cast_timer_again with
     a deadline that has not passed. If it returns true, `after` is called
     without the lock, to act; `fire` must make sure that the timer lives until
     then. */
  bool (*fire)(cast_timer *t);
  void (*after)(cast_timer *t); /* (i) see fire */
  /* (a) A hint for deadlock.c: firing this timer would make no task ready. */
  _Atomic bool passive;
};

/* The lane of timers that the session with this id makes. */
static inline uint32_t cast_timer_lane(uint64_t session) {
  return 1 + (uint32_t)(session % (CAST_TIMER_LANES - 1));
}

/* A coarse clock, in units of 2^CAST_CLOCK_SHIFT ns (17 ms), for reports of how
   long a task waits. It is read at each wait, so it must cost nothing. It is
   set by threads that read the real clock anyway: sysmon when it wakes up,
   the thread that wakes it, and a host that begins to run tasks. So it is late
   by the time between two looks of sysmon, or by the time in which only
   threads without a permit have run. */
#define CAST_CLOCK_SHIFT 24
extern _Atomic uint32_t cast_clock_word;
static inline uint32_t cast_clock(void) {
  return atomic_load_explicit(&cast_clock_word, memory_order_relaxed);
}
static inline void cast_clock_set(uint64_t now_ns) {
  atomic_store_explicit(&cast_clock_word,
    (uint32_t)(now_ns >> CAST_CLOCK_SHIFT), memory_order_relaxed);
}

/* When a wait of `ns` that begins now ends. Never early; long waits end on a
   grid, so that deadlines near each other need one wake-up. */
static inline uint64_t cast_timer_end(uint64_t now, uint64_t ns) {
  uint64_t end = now + ns;
  if (ns < CAST_COARSE_NS) return end;
  return (end + CAST_GRID_NS - 1) & ~(CAST_GRID_NS - 1);
}

void cast_timers_init(void);
/* Timers that are still set are set no longer, and may be removed later. */
void cast_timers_fini(void);
/* Sets or moves the deadline: 0 or CASTING_ENOMEM. */
int cast_timer_set(cast_timer *t, uint64_t deadline_ns);
/* Moves the deadline of a timer that is set, if the new one is sooner: then
   true. Cannot fail. */
bool cast_timer_set_sooner(cast_timer *t, uint64_t deadline_ns);
/* Takes the timer out, if it is set. */
void cast_timer_remove(cast_timer *t);
/* Is a timer set that would make a task ready? */
bool cast_timers_have_pending(void);
/* Called by fire(): sets the timer again. Cannot fail. */
void cast_timer_again(cast_timer *t, uint64_t deadline_ns);
/* Sysmon: returns the ticket for cast_timer_sleep. To be called before the
   conditions for sleeping are read: a kick after that ends the sleep. */
uint32_t cast_timer_ticket(void);
/* Sysmon: sleeps until the next deadline, until_ns or a kick, whichever comes
   first. Then fires timers that are due, CAST_TIMER_ROUND at most. */
void cast_timer_sleep(uint32_t ticket, uint64_t until_ns);
/* Any thread: ends sysmon's sleep. */
void cast_timer_kick(void);

#endif
