/* wait.h - the parking primitive: a wait fires once, for the first claim.
   SPDX-License-Identifier: MIT

   Each operation that can block uses it. Owner of a wait: the owner of the
   task's session. Life of a wait:
     none -> armed    by the owner, before it queues the waiters; ONE or MANY
     armed -> fired   by the thread that wins cast_wait_claim: the other side of
                      a channel operation, a close, the end of a task; or the
                      owner, for a deadline or a cancellation. The winner writes
                      the result, drops the queue's lock and wakes the task.
     fired -> none    by the owner, when the task goes on (cast_wait_done)
   Invariants:
   1. Between arming and cast_wait_done exactly one claim wins.
   2. A waiter whose wait has fired may still be in a queue; a thread that finds
      it there drops it. It is off all queues before its memory is used again.
   3. A wake never allocates, so it cannot fail: the link is the task's own.
   4. A wait that was armed as ONE is claimed with t->waiter.lock held, or it is
      in no queue and only its owner claims it. So two threads never claim it at
      the same time.
   (Model wait.pml.) */
#ifndef CAST_WAIT_H
#define CAST_WAIT_H

#include "session.h"

/* Any thread that has claimed the task's wait, or starts the task: makes the
   task ready. `self` is the session that the calling thread runs, or NULL. The
   post of a task without a session wakes its thread (foreign.c). */
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
/* The same for one of a session that the calling thread does not run: a job
   that the caller has to queue, or NULL. */
static inline cast_job *cast_task_ready_job(cast_task *t) {
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  return cast_session_post(t->session, &t->post);
}
/* The same for a task to which the caller's task has handed a message, or from
   which it has taken one: within a session that task runs soon (see
   cast_session_front). */
static inline void cast_task_hand(cast_task *t, cast_session *self) {
  if (t->session != self || self == NULL) {
    cast_task_wake(t, self);
    return;
  }
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  cast_session_front(self, &t->post);
}

/* Has the wait not fired yet? */
static inline bool cast_wait_is_armed(const cast_wait *w) {
  /* Relaxed: the reader holds the lock of the wait's queue, or takes the answer
     for a hint. */
  return atomic_load_explicit(&w->state, memory_order_relaxed) >= CAST_WAIT_ONE;
}
/* Owner, before it queues the waiters: the wait may be claimed from now on.
   `how`: CAST_WAIT_ONE or CAST_WAIT_MANY. */
static inline void cast_wait_arm(cast_task *t, uint32_t how) {
  CAST_ASSERT(!cast_wait_is_armed(&t->wait));
  t->waiter.since = cast_clock();
  t->wait.result = 0;
  /* Relaxed: published by the lock of the queue that the wait enters. */
  atomic_store_explicit(&t->wait.state, how, memory_order_relaxed);
}
/* With the lock of the queue in which the waiter is: true for the one thread
   that ends the wait. */
static inline bool cast_wait_claim(cast_wait *w) {
  uint32_t seen = atomic_load_explicit(&w->state, memory_order_relaxed);
  if (CAST_LIKELY(seen == CAST_WAIT_ONE)) {
    /* Relaxed: every other thread that claims it needs the same lock. */
    atomic_store_explicit(&w->state, CAST_WAIT_FIRED, memory_order_relaxed);
    return true;
  }
  /* PAIR claim: acquire the arming; only the winner goes on. */
  return seen == CAST_WAIT_MANY &&
         atomic_compare_exchange_strong_explicit(&w->state, &seen,
           CAST_WAIT_FIRED, memory_order_acq_rel, memory_order_relaxed);
}
static inline cast_task *cast_wait_task(cast_wait *w) {
  return CAST_CONTAINER(w, cast_task, wait);
}
/* In the heap, the deadline of a wait that had fired when its deadline passed.
   Later than all others, as the task is going to run in any case. */
#define CAST_DEADLINE_PASSED (UINT64_MAX - 1)

/* Owner, before arming: makes room for a deadline, so that cast_wait_until
   cannot fail: 0 or CASTING_ENOMEM. */
static inline int cast_wait_reserve(cast_task *t) {
  return cast_heap_reserve(&t->session->deadlines);
}
/* Owner, after CAST_PARKED and cast_wait_reserve: the wait ends with
   CASTING_ETIMEOUT at deadline_ns, unless it ends before. */
void cast_wait_until(cast_task *t, uint64_t deadline_ns);
/* Owner, when the wait has fired and the task goes on: takes the deadline out.
   The waiter is off its queue already: the claim has taken it out. */
static inline void cast_wait_done(cast_task *t) {
  CAST_ASSERT(!cast_wait_is_armed(&t->wait));
  if (CAST_UNLIKELY(t->wait.deadline.index != 0))
    cast_heap_remove(&t->session->deadlines, &t->wait.deadline);
  t->waiter.lock = NULL;
  /* Relaxed: no other thread refers to the wait any more. */
  atomic_store_explicit(&t->wait.state, CAST_WAIT_NONE, memory_order_relaxed);
}
/* Owner: claims the wait of its task and takes the waiter off its queue. False
   if it has fired already. */
bool cast_wait_claim_own(cast_task *t);
/* Owner: ends the wait with `result` and makes the task ready. False if it has
   fired already. */
bool cast_wait_end(cast_task *t, int result);
/* Owner, after CAST_MORE: a wait that is over at once, so that the task goes
   behind all that are ready. It has done much, so the slice is over. */
static inline int cast_wait_turn(cast_task *t) {
  cast_wait_arm(t, CAST_WAIT_ONE); /* in no queue */
  (void)cast_wait_end(t, 0);
  t->session->budget = 0;
  return CAST_PARKED;
}
/* Owner: ends the wait with `result`, for a deadline or a cancellation, unless
   ops->extended_until puts that off: then the wait gets a new deadline. */
void cast_wait_interrupt(cast_task *t, int result, uint64_t now_ns);

#endif
