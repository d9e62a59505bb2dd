/* chan_inline.h - the way of a message through a channel, inlined.
   SPDX-License-Identifier: MIT

   These functions run for each message. They are inline because a call would
   cost as much as the work. Owner, locks and invariants: see chan.h. */
#ifndef CAST_CHAN_INLINE_H
#define CAST_CHAN_INLINE_H

#include "../include/casting.h"
#include "chan.h"

#if CAST_DEBUG >= 2
/* Proof walk of the invariants, with the lock. */
void cast_chan_check(cast_chan *c);
#endif

/* Claims the live waiter that has waited longest and takes it out; NULL if
   there is none. */
static inline cast_waiter *cast_chan_claim(cast_list *queue) {
  cast_list *l;
  while ((l = cast_list_shift(queue)) != NULL) {
    cast_waiter *w = CAST_CONTAINER(l, cast_waiter, link);
    if (CAST_LIKELY(cast_wait_claim(w->wait))) {
      w->wait->result = 0;
      w->wait->index = w->index;
      return w;
    }
  }
  return NULL;
}

/* The slot of the ring for the next message. */
static inline cast_msg *cast_chan_slot(cast_chan *c) {
  return &c->ring[(c->head + c->count) & (c->room - 1)];
}

/* Moves a message to the end of the ring, which has a free slot. */
static inline void cast_chan_put(cast_chan *c, cast_msg *m) {
  CAST_ASSERT(c->count < c->room && c->count < c->capacity);
  cast_msg_move(cast_chan_slot(c), m);
  c->count++;
}

/* Sends w->msg if that need not wait. *wake becomes the receiver's task, which
   the caller must wake after releasing the lock. 0, CASTING_ECLOSED,
   CASTING_EFULL, or CAST_GROW. */
static inline int cast_chan_send_locked(
  cast_chan *c, cast_waiter *w, cast_task **wake) {
  cast_waiter *r;
  CAST_CHECK(cast_chan_check(c));
  if (CAST_UNLIKELY(c->closed)) return CASTING_ECLOSED;
  if ((r = cast_chan_claim(&c->receivers)) != NULL) {
    cast_msg_move(&r->msg, &w->msg);
    *wake = cast_wait_task(r->wait);
    return 0;
  }
  if (c->count >= c->capacity) return CASTING_EFULL;
  if (CAST_UNLIKELY(c->count + c->reserved == c->room)) return CAST_GROW;
  cast_chan_put(c, &w->msg);
  return 0;
}

/* Takes the message of the sender that has waited longest; *wake becomes its
   task if it has no more to send. False: nobody waits. */
static inline bool cast_chan_pull(
  cast_chan *c, cast_msg *to, cast_task **wake) {
  cast_waiter *s;
  if (CAST_UNLIKELY(c->batches > 0)) {
    if (!cast_chan_pull_locked(c, to, NULL, &s)) return false;
    if (s != NULL) *wake = cast_wait_task(s->wait);
    return true;
  }
  if ((s = cast_chan_claim(&c->senders)) == NULL) return false;
  cast_msg_move(to, &s->msg);
  *wake = cast_wait_task(s->wait);
  return true;
}

/* Receives into w->msg if that need not wait; *wake as above, for a sender. 0,
   CASTING_ECLOSED or CASTING_EEMPTY. */
static inline int cast_chan_receive_locked(
  cast_chan *c, cast_waiter *w, cast_task **wake) {
  CAST_CHECK(cast_chan_check(c));
  if (c->count > 0) {
    cast_msg_move(&w->msg, &c->ring[c->head & (c->room - 1)]);
    c->head++;
    c->count--;
    if (c->count + 1 == c->capacity &&
        cast_chan_pull(c, cast_chan_slot(c), wake))
      c->count++;
    return 0;
  }
  if (cast_chan_pull(c, &w->msg, wake)) return 0;
  return c->closed ? CASTING_ECLOSED : CASTING_EEMPTY;
}

/* Queues w, a place of t's armed wait. */
static inline void cast_chan_queue_locked(
  cast_chan *c, cast_task *t, cast_waiter *w, bool sending) {
  w->wait = &t->wait;
  w->lock = &c->lock;
  cast_list_push(sending ? &c->senders : &c->receivers, &w->link);
}

/* As cast_chan_send, but returns CAST_GROW if the ring must grow first. */
static inline int cast_chan_send_once(
  cast_chan *c, cast_session *self, cast_task *t, cast_waiter *w) {
  cast_task *wake = NULL;
  int rc;
  cast_lock_take(&c->lock);
  rc = cast_chan_send_locked(c, w, &wake);
  if (rc == CASTING_EFULL && t != NULL) {
    cast_wait_arm(t, CAST_WAIT_ONE);
    w->index = 0;
    cast_chan_queue_locked(c, t, w, true);
    rc = CAST_PARKED;
  }
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_hand(wake, self);
  return rc;
}

/* Receives into w->msg, which is empty before; t and self as in cast_chan_send.
   0, CAST_PARKED, CASTING_ECLOSED, CASTING_EEMPTY (t == NULL). */
static inline int cast_chan_receive(
  cast_chan *c, cast_session *self, cast_task *t, cast_waiter *w) {
  cast_task *wake = NULL;
  int rc;
  CAST_ASSERT(cast_msg_is_empty(&w->msg));
  cast_lock_take(&c->lock);
  rc = cast_chan_receive_locked(c, w, &wake);
  if (rc == CASTING_EEMPTY && t != NULL) {
    cast_wait_arm(t, CAST_WAIT_ONE);
    w->index = 0;
    cast_chan_queue_locked(c, t, w, false);
    rc = CAST_PARKED;
  }
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_hand(wake, self);
  if (CAST_UNLIKELY(c->kind != NULL) && rc == 0 && c->kind->taken != NULL)
    c->kind->taken(c);
  return rc;
}

#endif
