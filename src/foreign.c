/* foreign.c - a thread outside of the pool as a task without a session.
   SPDX-License-Identifier: MIT

   The task lies on its thread's C stack for as long as the wait takes. It
   stands in the same queues as tasks of sessions and is claimed in the same
   way (wait.h). Only its wake differs: the thread sleeps on `word`. The thread
   changes AWAKE to ASLEEP before it sleeps. The waker exchanges the word for
   WOKEN, and makes a system call only if it finds ASLEEP. Invariants:
   1. The struct is valid until await_wake returns, and nobody touches it
      afterwards. The thread that has claimed the wait touches it last when it
      exchanges `word`, and await_wake waits for that; the system call needs
      the address of the word alone.
   2. One claim wins, so `word` becomes WOKEN at most once per wait.
   (DESIGN, R80 to R83; model foreign.pml.) */
#include "foreign.h"

#include "../include/casting.h"
#include "chan_inline.h"
#include "limits.h"
#include "sched.h"

enum { AWAKE, WOKEN, ASLEEP };

typedef struct foreign {
  cast_task task;        /* its session is NULL, which marks a foreign task */
  _Atomic uint32_t word; /* (a) AWAKE, WOKEN or ASLEEP */
} foreign;

/* The `run` of the task's post, which cast_task_wake calls. */
static void wake(cast_session *s, cast_post *p, bool closed) {
  foreign *f = CAST_CONTAINER(p, foreign, task.post);
  /* PAIR foreign: release result and message. *f may be gone after this. */
  uint32_t was =
    atomic_exchange_explicit(&f->word, WOKEN, memory_order_acq_rel);
  CAST_UNUSED(s);
  CAST_UNUSED(closed);
  CAST_ASSERT(was != WOKEN);
  if (was == ASLEEP) os_wake(&f->word, 1);
}

static void init(foreign *f) {
  memset(f, 0, sizeof *f);
  f->task.post.run = wake;
  cast_list_init(&f->task.waiter.link);
}

static bool is_woken(foreign *f) {
  /* PAIR foreign: acquire what the waker has written. */
  return atomic_load_explicit(&f->word, memory_order_acquire) == WOKEN;
}

/* While sessions run, an answer is likely soon, and sleeping is expensive. True
   if the wait has ended. */
static bool spin(foreign *f) {
  for (uint32_t i = 0; i < CAST_SPIN_ROUNDS; i++) {
    if (is_woken(f)) return true;
    if (cast_sched_busy() == 0) return false;
    for (uint32_t k = 0; k < CAST_SPIN_PAUSES; k++) os_relax();
  }
  return false;
}

/* Sleeps until woken, perhaps spuriously, or until the deadline. */
static int sleep_once(foreign *f, uint64_t deadline_ns) {
  uint32_t awake = AWAKE;
  /* Relaxed: ASLEEP only tells the waker to make a system call, and if WOKEN is
     found here, is_woken acquires it. */
  atomic_compare_exchange_strong_explicit(
    &f->word, &awake, ASLEEP, memory_order_relaxed, memory_order_relaxed);
  if (awake == WOKEN) return 0;
  return os_wait(&f->word, ASLEEP, deadline_ns);
}

/* After an operation with &f->task has returned CAST_PARKED: sleeps until the
   wait has ended. Returns its result, or CASTING_ETIMEOUT. */
static int await_wake(foreign *f, uint64_t deadline_ns) {
  cast_task *t = &f->task;
  if (!spin(f)) {
    while (!is_woken(f)) {
      if (sleep_once(f, deadline_ns) != OS_ETIMEOUT || is_woken(f)) continue;
      if (cast_wait_claim_own(t)) {
        t->wait.result = CASTING_ETIMEOUT;
        break;
      }
      /* Another thread has claimed the wait, and is about to wake this one. */
      deadline_ns = OS_FOREVER;
    }
  }
  cast_wait_done(t);
  return t->wait.result;
}

int cast_foreign_send(cast_chan *c, cast_msg *m, uint64_t deadline_ns) {
  foreign f;
  cast_waiter w;
  int rc;
  w.index = 0;
  cast_msg_move(&w.msg, m);
  rc = cast_chan_send(c, NULL, NULL, &w);
  if (rc == CASTING_EFULL && deadline_ns != 0) {
    init(&f);
    cast_msg_move(&f.task.waiter.msg, &w.msg);
    rc = cast_chan_send(c, NULL, &f.task, &f.task.waiter);
    if (rc == CAST_PARKED) rc = await_wake(&f, deadline_ns);
    cast_msg_move(&w.msg, &f.task.waiter.msg);
  }
  if (rc != 0) cast_msg_move(m, &w.msg);
  return rc;
}

int cast_foreign_receive(cast_chan *c, cast_msg *m, uint64_t deadline_ns) {
  foreign f;
  cast_waiter w;
  int rc;
  w.index = 0;
  memset(&w.msg, 0, sizeof w.msg);
  rc = cast_chan_receive(c, NULL, NULL, &w);
  if (rc == CASTING_EEMPTY && deadline_ns != 0) {
    init(&f);
    rc = cast_chan_receive(c, NULL, &f.task, &f.task.waiter);
    if (rc == CAST_PARKED) rc = await_wake(&f, deadline_ns);
    cast_msg_move(&w.msg, &f.task.waiter.msg);
  }
  cast_msg_move(m, &w.msg);
  return rc;
}

int cast_foreign_await(cast_event *e, uint64_t deadline_ns) {
  foreign f;
  if (cast_event_is_set(e)) return 0;
  if (deadline_ns == 0) return CASTING_ETIMEOUT;
  init(&f);
  if (cast_event_wait(e, &f.task) != CAST_PARKED) return 0;
  return await_wake(&f, deadline_ns);
}
