/* timer.h - deadlines of the whole process.
   SPDX-License-Identifier: MIT

   Heaps under one lock, kept small: sessions keep their tasks' deadlines
   themselves and register only their earliest one here; tickers and failure
   reports are the rest. Sysmon thread sleeps in cast_timer_sleep and runs
   what is due. Invariants:
   1. fire() runs with the timer lock held: after cast_timer_remove has
      returned, it does not run and will not.
   2. sleeping_ns <= every deadline in the heaps, or the sleeper was woken after
      the deadline was pushed.
   3. Under the lock nothing is done but fire() for one timer: no wake-up, no
      channel, no system call but a preempt signal.

   There are *lanes*, each a heap: one for what each session has one of (alarms,
   watchdogs, watches), and some for what programs make any number of, chosen by
   who makes it. What is due is fired from the lanes in turn, so that a session
   that floods the process with timers delays hardly anybody else's. */
#ifndef CAST_TIMER_H
#define CAST_TIMER_H

#include "heap.h"
#include "limits.h"

typedef struct cast_timer cast_timer;
struct cast_timer {
  cast_heap_node node;  /* (timer lock) */
  uint32_t lane;        /* (i) 0, or what cast_timer_lane gives */
  uint64_t deadline_ns; /* (timer lock) */
  /* (i) Called with the lock held, to decide; may call cast_timer_again, with a
     deadline that has not passed. True: have `after` called, without the lock,
     to act; what keeps the timer alive until then is fire's business. */
  bool (*fire)(cast_timer *t);
  void (*after)(cast_timer *t); /* (i) */
  _Atomic bool passive; /* (a) hint: firing it would make nothing ready */
};

/* The lane of timers that the session with that number makes. */
static inline uint32_t cast_timer_lane(uint64_t session) {
  return 1 + (uint32_t)(session % (CAST_TIMER_LANES - 1));
}

/* The time, roughly, in units of 2^CAST_CLOCK_SHIFT ns (17 ms): for reports of
   how long something waits. Read at each wait, so it must cost nothing. Set by
   whoever reads the clock anyway: sysmon when it wakes, who wakes it, a
   host that begins to run tasks. Behind by what a look of sysmon's takes;
   or by as long as only threads without a permit have run. */
#define CAST_CLOCK_SHIFT 24
extern _Atomic uint32_t cast_clock_word;
static inline uint32_t cast_clock(void) {
  return atomic_load_explicit(&cast_clock_word, memory_order_relaxed);
}
static inline void cast_clock_set(uint64_t now_ns) {
  atomic_store_explicit(&cast_clock_word,
    (uint32_t)(now_ns >> CAST_CLOCK_SHIFT), memory_order_relaxed);
}

/* When a wait of `ns` that begins now ends: never early. Coarse ones end on a
   grid, so that those near each other need one wake-up. */
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
/* The same if that is sooner than what it was set to: then true. It must have
   been set before, and cannot fail. */
bool cast_timer_set_sooner(cast_timer *t, uint64_t deadline_ns);
void cast_timer_remove(cast_timer *t);
/* Is any set that would make something ready? */
bool cast_timers_have_pending(void);
/* From fire(): have it fire once more. Never fails. */
void cast_timer_again(cast_timer *t, uint64_t deadline_ns);
/* Sysmon: what cast_timer_sleep must be given; read before the conditions of
   sleeping are, so that a kick after that is not missed. */
uint32_t cast_timer_ticket(void);
/* Sysmon: sleeps to the next deadline, at most to until_ns, or until
   cast_timer_kick; then fires what is due, CAST_TIMER_ROUND at most. */
void cast_timer_sleep(uint32_t ticket, uint64_t until_ns);
void cast_timer_kick(void);

#endif
