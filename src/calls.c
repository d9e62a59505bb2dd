/* calls.c - the calls of a service: from those who call to those who work.
   SPDX-License-Identifier: MIT

   Locks and invariants: see calls.h. Nothing is allocated, freed or woken under
   the lock. Another one guards the list of names; it is taken first. */
#include "calls.h"

#include "../include/casting.h"
#include "chan_inline.h"
#include "mem.h"

#define NOT_TAKEN UINT32_MAX /* the index of a waiter whose call waits */

/* -- names, and life ------------------------------------------------------ */

static struct {
  cast_lock lock;
  cast_list all; /* (lock) those that have names */
} names = {
  .lock = CAST_LOCK_STATIC(CAST_RANK_SESSION),
  .all = {&names.all, &names.all},
};

cast_calls *cast_calls_new(const char *name, size_t size) {
  cast_calls *c = cast_calloc(sizeof *c + size + 1);
  if (c == NULL) return NULL;
  cast_object_init(&c->object, &cast_calls_type);
  cast_lock_init(&c->lock, CAST_RANK_CHAN);
  cast_list_init(&c->waiting);
  cast_list_init(&c->idle);
  cast_list_init(&c->link);
  memcpy(c->name, name, size);
  c->name_size = size;
  return c;
}

static void calls_release(cast_object *o, cast_object **more) {
  cast_calls *c = CAST_CONTAINER(o, cast_calls, object);
  if (c->spec != NULL) cast_unref_later(c->spec, more);
  if (c->server != NULL) cast_unref_later(&c->server->object, more);
}

static void calls_free(cast_object *o) {
  cast_calls *c = CAST_CONTAINER(o, cast_calls, object);
  CAST_ASSERT(c->seats == NULL && cast_list_is_empty(&c->waiting));
  cast_lock_take(&names.lock);
  cast_list_remove(&c->link);
  cast_lock_drop(&names.lock);
  cast_free(c);
}

const cast_type cast_calls_type = {"calls", calls_free, calls_release};

static inline bool takes_calls(const cast_calls *c) {
  return c->seats != NULL && !c->draining;
}

/* Not in use any more is one that drains: who has stopped it may learn that it
   has ended before the end is noted here. */
static bool is_in_use(cast_calls *c) {
  bool is;
  cast_lock_take(&c->lock);
  is = c->restarts || c->fresh || takes_calls(c);
  cast_lock_drop(&c->lock);
  return is;
}

/* The one of that name which is served, or may be; without a reference. */
static cast_calls *find_locked(const char *name, size_t size) {
  for (cast_list *l = names.all.next; l != &names.all; l = l->next) {
    cast_calls *c = CAST_CONTAINER(l, cast_calls, link);
    if (c->name_size != size || memcmp(c->name, name, size) != 0) continue;
    if (is_in_use(c)) return c;
  }
  return NULL;
}

int cast_calls_publish(cast_calls *c) {
  int rc = 0;
  c->fresh = true; /* nobody else has it yet */
  if (c->name_size == 0) return 0;
  cast_lock_take(&names.lock);
  if (find_locked(c->name, c->name_size) != NULL)
    rc = CASTING_EINVAL;
  else
    cast_list_push(&names.all, &c->link);
  cast_lock_drop(&names.lock);
  return rc;
}

/* Others of the same name may be older, and about to be freed: those are
   passed over. */
cast_calls *cast_calls_find(const char *name, size_t size) {
  cast_calls *c;
  cast_lock_take(&names.lock);
  c = find_locked(name, size);
  if (c != NULL && !cast_ref_if_alive(&c->object)) c = NULL;
  cast_lock_drop(&names.lock);
  return c;
}

/* -- calling -------------------------------------------------------------- */

/* A seat whose worker waits, with that worker's waiter, whose wait was claimed;
   or NULL. A worker that was cancelled has left its seat's list. */
static cast_seat *claim_seat(cast_calls *c, cast_waiter **worker) {
  cast_list *l;
  while ((l = cast_list_shift(&c->idle)) != NULL) {
    cast_seat *seat = CAST_CONTAINER(l, cast_seat, idle);
    *worker = cast_chan_claim(&seat->parked);
    if (CAST_LIKELY(*worker != NULL)) return seat;
  }
  return NULL;
}

/* The seat has a call from now on; with the waiter of who waits for it, or
   NULL. The waiter's message was taken, so its word is free. */
static inline void seat_call(cast_calls *c, cast_seat *seat, cast_waiter *w) {
  CAST_ASSERT(seat->serial == 0 && cast_list_is_empty(&seat->caller));
  seat->serial = ++c->serial;
  if (w == NULL) return;
  CAST_ASSERT(cast_msg_is_empty(&w->msg));
  w->index = (uint32_t)(seat - c->seats);
  w->msg.u.word = seat->serial;
  cast_list_push(&seat->caller, &w->link);
}

int cast_calls_call(cast_calls *c, cast_session *self, cast_task *t) {
  cast_waiter *w = &t->waiter, *worker;
  cast_task *wake = NULL;
  cast_seat *seat;
  int rc = CAST_PARKED;
  cast_lock_take(&c->lock);
  if (CAST_UNLIKELY(!takes_calls(c))) {
    rc = CASTING_ECLOSED;
  } else if (CAST_UNLIKELY(c->nseats == 1 && c->seats->task == t)) {
    rc = CAST_SELF_CALL;
  } else {
    cast_wait_arm(t, CAST_WAIT_ONE);
    w->wait = &t->wait;
    w->lock = &c->lock;
    w->index = NOT_TAKEN;
    if ((seat = claim_seat(c, &worker)) != NULL) {
      cast_msg_move(&worker->msg, &w->msg);
      seat_call(c, seat, w);
      wake = cast_wait_task(worker->wait);
    } else {
      cast_list_push(&c->waiting, &w->link);
    }
  }
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_hand(wake, self);
  return rc;
}

int cast_calls_cast(cast_calls *c, cast_session *self, cast_waiter *w,
  cast_waiter *spare, bool *kept) {
  cast_waiter *worker;
  cast_task *wake = NULL;
  cast_seat *seat;
  int rc = 0;
  *kept = false;
  cast_lock_take(&c->lock);
  if (CAST_UNLIKELY(!takes_calls(c))) {
    rc = CASTING_ECLOSED;
  } else if ((seat = claim_seat(c, &worker)) != NULL) {
    cast_msg_move(&worker->msg, &w->msg);
    seat_call(c, seat, NULL);
    wake = cast_wait_task(worker->wait);
  } else if (c->ncasts >= c->capacity) {
    rc = CASTING_EFULL;
  } else if (spare == NULL) {
    rc = CASTING_EEMPTY;
  } else {
    *kept = true;
    spare->wait = NULL;
    spare->lock = NULL;
    cast_msg_move(&spare->msg, &w->msg);
    cast_list_push(&c->waiting, &spare->link);
    c->ncasts++;
  }
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_wake(wake, self);
  return rc;
}

/* -- serving -------------------------------------------------------------- */

bool cast_calls_open(cast_calls *c, cast_seat *seats, cast_task *server) {
  cast_task *old = NULL;
  bool free;
  for (uint32_t i = 0; i < c->nseats; i++) {
    cast_list_init(&seats[i].idle);
    cast_list_init(&seats[i].parked);
    cast_list_init(&seats[i].caller);
  }
  cast_lock_take(&c->lock);
  free = c->seats == NULL;
  if (free) {
    CAST_ASSERT(cast_list_is_empty(&c->waiting));
    c->seats = seats;
    c->draining = false;
    c->fresh = false;
    old = c->server;
    c->server = cast_ref(&server->object);
  }
  cast_lock_drop(&c->lock);
  if (old != NULL) cast_unref(&old->object);
  return free;
}

/* Gives the seat's answer to who waits for it: its task, which is to be woken;
   NULL: nobody does. Either way the call is over. */
static cast_task *answer_locked(cast_seat *seat, cast_msg *m) {
  cast_waiter *w = cast_chan_claim(&seat->caller);
  seat->serial = 0;
  if (CAST_UNLIKELY(w == NULL)) return NULL;
  cast_msg_move(&w->msg, m);
  return cast_wait_task(w->wait);
}

/* Takes the next call for the seat: 0, or CAST_PARKED. A cast's waiter is to be
   freed. */
static int take_locked(
  cast_calls *c, cast_task *t, cast_seat *seat, cast_waiter **spent) {
  cast_list *l = cast_list_shift(&c->waiting);
  cast_waiter *w = &t->waiter;
  if (l != NULL) {
    cast_waiter *from = CAST_CONTAINER(l, cast_waiter, link);
    cast_msg_move(&w->msg, &from->msg);
    if (from->wait == NULL) {
      c->ncasts--;
      *spent = from;
      from = NULL;
    }
    seat_call(c, seat, from);
    return 0;
  }
  if (c->draining) return CASTING_ECLOSED;
  cast_wait_arm(t, CAST_WAIT_ONE);
  w->wait = &t->wait;
  w->lock = &c->lock;
  w->index = 0;
  cast_list_push(&seat->parked, &w->link);
  if (CAST_LIKELY(cast_list_is_empty(&seat->idle)))
    cast_list_push(&c->idle, &seat->idle);
  return CAST_PARKED;
}

int cast_calls_next(cast_calls *c, cast_session *self, cast_task *t,
  cast_seat *seats, uint32_t i) {
  cast_seat *seat = &seats[i];
  cast_task *wake = NULL, *old = NULL;
  cast_waiter *spent = NULL;
  int rc;
  cast_lock_take(&c->lock);
  if (CAST_UNLIKELY(c->seats != seats)) {
    cast_lock_drop(&c->lock);
    return CASTING_ECLOSED;
  }
  if (CAST_UNLIKELY(seat->task != t)) {
    old = seat->task;
    seat->task = cast_ref(&t->object);
  }
  if (seat->serial != 0 &&
      (wake = answer_locked(seat, &t->waiter.msg)) == NULL) {
    rc = CAST_UNHEARD;
  } else {
    rc = take_locked(c, t, seat, &spent);
  }
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_hand(wake, self);
  if (CAST_UNLIKELY(old != NULL)) cast_unref(&old->object);
  cast_free(spent);
  return rc;
}

bool cast_calls_fail(
  cast_calls *c, cast_session *self, cast_seat *seat, cast_msg *m) {
  cast_task *wake, *old;
  cast_lock_take(&c->lock);
  wake = answer_locked(seat, m);
  old = seat->task;
  seat->task = NULL;
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_wake(wake, self);
  if (old != NULL) cast_unref(&old->object);
  return wake != NULL;
}

/* -- the end -------------------------------------------------------------- */

/* Claims all waits in the queue, and moves the waiters to `fired`. */
static void claim_all(cast_list *queue, cast_list *fired) {
  cast_waiter *w;
  while ((w = cast_chan_claim(queue)) != NULL) {
    w->wait->result = CASTING_ECLOSED;
    cast_list_push(fired, &w->link);
  }
}

/* A waiter is taken off the list before its task is woken: from then on it
   belongs to the task. */
static void wake_all(cast_list *fired, cast_session *self) {
  cast_list *l;
  while ((l = cast_list_shift(fired)) != NULL)
    cast_task_wake(
      cast_wait_task(CAST_CONTAINER(l, cast_waiter, link)->wait), self);
}

void cast_calls_drain(cast_calls *c, cast_session *self) {
  cast_list fired;
  cast_list_init(&fired);
  cast_lock_take(&c->lock);
  c->draining = c->seats != NULL;
  c->fresh = false;
  for (uint32_t i = 0; c->draining && i < c->nseats; i++)
    claim_all(&c->seats[i].parked, &fired);
  cast_lock_drop(&c->lock);
  wake_all(&fired, self);
}

/* Moves what waits to `fired`, and the waiters of casts to `casts`. */
static void clear_locked(cast_calls *c, cast_list *fired, cast_list *casts) {
  cast_list *l;
  while ((l = cast_list_shift(&c->waiting)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    if (w->wait == NULL) {
      cast_list_push(casts, l);
    } else if (cast_wait_claim(w->wait)) {
      w->wait->result = CASTING_ECLOSED;
      cast_list_push(fired, l);
    }
  }
  c->ncasts = 0;
}

void cast_calls_close(cast_calls *c, cast_session *self, cast_seat *seats) {
  cast_list fired, casts, *l;
  bool mine;
  cast_list_init(&fired);
  cast_list_init(&casts);
  cast_lock_take(&c->lock);
  mine = c->seats == seats;
  if (mine) {
    clear_locked(c, &fired, &casts);
    for (uint32_t i = 0; i < c->nseats; i++) {
      claim_all(&seats[i].caller, &fired);
      claim_all(&seats[i].parked, &fired);
      cast_list_remove(&seats[i].idle);
      seats[i].serial = 0;
    }
    c->seats = NULL;
  }
  cast_lock_drop(&c->lock);
  wake_all(&fired, self);
  while ((l = cast_list_shift(&casts)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    cast_msg_drop(&w->msg);
    cast_free(w);
  }
  for (uint32_t i = 0; mine && i < c->nseats; i++) {
    if (seats[i].task != NULL) cast_unref(&seats[i].task->object);
    seats[i].task = NULL;
  }
}

/* -- looking -------------------------------------------------------------- */

cast_task *cast_calls_server(cast_calls *c) {
  cast_task *t;
  cast_lock_take(&c->lock);
  t = c->server != NULL ? cast_ref(&c->server->object) : NULL;
  cast_lock_drop(&c->lock);
  return t;
}

bool cast_calls_has_worker(cast_calls *c, const cast_task *t) {
  bool has = false;
  cast_lock_take(&c->lock);
  for (uint32_t i = 0; c->seats != NULL && i < c->nseats && !has; i++)
    has = c->seats[i].task == t;
  cast_lock_drop(&c->lock);
  return has;
}

cast_task *cast_calls_worker(cast_calls *c, const cast_waiter *w) {
  cast_task *t = NULL;
  if (w->index == NOT_TAKEN) return NULL;
  cast_lock_take(&c->lock);
  if (c->seats != NULL && w->index < c->nseats) {
    const cast_seat *seat = &c->seats[w->index];
    if (seat->serial == w->msg.u.word && seat->task != NULL)
      t = cast_ref(&seat->task->object);
  }
  cast_lock_drop(&c->lock);
  return t;
}
