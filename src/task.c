/* task.c - tasks: their start, their end, and blocking in place.
   SPDX-License-Identifier: MIT

   Owner: see task.h. Lock: the session's, for its list of unfinished tasks. */
#include "task.h"

#include "../include/casting.h"

static _Atomic uint32_t last_id;

void cast_task_init(cast_task *t, cast_session *s, const cast_type *type) {
  cast_object_init(&t->object, type);
  t->session = s;
  cast_session_ref_weak(s);
  cast_list_init(&t->link);
  cast_list_init(&t->waiter.link);
  cast_event_init(&t->done);
  /* Relaxed: only uniqueness matters. */
  t->id = 1 + atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed);
}

int cast_task_start(cast_task *t, cast_session *self) {
  cast_session *s = t->session;
  int rc = CASTING_ECLOSED;
  cast_lock_take(&s->lock);
  if (!s->closing && s->tasks_max != 0 && s->ntasks >= s->tasks_max) {
    rc = CASTING_EFULL;
  } else if (!s->closing && CAST_UNLIKELY(s->account != NULL) &&
             !cast_account_take(s->account, CAST_TASKS, 1)) {
    rc = CASTING_EFULL;
  } else if (!s->closing) {
    rc = 0;
    s->nstarted++;
    cast_list_push(&s->tasks, &t->link);
    if (s->ntasks++ == 0) cast_event_clear(&s->empty);
    cast_ref(&t->object); /* the task's own, until it ends */
  }
  cast_lock_drop(&s->lock);
  if (rc == 0) cast_task_wake(t, self);
  return rc;
}

/* The order matters to observers. A task that has joined this one must find the
   session's number of tasks without it, so the list comes before `done`. A task
   that has waited for the session's last task must find that one ended, so
   `empty` comes after `done`. */
void cast_task_finish(cast_task *t, cast_status how) {
  cast_session *s = t->session;
  bool last;
  CAST_ASSERT(!t->finished && t->stack == NULL);
  t->finished = true;
  /* Relaxed: joiners are ordered by the event, others only report it. */
  atomic_store_explicit(&t->status, (uint8_t)how, memory_order_relaxed);
  cast_lock_take(&s->lock);
  cast_list_remove(&t->link);
  last = --s->ntasks == 0;
  if (CAST_UNLIKELY(s->account != NULL))
    cast_account_give(s->account, CAST_TASKS, 1);
  cast_lock_drop(&s->lock);
  cast_event_set(&t->done, s);
  if (last) {
    /* Under the lock: a task that starts now clears the event afterwards. */
    cast_lock_take(&s->lock);
    if (s->ntasks == 0) cast_event_set(&s->empty, s);
    cast_lock_drop(&s->lock);
  }
  cast_unref(&t->object);
}

void cast_task_yield(cast_task *t) {
  cast_session *s = t->session;
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  cast_session_ready(s, &t->post);
  /* The work between two yields may be long: who waits for a time is looked
     for soon. */
  if (s->deadlines.count > 0 && s->budget > CAST_YIELDS_MOST)
    s->budget = CAST_YIELDS_MOST;
}

void cast_task_preempt(cast_task *t) {
  cast_session *s = t->session;
  atomic_store_explicit(&t->status, CAST_READY, memory_order_relaxed);
  t->post.next = s->ready;
  if (s->ready == NULL) s->ready_tail = &t->post.next;
  s->ready = &t->post;
  s->nfront = 0; /* those in front are not the first any more */
  s->budget = 0; /* the slice is over */
}

void cast_task_cancel(cast_task *t) {
  uint64_t now;
  if (t->finished) return;
  now = os_now();
  if (!t->cancelled) t->cancelled_ns = now;
  t->cancelled = true;
  cast_wait_interrupt(t, CASTING_ECANCELLED, now);
}

/* In a sandbox: the pages of the stack that the task does not need go back to
   the system, for it may have used them before; what it needs is charged. That
   cannot be refused any more, so who blocks has asked before
   (CAST_STACK_CHARGE). */
static size_t charge_stack(cast_session *s, cast_runner *r) {
  size_t bytes = os_context_trim(r->at);
  if (bytes < CAST_STACK_CHARGE) bytes = CAST_STACK_CHARGE;
  cast_account_add(s->account, CAST_BYTES, bytes);
  return bytes;
}

void cast_task_block(cast_task *t) {
  cast_session *s = t->session;
  cast_runner *r = s->runner;
  size_t charged = 0;
  s->current = NULL;
  if (CAST_UNLIKELY(s->account != NULL)) charged = charge_stack(s, r);
  cast_runner_fork(r, &t->stack);
  /* Back, perhaps on another thread: the runner is read from the session. */
  CAST_ASSERT(t->stack == NULL);
  if (CAST_UNLIKELY(charged != 0))
    cast_account_give(s->account, CAST_BYTES, charged);
  cast_runner_arrived(s->runner);
  s->current = t;
  atomic_store_explicit(&t->status, CAST_RUNNING, memory_order_relaxed);
}

void cast_task_cancel_all(cast_session *s) {
  cast_list *l;
  cast_lock_take(&s->lock);
  s->closing = true;
  cast_lock_drop(&s->lock);
  s->close_wanted = true;
  /* No lock: no task is added any more, and only the owner removes one. */
  for (l = s->tasks.next; l != &s->tasks; l = l->next)
    cast_task_cancel(CAST_CONTAINER(l, cast_task, link));
}
