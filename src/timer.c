/* timer.c - the process-wide deadline heap.
   SPDX-License-Identifier: MIT */
#include "timer.h"

#include "../include/casting.h"
#include "lock.h"
#include "os/os.h"

static struct {
  cast_lock lock;
  cast_heap heap;          /* (lock) */
  uint64_t sleeping_ns;    /* (lock) when the sleeper wakes by itself */
  _Atomic uint32_t kicked; /* (a) what the sleeper sleeps on */
} timers;

_Atomic uint32_t cast_clock_word;

void cast_timers_init(void) {
  cast_clock_set(os_now());
  cast_lock_init(&timers.lock, CAST_RANK_TIMER);
  cast_heap_init(&timers.heap);
  timers.sleeping_ns = 0;
}

void cast_timers_fini(void) { cast_heap_fini(&timers.heap); }

void cast_timer_kick(void) {
  /* PAIR kick: the sleeper read the word before it looked at anything. */
  atomic_fetch_add_explicit(&timers.kicked, 1, memory_order_release);
  os_wake(&timers.kicked, 1);
}

/* Into the heap; true: the sleeper sleeps too long. */
static bool push_locked(cast_timer *t, uint64_t deadline_ns) {
  bool kick = deadline_ns < timers.sleeping_ns;
  t->deadline_ns = deadline_ns;
  cast_heap_push(&timers.heap, &t->node, deadline_ns);
  if (kick) timers.sleeping_ns = deadline_ns;
  return kick;
}

int cast_timer_set(cast_timer *t, uint64_t deadline_ns) {
  int rc;
  bool kick = false;
  cast_lock_take(&timers.lock);
  cast_heap_remove(&timers.heap, &t->node);
  rc = cast_heap_reserve(&timers.heap);
  if (rc == 0) kick = push_locked(t, deadline_ns);
  cast_lock_drop(&timers.lock);
  if (kick) cast_timer_kick();
  return rc;
}

bool cast_timer_sooner(cast_timer *t, uint64_t deadline_ns) {
  bool sooner, kick = false;
  cast_lock_take(&timers.lock);
  sooner = t->node.index != 0 && deadline_ns < t->deadline_ns;
  if (sooner) {
    cast_heap_remove(&timers.heap, &t->node);
    kick = push_locked(t, deadline_ns); /* into its own room */
  }
  cast_lock_drop(&timers.lock);
  if (kick) cast_timer_kick();
  return sooner;
}

void cast_timer_remove(cast_timer *t) {
  cast_lock_take(&timers.lock);
  cast_heap_remove(&timers.heap, &t->node);
  cast_lock_drop(&timers.lock);
}

/* Relaxed: ordered by whatever made the looker look. */
static bool wakes(cast_heap_node *n) {
  cast_timer *t = CAST_CONTAINER(n, cast_timer, node);
  return !atomic_load_explicit(&t->passive, memory_order_relaxed);
}

bool cast_timers_pending(void) {
  bool pending;
  cast_lock_take(&timers.lock);
  pending = cast_heap_any(&timers.heap, wakes);
  cast_lock_drop(&timers.lock);
  return pending;
}

void cast_timer_again(cast_timer *t, uint64_t deadline_ns) {
  CAST_ASSERT(cast_lock_held(&timers.lock));
  t->deadline_ns = deadline_ns;
  /* The room its own entry had is still there. */
  cast_heap_push(&timers.heap, &t->node, deadline_ns);
}

/* Fires what is due; returns those that want to go on without the lock. */
static cast_timer *fire_due(uint64_t now) {
  cast_timer *after = NULL;
  while (cast_heap_next(&timers.heap) <= now) {
    cast_heap_node *n = cast_heap_top(&timers.heap);
    cast_timer *t = CAST_CONTAINER(n, cast_timer, node);
    cast_heap_remove(&timers.heap, n);
    if (!t->fire(t)) continue;
    t->next = after;
    after = t;
  }
  return after;
}

uint32_t cast_timer_ticket(void) {
  /* PAIR kick: acquire; a kick after this read makes os_wait return. */
  return atomic_load_explicit(&timers.kicked, memory_order_acquire);
}

void cast_timer_sleep(uint32_t ticket, uint64_t until_ns) {
  cast_timer *after;
  uint64_t next;
  cast_lock_take(&timers.lock);
  next = cast_heap_next(&timers.heap);
  timers.sleeping_ns = next < until_ns ? next : until_ns;
  next = timers.sleeping_ns;
  cast_lock_drop(&timers.lock);
  if (os_now() < next) os_wait(&timers.kicked, ticket, next);
  next = os_now();
  cast_clock_set(next);
  cast_lock_take(&timers.lock);
  timers.sleeping_ns = 0; /* awake: nobody needs to kick */
  after = fire_due(next);
  cast_lock_drop(&timers.lock);
  while (after != NULL) {
    cast_timer *t = after;
    after = t->next;
    t->after(t);
  }
}
