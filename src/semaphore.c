/* semaphore.c - semaphores: so many permits for tasks of all sessions.
   SPDX-License-Identifier: MIT

   States, owners and invariants: see semaphore.h. The message of a waiter in
   the queue has its permit as its only reference, which is how who makes room
   finds the permit, and how whoever drops that message gives the reference
   back. Waits are those of one queue (wait.h): each claim takes the waiter out
   under the semaphore's lock. */
#include "semaphore.h"

#include "../include/casting.h"
#include "mem.h"

/* -- made and freed ------------------------------------------------------- */

static void semaphore_free(cast_object *o) {
  cast_semaphore *s = CAST_CONTAINER(o, cast_semaphore, object);
  /* Those that wait have permits, and these a reference. */
  CAST_ASSERT(s->held == 0 && cast_list_is_empty(&s->queue));
  cast_account_release(s->account, sizeof *s);
  cast_free(s);
}

const cast_type cast_semaphore_type = {
  .name = "semaphore", .free = semaphore_free};

cast_semaphore *cast_semaphore_new(uint32_t size, cast_account *a) {
  cast_semaphore *s;
  if (!cast_account_hold(a, sizeof *s)) return NULL;
  s = cast_calloc(sizeof *s);
  if (s == NULL) {
    cast_account_release(a, sizeof *s);
    return NULL;
  }
  cast_object_init(&s->object, &cast_semaphore_type);
  cast_lock_init(&s->lock, CAST_RANK_CHAN);
  cast_list_init(&s->queue);
  s->size = size;
  s->account = a;
  return s;
}

static void permit_release(cast_object *o, cast_object **more) {
  cast_permit *p = CAST_CONTAINER(o, cast_permit, object);
  cast_unref_later(&p->semaphore->object, more);
}

static void permit_free(cast_object *o) {
  cast_permit *p = CAST_CONTAINER(o, cast_permit, object);
  CAST_ASSERT(p->state == CAST_PERMIT_NEW || p->state == CAST_PERMIT_OVER);
  cast_account_release(p->account, sizeof *p);
  cast_free(p);
}

const cast_type cast_permit_type = {
  .name = "permit", .free = permit_free, .release = permit_release};

static bool permit_claim(cast_watcher *w);
static void permit_fire(cast_watcher *w, cast_session *self);

cast_permit *cast_permit_new(
  cast_semaphore *s, uint32_t weight, cast_account *a) {
  cast_permit *p;
  CAST_ASSERT(weight > 0 && weight <= s->size);
  if (!cast_account_hold(a, sizeof *p)) return NULL;
  p = cast_calloc(sizeof *p);
  if (p == NULL) {
    cast_account_release(a, sizeof *p);
    return NULL;
  }
  cast_object_init(&p->object, &cast_permit_type);
  p->semaphore = cast_ref(&s->object);
  p->weight = weight;
  p->state = CAST_PERMIT_NEW;
  p->watcher.claim = permit_claim;
  p->watcher.hasty = true; /* who joins the task finds the places free */
  p->watcher.fire = permit_fire;
  p->account = a;
  return p;
}

/* -- with the lock held --------------------------------------------------- */

#if CAST_DEBUG >= 2
static void check(cast_semaphore *s) {
  CAST_ALWAYS(cast_lock_is_held(&s->lock));
  CAST_ALWAYS(s->held <= s->size);
  CAST_ALWAYS(!s->closed || cast_list_is_empty(&s->queue));
  cast_list_check(&s->queue);
}
#endif

static cast_permit *permit_of(cast_waiter *w) {
  return CAST_CONTAINER(*cast_msg_items(&w->msg), cast_permit, object);
}

static bool fits(const cast_semaphore *s, const cast_permit *p) {
  return p->weight <= s->size - s->held;
}

static void hold(cast_permit *p) {
  p->semaphore->held += p->weight;
  p->state = CAST_PERMIT_HELD;
}

/* The permit is over. True if it was held. */
static bool end(cast_permit *p) {
  bool was = p->state == CAST_PERMIT_HELD;
  if (was) {
    CAST_ASSERT(p->semaphore->held >= p->weight);
    p->semaphore->held -= p->weight;
  }
  p->state = CAST_PERMIT_OVER;
  return was;
}

/* Takes the first waiter off the queue and ends its wait. */
static void fire_first(cast_semaphore *s, int result, cast_list *fired) {
  cast_waiter *w =
    CAST_CONTAINER(cast_list_shift(&s->queue), cast_waiter, link);
  bool won = cast_wait_claim(w->wait);
  /* Any other claim would have taken it out. */
  CAST_ASSERT(won);
  CAST_UNUSED(won);
  w->wait->result = result;
  w->wait->index = 0;
  cast_list_push(fired, &w->link);
}

/* Serves the queue, as far as there are places. The tasks are woken by
   `wake`, after the release. */
static void serve(cast_semaphore *s, cast_list *fired) {
  CAST_CHECK(check(s));
  while (!cast_list_is_empty(&s->queue)) {
    cast_waiter *w = CAST_CONTAINER(s->queue.next, cast_waiter, link);
    cast_permit *p = permit_of(w);
    CAST_ASSERT(p->state == CAST_PERMIT_WAITING);
    if (!fits(s, p)) return;
    hold(p);
    fire_first(s, 0, fired);
  }
}

/* -- without it ----------------------------------------------------------- */

/* A waiter is taken off the list before its task is woken: from then on it
   belongs to the task, which may use it again. */
static void wake(cast_list *fired, cast_session *self) {
  cast_list *l;
  while ((l = cast_list_shift(fired)) != NULL)
    cast_task_wake(
      cast_wait_task(CAST_CONTAINER(l, cast_waiter, link)->wait), self);
}

static bool permit_claim(cast_watcher *w) {
  CAST_UNUSED(w);
  return true; /* the watcher's reference keeps the permit until it is fired */
}

/* Its task has ended. It may have been released between the claim and here. */
static void permit_fire(cast_watcher *w, cast_session *self) {
  cast_permit *p = CAST_CONTAINER(w, cast_permit, watcher);
  cast_semaphore *s = p->semaphore;
  cast_list fired;
  cast_list_init(&fired);
  cast_lock_take(&s->lock);
  (void)end(p);
  serve(s, &fired);
  cast_lock_drop(&s->lock);
  wake(&fired, self);
  cast_unref(&p->object);
}

/* Has the permit, which is not over, the watcher of its task taken out. True:
   the caller drops a reference, without the lock. */
static bool unwatch(cast_permit *p) {
  return cast_event_unwatch(&p->task->done, &p->watcher);
}

/* Queues t's waiter, with the permit as its message. That lies in the struct,
   so there is nothing to allocate. */
static void enqueue(cast_semaphore *s, cast_permit *p, cast_task *t) {
  cast_waiter *w = &t->waiter;
  int rc = cast_msg_init(&w->msg, 1, 1);
  CAST_ASSERT(rc == 0);
  CAST_UNUSED(rc);
  *cast_msg_items(&w->msg) = cast_ref(&p->object);
  *cast_msg_data(&w->msg) = 0;
  p->state = CAST_PERMIT_WAITING;
  cast_wait_arm(t, CAST_WAIT_ONE);
  w->wait = &t->wait;
  w->lock = &s->lock;
  w->index = 0;
  cast_list_push(&s->queue, &w->link);
}

/* The watcher comes first: after it nothing can fail. */
int cast_permit_acquire(cast_permit *p, cast_task *t, bool waits) {
  cast_semaphore *s = p->semaphore;
  int rc = CAST_PARKED;
  cast_lock_take(&s->lock);
  CAST_CHECK(check(s));
  CAST_ASSERT(p->state == CAST_PERMIT_NEW);
  if (s->closed)
    rc = CASTING_ECLOSED;
  else if (cast_list_is_empty(&s->queue) && fits(s, p))
    rc = 0;
  else if (!waits)
    rc = CASTING_EFULL;
  /* The main program of a host that is closing has ended. */
  if (rc >= 0 && !cast_event_watch(&t->done, &p->watcher)) rc = CASTING_ECLOSED;
  if (rc >= 0) {
    cast_ref(&p->object);
    p->task = t;
  }
  if (rc == 0) hold(p);
  if (rc == CAST_PARKED) enqueue(s, p, t);
  cast_lock_drop(&s->lock);
  return rc;
}

/* Ends the permit if it is in that state, or else is held. */
static bool finish(
  cast_permit *p, cast_permit_state state, cast_session *self) {
  cast_semaphore *s = p->semaphore;
  cast_list fired;
  bool was = false, mine = false;
  cast_list_init(&fired);
  cast_lock_take(&s->lock);
  if (p->state == state || p->state == CAST_PERMIT_HELD) {
    mine = unwatch(p);
    was = end(p);
    serve(s, &fired);
  }
  cast_lock_drop(&s->lock);
  wake(&fired, self);
  if (mine) cast_unref(&p->object);
  return was;
}

void cast_permit_drop(cast_permit *p, cast_session *self) {
  (void)finish(p, CAST_PERMIT_WAITING, self);
}

bool cast_permit_release(cast_permit *p, cast_session *self) {
  return finish(p, CAST_PERMIT_HELD, self);
}

bool cast_permit_is_held(cast_permit *p) {
  bool is;
  cast_lock_take(&p->semaphore->lock);
  is = p->state == CAST_PERMIT_HELD;
  cast_lock_drop(&p->semaphore->lock);
  return is;
}

/* If its task is just ending, the watcher was claimed, and permit_fire waits
   for the lock: then the permit counts as released. */
bool cast_permit_give(cast_permit *p, cast_session *self, cast_task *to) {
  cast_semaphore *s = p->semaphore;
  cast_list fired;
  bool mine = false, given = false;
  cast_list_init(&fired);
  cast_lock_take(&s->lock);
  if (p->state == CAST_PERMIT_HELD) given = unwatch(p);
  if (given) {
    p->task = to;
    mine = !cast_event_watch(&to->done, &p->watcher);
    if (mine) {
      (void)end(p);
      serve(s, &fired);
    }
  }
  cast_lock_drop(&s->lock);
  wake(&fired, self);
  if (mine) cast_unref(&p->object);
  return given;
}

bool cast_semaphore_close(cast_semaphore *s, cast_session *self) {
  cast_list fired;
  bool first;
  cast_list_init(&fired);
  cast_lock_take(&s->lock);
  first = !s->closed;
  s->closed = true;
  while (!cast_list_is_empty(&s->queue)) fire_first(s, CASTING_ECLOSED, &fired);
  cast_lock_drop(&s->lock);
  wake(&fired, self);
  return first;
}

bool cast_semaphore_is_closed(cast_semaphore *s) {
  bool closed;
  cast_lock_take(&s->lock);
  closed = s->closed;
  cast_lock_drop(&s->lock);
  return closed;
}

uint32_t cast_semaphore_available(cast_semaphore *s) {
  uint32_t n;
  cast_lock_take(&s->lock);
  n = s->size - s->held;
  cast_lock_drop(&s->lock);
  return n;
}
