/* limiter.c - limiters: so many tokens a second for tasks of all sessions.
   SPDX-License-Identifier: MIT

   Invariants: see limiter.h. The timer gets its place in the heap when the
   limiter is made, so that setting it cannot fail. */
#include "limiter.h"

#include "../include/casting.h"
#include "errand.h"
#include "mem.h"

#include <math.h>

static void limiter_free(cast_object *o) {
  cast_limiter *l = CAST_CONTAINER(o, cast_limiter, object);
  /* Those that wait have a reference. */
  CAST_ASSERT(cast_list_is_empty(&l->queue));
  cast_timer_remove(&l->timer);
  cast_account_release(l->account, sizeof *l);
  cast_free(l);
}

const cast_type cast_limiter_type = {.name = "limiter", .free = limiter_free};

/* timer.fire, under the timers' lock. If the limiter's end has begun there is
   no reference to take, and that end waits for this lock. */
static bool is_due(cast_timer *t) {
  cast_limiter *l = CAST_CONTAINER(t, cast_limiter, timer);
  if (!cast_ref_if_alive(&l->object)) return false;
  cast_timer_again(t, OS_FOREVER); /* keeps its place */
  return true;
}

/* timer.after. */
static void ring(cast_timer *t) {
  cast_limiter *l = CAST_CONTAINER(t, cast_limiter, timer);
  cast_limiter_serve(l, NULL);
  cast_unref_aside(&l->object);
}

cast_limiter *cast_limiter_new(
  double rate, uint32_t burst, uint64_t session, cast_account *a) {
  cast_limiter *l;
  if (!cast_account_hold(a, sizeof *l)) return NULL;
  l = cast_calloc(sizeof *l);
  if (l == NULL) goto release;
  cast_object_init(&l->object, &cast_limiter_type);
  cast_lock_init(&l->lock, CAST_RANK_CHAN);
  cast_list_init(&l->queue);
  l->token_ns = 1e9 / rate;
  l->burst_ns = (uint64_t)ceil(burst * l->token_ns);
  l->burst = burst;
  l->account = a;
  l->timer.lane = cast_timer_lane(session);
  l->timer.fire = is_due;
  l->timer.after = ring;
  atomic_init(&l->timer.passive, true);
  if (cast_timer_set(&l->timer, OS_FOREVER) == 0) return l;
  cast_free(l);
release:
  cast_account_release(a, sizeof *l);
  return NULL;
}

/* -- with the lock held --------------------------------------------------- */

/* When n tokens can be taken, if that is not now; 0: they have been. */
static uint64_t take(cast_limiter *l, uint32_t n, uint64_t now) {
  uint64_t base = l->full_ns > now ? l->full_ns : now;
  uint64_t full = base + (uint64_t)ceil(n * l->token_ns);
  CAST_ASSERT(n > 0 && n <= l->burst);
  if (full - now > l->burst_ns) return full - l->burst_ns;
  l->full_ns = full;
  return 0;
}

/* Somebody waits, or nobody does. Relaxed: a hint, which has an order of its
   own (deadlock.c). */
static void note_waiting(cast_limiter *l, bool waits) {
  atomic_store_explicit(&l->timer.passive, !waits, memory_order_relaxed);
}

/* -- without it ----------------------------------------------------------- */

int cast_limiter_take(cast_limiter *l, cast_task *t, uint32_t n) {
  uint64_t now = os_now(), due = OS_FOREVER;
  bool first;
  cast_lock_take(&l->lock);
  first = cast_list_is_empty(&l->queue);
  if (first) due = take(l, n, now);
  if (due != 0 && t != NULL) {
    cast_waiter *w = &t->waiter;
    cast_wait_arm(t, CAST_WAIT_ONE);
    w->wait = &t->wait;
    w->lock = &l->lock;
    w->index = n;
    cast_list_push(&l->queue, &w->link);
    note_waiting(l, true);
  }
  cast_lock_drop(&l->lock);
  if (due == 0) return 0;
  if (t == NULL) return CASTING_EEMPTY;
  if (first) (void)cast_timer_set_sooner(&l->timer, due);
  return CAST_PARKED;
}

void cast_limiter_serve(cast_limiter *l, cast_session *self) {
  uint64_t now = os_now(), due = 0;
  cast_list fired, *at;
  cast_list_init(&fired);
  cast_lock_take(&l->lock);
  while (!cast_list_is_empty(&l->queue)) {
    cast_waiter *w = CAST_CONTAINER(l->queue.next, cast_waiter, link);
    bool won;
    due = take(l, w->index, now);
    if (due != 0) break;
    cast_list_remove(&w->link);
    won = cast_wait_claim(w->wait);
    CAST_ASSERT(won); /* any other claim would have taken it out */
    CAST_UNUSED(won);
    w->wait->result = 0;
    w->wait->index = 0;
    cast_list_push(&fired, &w->link);
  }
  note_waiting(l, due != 0);
  cast_lock_drop(&l->lock);
  /* A waiter is taken off the list before its task is woken: from then on it
     belongs to the task, which may use it again. */
  while ((at = cast_list_shift(&fired)) != NULL)
    cast_task_wake(
      cast_wait_task(CAST_CONTAINER(at, cast_waiter, link)->wait), self);
  if (due != 0) (void)cast_timer_set_sooner(&l->timer, due);
}

uint32_t cast_limiter_available(cast_limiter *l) {
  uint64_t now = os_now(), missing = 0;
  uint32_t n = 0;
  cast_lock_take(&l->lock);
  if (l->full_ns > now) missing = l->full_ns - now;
  if (cast_list_is_empty(&l->queue) && missing < l->burst_ns) {
    double tokens = (double)(l->burst_ns - missing) / l->token_ns;
    n = tokens >= l->burst ? l->burst : (uint32_t)tokens;
  }
  cast_lock_drop(&l->lock);
  return n;
}
