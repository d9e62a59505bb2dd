/* wait.c - THE parking primitive: fire once, by whoever claims first.
   SPDX-License-Identifier: MIT

   Owner of a wait: the task's session. Life of a wait:
     none -> armed    owner, before it queues the task's waiters; ONE or MANY
     armed -> fired   whoever wins cast_wait_claim: the other side of a channel
                      operation, a close, the end of a task, a deadline, a
                      cancellation. The winner writes the result, lets go of
                      all locks, and wakes the task.
     fired -> none    owner, when the task goes on (cast_wait_done)
   Invariants:
   1. Between arming and cast_wait_done exactly one claim wins.
   2. A waiter whose wait has fired may still stand in a queue: whoever meets
      it there drops it. It is off every queue before its memory is reused.
   3. A wake never allocates and cannot fail: the link is the task's own.
   4. A wait that was armed as ONE is claimed with t->waiter.lock held (or is
      in no queue, and only its owner claims it), so no two claim it at once. */
#include "session.h"

#include "../include/casting.h"

void cast_waiter_unlink(cast_waiter *w) {
  cast_lock *l = w->lock;
  if (l == NULL) return;
  cast_lock_take(l);
  cast_list_remove(&w->link);
  cast_lock_drop(l);
  w->lock = NULL;
}

void cast_wait_until(cast_task *t, uint64_t deadline_ns) {
  if (deadline_ns == OS_FOREVER) return;
  cast_heap_push(&t->session->deadlines, &t->wait.deadline, deadline_ns);
}

bool cast_wait_claim_own(cast_task *t) {
  cast_lock *l = t->waiter.lock;
  bool won;
  if (!cast_wait_armed(&t->wait)) return false;
  if (l == NULL) return cast_wait_claim(&t->wait);
  cast_lock_take(l);
  won = cast_wait_claim(&t->wait);
  if (won) cast_list_remove(&t->waiter.link);
  cast_lock_drop(l);
  return won;
}

bool cast_wait_end(cast_task *t, int result) {
  if (!cast_wait_claim_own(t)) return false;
  t->wait.result = result;
  cast_session_ready(t->session, &t->post);
  return true;
}

/* Puts the deadline of a wait off, or makes it earlier. */
static int move_deadline(cast_task *t, uint64_t deadline_ns) {
  cast_heap_node *n = &t->wait.deadline;
  if (n->index != 0)
    cast_heap_remove(&t->session->deadlines, n);
  else if (cast_wait_reserve(t) != 0)
    return CASTING_ENOMEM;
  cast_wait_until(t, deadline_ns);
  return 0;
}

void cast_wait_interrupt(cast_task *t, int result, uint64_t now_ns) {
  const cast_session_ops *ops = t->session->ops;
  uint64_t until = 0;
  /* Who fires it meanwhile is served by cast_wait_end. */
  if (!cast_wait_armed(&t->wait)) return;
  if (ops->spared != NULL) until = ops->spared(t, now_ns);
  if (until <= now_ns || move_deadline(t, until) != 0) cast_wait_end(t, result);
}

/* -- events --------------------------------------------------------------- */

void cast_event_init(cast_event *e) {
  cast_lock_init(&e->lock, CAST_RANK_EVENT);
  e->set = false;
  cast_list_init(&e->waiters);
}

int cast_event_wait(cast_event *e, cast_task *t) {
  int rc = 0;
  cast_lock_take(&e->lock);
  if (!e->set) {
    cast_waiter *w = &t->waiter;
    cast_wait_arm(t, CAST_WAIT_ONE);
    w->wait = &t->wait;
    w->lock = &e->lock;
    w->index = 0;
    cast_list_push(&e->waiters, &w->link);
    rc = CAST_PARKED;
  }
  cast_lock_drop(&e->lock);
  return rc;
}

static cast_watcher *watcher_of(cast_waiter *w) {
  return CAST_CONTAINER(w, cast_watcher, waiter);
}

/* With the lock held; it has just been taken off the list. */
static bool claim_watcher(cast_waiter *w) {
  w->lock = NULL;
  return watcher_of(w)->claim(watcher_of(w));
}

void cast_event_set(cast_event *e, cast_session *self) {
  cast_list fired;
  cast_list *l;
  cast_list_init(&fired);
  cast_lock_take(&e->lock);
  e->set = true;
  while ((l = cast_list_shift(&e->waiters)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    if (w->wait != NULL ? cast_wait_claim(w->wait) : claim_watcher(w))
      cast_list_push(&fired, l);
  }
  cast_lock_drop(&e->lock);
  /* Off the list before the wake: then the waiter is its task's again. */
  while ((l = cast_list_shift(&fired)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    if (w->wait == NULL) {
      cast_watcher *watcher = watcher_of(w);
      watcher->fire(watcher, self);
      continue;
    }
    w->wait->result = 0;
    w->wait->index = w->index;
    cast_task_wake(cast_wait_task(w->wait), self);
  }
}

bool cast_event_watch(cast_event *e, cast_watcher *w) {
  bool queued;
  cast_lock_take(&e->lock);
  queued = !e->set;
  w->waiter.wait = NULL;
  if (queued) {
    w->waiter.lock = &e->lock; /* says that it is queued */
    cast_list_push(&e->waiters, &w->waiter.link);
  }
  cast_lock_drop(&e->lock);
  return queued;
}

bool cast_event_unwatch(cast_event *e, cast_watcher *w) {
  bool queued;
  cast_lock_take(&e->lock);
  queued = w->waiter.lock != NULL;
  if (queued) cast_list_remove(&w->waiter.link);
  w->waiter.lock = NULL;
  cast_lock_drop(&e->lock);
  return queued;
}

cast_watcher *cast_event_seek(
  cast_event *e, bool (*test)(cast_watcher *w, void *arg), void *arg) {
  cast_watcher *found = NULL;
  cast_lock_take(&e->lock);
  for (cast_list *l = e->waiters.next; l != &e->waiters; l = l->next) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    if (w->wait != NULL || !test(watcher_of(w), arg)) continue;
    found = watcher_of(w);
    break;
  }
  cast_lock_drop(&e->lock);
  return found;
}

void cast_event_clear(cast_event *e) {
  cast_lock_take(&e->lock);
  e->set = false;
  cast_lock_drop(&e->lock);
}

bool cast_event_is_set(cast_event *e) {
  bool set;
  cast_lock_take(&e->lock);
  set = e->set;
  cast_lock_drop(&e->lock);
  return set;
}

bool cast_event_awaited(cast_event *e) {
  bool awaited;
  cast_lock_take(&e->lock);
  awaited = !cast_list_empty(&e->waiters);
  cast_lock_drop(&e->lock);
  return awaited;
}
