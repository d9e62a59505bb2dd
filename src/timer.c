/* timer.c - the process-wide deadlines.
   SPDX-License-Identifier: MIT */
#include "timer.h"

#include "../include/casting.h"
#include "lock.h"
#include "os/os.h"

static struct {
  cast_lock lock; /* also before and after the runtime: see cast_timers_fini */
  cast_heap lanes[CAST_TIMER_LANES]; /* (lock) */
  uint32_t turn;           /* (lock) counts what was fired: whose turn it is */
  uint64_t sleeping_ns;    /* (lock) when the sleeper wakes by itself */
  _Atomic uint32_t kicked; /* (a) what the sleeper sleeps on */
} timers = {.lock = CAST_LOCK_STATIC(CAST_RANK_TIMER)};

_Atomic uint32_t cast_clock_word;

void cast_timers_init(void) {
  cast_clock_set(os_now());
  for (uint32_t i = 0; i < CAST_TIMER_LANES; i++)
    cast_heap_init(&timers.lanes[i]);
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
  /* PAIR kick: the sleeper read the word before it looked at anything. */
  atomic_fetch_add_explicit(&timers.kicked, 1, memory_order_release);
  os_wake(&timers.kicked, 1);
}

/* Into the heap; true: the sleeper sleeps too long. */
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
    kick = push_locked(t, deadline_ns); /* into its own room */
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

/* Relaxed: ordered by whatever made the looker look. */
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
  /* The room its own entry had is still there. */
  cast_heap_push(lane_of(t), &t->node, deadline_ns);
}

static uint64_t next_locked(void) {
  uint64_t next = OS_FOREVER;
  for (uint32_t i = 0; i < CAST_TIMER_LANES; i++) {
    uint64_t at = cast_heap_next(&timers.lanes[i]);
    if (at < next) next = at;
  }
  return next;
}

/* A lane that has something due; NULL: none. Every second turn is lane 0's,
   for each session that sleeps has its one alarm there, and the others have the
   rest of them one after the other. */
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

/* One timer that is due, fired; false: there is none. */
static bool fire_one(uint64_t now) {
  cast_heap *lane;
  cast_timer *t = NULL;
  void (*after)(cast_timer *) = NULL;
  cast_lock_take(&timers.lock);
  timers.sleeping_ns = 0; /* awake: nobody needs to kick */
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
  /* What is still due then is so at the next call: sysmon has other things
     to look at as well. */
  for (uint32_t i = 0; i < CAST_TIMER_ROUND && fire_one(next); i++) {}
}
