/* wait.h - THE parking primitive: fire once, by whoever claims first.
   SPDX-License-Identifier: MIT

   Owner of a wait: the task's session. Life of a wait:
     none -> armed    owner, before it queues the task's waiters; ONE or MANY
     armed -> fired   the winner of cast_wait_claim: the other side of a channel
                      operation, a close, the end of a task, a deadline, a
                      cancellation. The winner writes the result, lets go of
                      all locks, and wakes the task.
     fired -> none    owner, when the task goes on (cast_wait_done)
   Invariants:
   1. Between arming and cast_wait_done exactly one claim wins.
   2. A waiter whose wait has fired may still stand in a queue: a thread that
      meets it there drops it. It is off every queue before its memory is
      reused.
   3. A wake never allocates and cannot fail: the link is the task's own.
   4. A wait that was armed as ONE is claimed with t->waiter.lock held (or is
      in no queue, and only its owner claims it), so no two claim it at once. */
#ifndef CAST_WAIT_H
#define CAST_WAIT_H

#include "session.h"

/* Makes a task that is not waiting, not queued, ready again; one without a
   session by its post (foreign.h). Any thread. */
static inline void cast_task_wake(cast_task *t, cast_session *self) {
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  if (CAST_UNLIKELY(t->session == NULL))
    t->post.run(NULL, &t->post, false);
  else if (t->session == self)
    cast_session_ready(self, &t->post);
  else
    cast_session_push(t->session, self, &t->post);
}
/* The same for one that the caller's task has handed something to, or taken
   something from. */
static inline void cast_task_hand(cast_task *t, cast_session *self) {
  if (t->session != self || self == NULL) {
    cast_task_wake(t, self);
    return;
  }
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  cast_session_front(self, &t->post);
}

static inline bool cast_wait_is_armed(const cast_wait *w) {
  /* Relaxed: a hint, or the reader holds the lock of the wait's queue. */
  return atomic_load_explicit(&w->state, memory_order_relaxed) >= CAST_WAIT_ONE;
}
/* Owner, before queueing: the wait may be claimed from now on. `how`:
   CAST_WAIT_ONE or CAST_WAIT_MANY. */
static inline void cast_wait_arm(cast_task *t, uint32_t how) {
  CAST_ASSERT(!cast_wait_is_armed(&t->wait));
  t->waiter.since = cast_clock();
  t->wait.result = 0;
  /* Relaxed: published by the lock of the queue that the wait enters. */
  atomic_store_explicit(&t->wait.state, how, memory_order_relaxed);
}
/* With the lock of the queue in which the waiter stands. */
static inline bool cast_wait_claim(cast_wait *w) {
  uint32_t seen = atomic_load_explicit(&w->state, memory_order_relaxed);
  if (CAST_LIKELY(seen == CAST_WAIT_ONE)) {
    /* Relaxed: whoever else would claim it needs the same lock. */
    atomic_store_explicit(&w->state, CAST_WAIT_FIRED, memory_order_relaxed);
    return true;
  }
  /* PAIR claim: acquire sees the arming; the winner alone goes on. */
  return seen == CAST_WAIT_MANY &&
         atomic_compare_exchange_strong_explicit(&w->state, &seen,
           CAST_WAIT_FIRED, memory_order_acq_rel, memory_order_relaxed);
}
static inline cast_task *cast_wait_task(cast_wait *w) {
  return CAST_CONTAINER(w, cast_task, wait);
}
/* Makes room for one more deadline: 0 or CASTING_ENOMEM. */
static inline int cast_wait_reserve(cast_task *t) {
  return cast_heap_reserve(&t->session->deadlines);
}
/* Owner, after CAST_PARKED: claimed with CASTING_ETIMEOUT at deadline_ns,
   unless something else happens before. Room was reserved. */
void cast_wait_until(cast_task *t, uint64_t deadline_ns);
/* Owner, after the wait: takes its deadline out and its waiter off the queue
   (which a claimer from elsewhere leaves there). */
static inline void cast_wait_done(cast_task *t) {
  CAST_ASSERT(!cast_wait_is_armed(&t->wait));
  if (CAST_UNLIKELY(t->wait.deadline.index != 0))
    cast_heap_remove(&t->session->deadlines, &t->wait.deadline);
  t->waiter.lock = NULL;
  /* Relaxed: nobody else has the wait any more. */
  atomic_store_explicit(&t->wait.state, CAST_WAIT_NONE, memory_order_relaxed);
}
/* Owner: claims the wait of its task; the waiter is off its queue then. */
bool cast_wait_claim_own(cast_task *t);
/* Owner: ends the wait with `result` unless it has fired already; did it? */
bool cast_wait_end(cast_task *t, int result);
/* Owner: ends the wait with `result`, unless ops->extended_until says that it
   is to go on for a while. */
void cast_wait_interrupt(cast_task *t, int result, uint64_t now_ns);

#endif
