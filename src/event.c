/* event.c - events: they happen once, and tasks wait for them or watch them.
   SPDX-License-Identifier: MIT

   See event.h for locks. A waiter with `wait` NULL is a watcher's; a watcher is
   queued exactly while the `lock` of its waiter is set. */
#include "event.h"

void cast_event_init(cast_event *e) {
  cast_lock_init(&e->lock, CAST_RANK_EVENT);
  e->set = e->hasty = false;
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

/* With the lock held, when w has just been taken off the list: must it be
   fired? */
static bool claim_watcher(cast_waiter *w) {
  w->lock = NULL;
  return watcher_of(w)->claim(watcher_of(w));
}

/* With the lock held, which is dropped meanwhile: fires the hasty watchers. */
static void fire_hasty(cast_event *e, cast_session *self) {
  cast_list fired, *l, *next;
  cast_list_init(&fired);
  e->hasty = false;
  for (l = e->waiters.next; l != &e->waiters; l = next) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    next = l->next;
    if (w->wait != NULL || !watcher_of(w)->hasty) continue;
    cast_list_remove(l);
    if (claim_watcher(w)) cast_list_push(&fired, l);
  }
  cast_lock_drop(&e->lock);
  while ((l = cast_list_shift(&fired)) != NULL) {
    cast_watcher *w = watcher_of(CAST_CONTAINER(l, cast_waiter, link));
    w->fire(w, self);
  }
  cast_lock_take(&e->lock);
}

void cast_event_set(cast_event *e, cast_session *self) {
  cast_list fired;
  cast_list *l;
  cast_list_init(&fired);
  cast_lock_take(&e->lock);
  while (CAST_UNLIKELY(e->hasty)) fire_hasty(e, self);
  e->set = true;
  while ((l = cast_list_shift(&e->waiters)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    if (w->wait != NULL ? cast_wait_claim(w->wait) : claim_watcher(w))
      cast_list_push(&fired, l);
  }
  cast_lock_drop(&e->lock);
  /* A waiter is taken off the list before its task is woken: from then on it
     belongs to the task, which may use it again. */
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
    w->waiter.lock = &e->lock; /* marks it as queued */
    cast_list_push(&e->waiters, &w->waiter.link);
    e->hasty |= w->hasty;
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
