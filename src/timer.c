/* timer.c - the process-wide deadlines.
   SPDX-License-Identifier: MIT

   Locks and invariants: see timer.h. A timer keeps the room of its heap entry
   while it is being fired, so that setting it again cannot fail. */
#include "timer.h"

#include "../include/casting.h"
#include "lock.h"
#include "os/os.h"

static struct {
  cast_lock lock; /* also before and after the runtime: see cast_timers_fini */
  cast_heap lanes[CAST_TIMER_LANES]; /* (lock) those that are set */
  uint32_t turn;           /* (lock) counts rounds: which lane comes next */
  uint64_t sleeping_ns;    /* (lock) when sysmon wakes by itself; 0: it is
                              awake */
  _Atomic uint32_t kicked; /* (a) the futex on which sysmon sleeps */
} timers = {.lock = CAST_LOCK_STATIC(CAST_RANK_TIMER)};

_Atomic uint32_t cast_clock_word;

void cast_timers_init(void) {
  cast_clock_set(os_now());
  timers.turn = 0;
  timers.sleeping_ns = 0;
}

/* An object may outlive the runtime, and its timer with it: a ticker whose
   channel the program has a reference to, or a handle that is finalized after
   the host's end. Such a timer never fires again. */
void cast_timers_fini(void) {
  cast_lock_take(&timers.lock);
  for (uint32_t i = 0; i < CAST_TIMER_LANES; i++) {
    cast_heap *lane = &timers.lanes[i];
    while (lane->count > 0) cast_heap_remove(lane, cast_heap_top(lane));
    cast_heap_fini(lane);
  }
  cast_lock_drop(&timers.lock);
}

static cast_heap *lane_of(const cast_timer *t) {
  CAST_ASSERT(t->lane < CAST_TIMER_LANES);
  return &timers.lanes[t->lane];
}

void cast_timer_kick(void) {
  /* PAIR kick: release; sysmon has read the word before its conditions. */
  atomic_fetch_add_explicit(&timers.kicked, 1, memory_order_release);
  os_wake(&timers.kicked, 1);
}

/* Puts t into its heap. True if sysmon sleeps beyond the deadline: then
   the caller must kick it after releasing the lock. */
static bool push_locked(cast_timer *t, uint64_t deadline_ns) {
  bool kick = deadline_ns < timers.sleeping_ns;
  t->deadline_ns = deadline_ns;
  cast_heap_push(lane_of(t), &t->node, deadline_ns);
  if (kick) timers.sleeping_ns = deadline_ns;
  return kick;
}

int cast_timer_set(cast_timer *t, uint64_t deadline_ns) {
  int rc;
  bool kick = false;
  cast_lock_take(&timers.lock);
  cast_heap_remove(lane_of(t), &t->node);
  rc = cast_heap_reserve(lane_of(t));
  if (rc == 0) kick = push_locked(t, deadline_ns);
  cast_lock_drop(&timers.lock);
  if (kick) cast_timer_kick();
  return rc;
}

bool cast_timer_set_sooner(cast_timer *t, uint64_t deadline_ns) {
  bool sooner, kick = false;
  cast_lock_take(&timers.lock);
  sooner = t->node.index != 0 && deadline_ns < t->deadline_ns;
  if (sooner) {
    cast_heap_remove(lane_of(t), &t->node);
    kick = push_locked(t, deadline_ns); /* into the room just freed */
  }
  cast_lock_drop(&timers.lock);
  if (kick) cast_timer_kick();
  return sooner;
}

void cast_timer_remove(cast_timer *t) {
  cast_lock_take(&timers.lock);
  cast_heap_remove(lane_of(t), &t->node);
  cast_lock_drop(&timers.lock);
}

/* Relaxed: the look for deadlocks has an order of its own (deadlock.c). */
static bool is_active(cast_heap_node *n) {
  cast_timer *t = CAST_CONTAINER(n, cast_timer, node);
  return !atomic_load_explicit(&t->passive, memory_order_relaxed);
}

bool cast_timers_have_pending(void) {
  bool pending = false;
  cast_lock_take(&timers.lock);
  for (uint32_t i = 0; i < CAST_TIMER_LANES && !pending; i++)
    pending = cast_heap_any(&timers.lanes[i], is_active);
  cast_lock_drop(&timers.lock);
  return pending;
}

void cast_timer_again(cast_timer *t, uint64_t deadline_ns) {
  CAST_ASSERT(cast_lock_is_held(&timers.lock));
  t->deadline_ns = deadline_ns;
  /* The room of the entry that has just fired is still there. */
  cast_heap_push(lane_of(t), &t->node, deadline_ns);
}

/* The earliest deadline of all lanes. */
static uint64_t next_locked(void) {
  uint64_t next = OS_FOREVER;
  for (uint32_t i = 0; i < CAST_TIMER_LANES; i++) {
    uint64_t at = cast_heap_next(&timers.lanes[i]);
    if (at < next) next = at;
  }
  return next;
}

/* The lane from which a timer is fired next; NULL if none is due. Lane 0 has
   every second turn, since each sleeping session has its only alarm there; the
   other lanes take turns in between. */
static cast_heap *due_locked(uint64_t now) {
  uint32_t turn = timers.turn++;
  if (turn % 2 == 0 && cast_heap_next(&timers.lanes[0]) <= now)
    return &timers.lanes[0];
  for (uint32_t i = 0; i < CAST_TIMER_LANES - 1; i++) {
    cast_heap *lane =
      &timers.lanes[1 + (turn / 2 + i) % (CAST_TIMER_LANES - 1)];
    if (cast_heap_next(lane) <= now) return lane;
  }
  return cast_heap_next(&timers.lanes[0]) <= now ? &timers.lanes[0] : NULL;
}

/* Fires one timer that is due; false if there is none. */
static bool fire_one(uint64_t now) {
  cast_heap *lane;
  cast_timer *t = NULL;
  void (*after)(cast_timer *) = NULL;
  cast_lock_take(&timers.lock);
  timers.sleeping_ns = 0; /* sysmon is awake: nobody needs to kick it */
  lane = due_locked(now);
  if (lane != NULL) {
    cast_heap_node *n = cast_heap_top(lane);
    t = CAST_CONTAINER(n, cast_timer, node);
    cast_heap_remove(lane, n);
    if (t->fire(t)) after = t->after;
  }
  cast_lock_drop(&timers.lock);
  if (after != NULL) after(t);
  return t != NULL;
}

uint32_t cast_timer_ticket(void) {
  /* PAIR kick: acquire; a kick after this read makes os_wait return. */
  return atomic_load_explicit(&timers.kicked, memory_order_acquire);
}

void cast_timer_sleep(uint32_t ticket, uint64_t until_ns) {
  uint64_t next;
  cast_lock_take(&timers.lock);
  next = next_locked();
  timers.sleeping_ns = next < until_ns ? next : until_ns;
  next = timers.sleeping_ns;
  cast_lock_drop(&timers.lock);
  if (os_now() < next) os_wait(&timers.kicked, ticket, next);
  next = os_now();
  cast_clock_set(next);
  /* Timers beyond the round are fired by the next call, so that sysmon
     looks at the workers in between. */
  for (uint32_t i = 0; i < CAST_TIMER_ROUND && fire_one(next); i++) {}
}
