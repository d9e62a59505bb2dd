/* chan.c - channels.
   SPDX-License-Identifier: MIT

   Locks: the channel's own (CAST_RANK_CHAN). Nothing is allocated, freed or
   woken under it: a ring grows outside, and tasks are woken after the release.
   Invariants: see chan.h. The way of a message is in chan_inline.h. */
#include "chan.h"

#include "../include/casting.h"
#include "chan_inline.h"
#include "mem.h"

int cast_chan_join(cast_chan *c, cast_account *a) {
  c->member = cast_member_new(a, &c->object, sizeof *c);
  return c->member != NULL ? 0 : CASTING_ENOMEM;
}

/* The ring stays charged to nobody, and the channel its maker's. */
int cast_chan_adopt(cast_chan *c, cast_account *a) {
  cast_member *m, *none = NULL;
  if (c->member != NULL ||
      atomic_load_explicit(&c->adopted, memory_order_relaxed) != NULL)
    return 0;
  m = cast_member_add(a, &c->object);
  if (m == NULL) return CASTING_ENOMEM;
  /* Relaxed: who frees the channel is ordered by its references. */
  if (!atomic_compare_exchange_strong_explicit(
        &c->adopted, &none, m, memory_order_relaxed, memory_order_relaxed))
    cast_member_free(m); /* another session was faster */
  return 0;
}

/* The channel ends. */
static void leave_account(cast_chan *c) {
  cast_member *m = atomic_load_explicit(&c->adopted, memory_order_relaxed);
  if (CAST_UNLIKELY(m != NULL)) cast_member_free(m);
  if (CAST_LIKELY(c->member == NULL)) return;
  cast_account_give(c->member->account, CAST_BYTES, c->room * sizeof *c->ring);
  cast_member_free(c->member);
}

static void chan_release(cast_object *o, cast_object **more) {
  cast_chan *c = CAST_CONTAINER(o, cast_chan, object);
  if (c->kind != NULL && c->kind->freed != NULL) c->kind->freed(c, more);
  for (; c->count > 0; c->count--, c->head++)
    cast_msg_drop_later(&c->ring[c->head & (c->room - 1)], more);
}

/* Does a task wait for a channel without references? The handle on the stack of
   the waiting task keeps the channel alive; but debug.setlocal can take it from
   there. Then the task waits for ever, unless it is cancelled, and the memory
   of the channel must stay. */
static bool is_awaited(cast_chan *c) {
  bool is;
  cast_lock_take(&c->lock);
  is = !cast_list_is_empty(&c->senders) || !cast_list_is_empty(&c->receivers) ||
       c->selecting > 0;
  cast_lock_drop(&c->lock);
  return is;
}

static void chan_free(cast_object *o) {
  cast_chan *c = CAST_CONTAINER(o, cast_chan, object);
  leave_account(c);
  if (CAST_UNLIKELY(is_awaited(c))) return;
  cast_free(c->ring);
  cast_free(c);
}

const cast_type cast_chan_type = {"channel", chan_free, chan_release};

cast_chan *cast_chan_new(size_t capacity) {
  cast_chan *c = cast_calloc(sizeof *c);
  if (c == NULL) return NULL;
  cast_object_init(&c->object, &cast_chan_type);
  cast_lock_init(&c->lock, CAST_RANK_CHAN);
  c->capacity = capacity;
  cast_list_init(&c->senders);
  cast_list_init(&c->receivers);
  return c;
}

/* -- with the lock held --------------------------------------------------- */

/* The first live waiter of the queue, or NULL. Others before it are dropped. */
static cast_waiter *first_live(cast_list *queue) {
  while (!cast_list_is_empty(queue)) {
    cast_waiter *w = CAST_CONTAINER(queue->next, cast_waiter, link);
    if (cast_wait_is_armed(w->wait)) return w; /* a hint: the claim decides */
    cast_list_remove(&w->link);
  }
  return NULL;
}

#if CAST_DEBUG >= 2
void cast_chan_check(cast_chan *c) {
  CAST_ALWAYS(cast_lock_is_held(&c->lock));
  CAST_ALWAYS(c->count <= c->capacity);
  CAST_ALWAYS(c->count + c->reserved <= c->room);
  CAST_ALWAYS((c->room & (c->room - 1)) == 0);
  cast_list_check(&c->senders);
  cast_list_check(&c->receivers);
  if (c->closed) {
    CAST_ALWAYS(cast_list_is_empty(&c->senders));
    CAST_ALWAYS(c->closing || cast_list_is_empty(&c->receivers));
  }
}
#endif

bool cast_chan_can_send_locked(cast_chan *c) {
  return c->closed || first_live(&c->receivers) != NULL ||
         c->count < c->capacity;
}

bool cast_chan_can_receive_locked(cast_chan *c) {
  return c->count > 0 || c->closed || first_live(&c->senders) != NULL;
}

bool cast_chan_pull_locked(
  cast_chan *c, cast_msg *to, const cast_fits *fits, cast_waiter **fired) {
  cast_waiter *w;
  *fired = NULL;
  while ((w = first_live(&c->senders)) != NULL) {
    bool batched = w->index == CAST_INDEX_BATCH;
    cast_batch *b = batched ? w->msg.u.many : NULL;
    cast_msg *m = batched ? &b->msgs[b->next] : &w->msg;
    if (fits != NULL && !cast_msg_fits(m, fits)) return false;
    if (!batched || b->next + 1 == b->count) {
      cast_list_remove(&w->link);
      if (!cast_wait_claim(w->wait)) continue; /* a select has others */
      w->wait->result = 0;
      w->wait->index = w->index;
      *fired = w;
      if (batched && c->batches > 0) c->batches--;
    }
    cast_msg_move(to, m);
    if (batched) b->next++;
    return true;
  }
  return false;
}

bool cast_chan_take_locked(cast_chan *c, cast_msg *to, cast_waiter **fired) {
  if (c->count == 0) return cast_chan_pull_locked(c, to, NULL, fired);
  *fired = NULL;
  cast_msg_move(to, &c->ring[c->head & (c->room - 1)]);
  c->head++;
  c->count--;
  if (c->count + 1 == c->capacity &&
      cast_chan_pull_locked(c, cast_chan_slot(c), NULL, fired))
    c->count++;
  return true;
}

/* -- operations ----------------------------------------------------------- */

/* Charges a ring that becomes larger by so many bytes. */
static bool charge_ring(cast_chan *c, size_t bytes, const cast_session *self) {
  cast_account *a = c->member->account;
  if (self != NULL && self->account != NULL)
    return cast_account_take(a, CAST_BYTES, bytes);
  cast_account_add(a, CAST_BYTES, bytes);
  return true;
}

/* The ring did not become larger by so many bytes after all. */
static void uncharge_ring(cast_chan *c, size_t bytes) {
  if (c->member != NULL)
    cast_account_give(c->member->account, CAST_BYTES, bytes);
}

int cast_chan_grow(cast_chan *c, const cast_session *self) {
  cast_msg *ring, *old = NULL;
  size_t room, seen;
  cast_lock_take(&c->lock);
  seen = c->room;
  cast_lock_drop(&c->lock);
  room = seen == 0 ? CAST_RING_FIRST : seen * 2;
  if (room < seen || room > SIZE_MAX / sizeof *ring) return CASTING_ENOMEM;
  if (CAST_UNLIKELY(c->member != NULL) &&
      !charge_ring(c, (room - seen) * sizeof *ring, self))
    return CASTING_ENOMEM;
  ring = cast_alloc(room * sizeof *ring);
  if (ring == NULL) {
    uncharge_ring(c, (room - seen) * sizeof *ring);
    return CASTING_ENOMEM;
  }
  cast_lock_take(&c->lock);
  if (c->room == seen) {
    for (size_t i = 0; i < c->count; i++)
      ring[i] = c->ring[(c->head + i) & (c->room - 1)];
    old = c->ring;
    c->ring = ring;
    c->room = room;
    c->head = 0;
    ring = NULL;
  }
  cast_lock_drop(&c->lock);
  /* Not NULL: another thread has made room meanwhile. */
  if (ring != NULL) uncharge_ring(c, (room - seen) * sizeof *ring);
  cast_free(ring);
  cast_free(old);
  return 0;
}

int cast_chan_reserve(cast_chan *c, const cast_session *self) {
  for (;;) {
    bool room;
    cast_lock_take(&c->lock);
    room = c->count + c->reserved < c->room;
    if (room) c->reserved++;
    cast_lock_drop(&c->lock);
    if (room) return 0;
    if (cast_chan_grow(c, self) != 0) return CASTING_ENOMEM;
  }
}

void cast_chan_unreserve(cast_chan *c) {
  cast_lock_take(&c->lock);
  CAST_ASSERT(c->reserved > 0);
  c->reserved--;
  cast_lock_drop(&c->lock);
}

int cast_chan_send_reserved(cast_chan *c, cast_session *self, cast_waiter *w) {
  cast_task *wake = NULL;
  int rc;
  cast_lock_take(&c->lock);
  CAST_ASSERT(c->reserved > 0);
  c->reserved--;
  rc = cast_chan_send_locked(c, w, &wake);
  CAST_ASSERT(rc != CAST_GROW);
  cast_lock_drop(&c->lock);
  if (wake != NULL) cast_task_wake(wake, self);
  return rc;
}

int cast_chan_send(
  cast_chan *c, cast_session *self, cast_task *t, cast_waiter *w) {
  int rc;
  while ((rc = cast_chan_send_once(c, self, t, w)) == CAST_GROW)
    if ((rc = cast_chan_grow(c, self)) != 0) break;
  return rc;
}

/* Claims live waiters of the queue, `most` at most, and moves them to `fired`.
   */
static void claim_some(cast_list *queue, cast_list *fired, size_t most) {
  cast_waiter *w;
  for (; most > 0 && (w = cast_chan_claim(queue)) != NULL; most--) {
    w->wait->result = CASTING_ECLOSED;
    cast_list_push(fired, &w->link);
  }
}

/* Closes the channel and wakes all senders, but at most `most` receivers. True
   if this call has closed it. */
static bool close_some(cast_chan *c, cast_session *self, size_t most) {
  cast_list fired, *l;
  bool first;
  cast_list_init(&fired);
  cast_lock_take(&c->lock);
  first = !c->closed;
  c->closed = true;
  claim_some(&c->receivers, &fired, most);
  claim_some(&c->senders, &fired, SIZE_MAX);
  c->batches = 0;
  c->closing = !cast_list_is_empty(&c->receivers);
  cast_lock_drop(&c->lock);
  /* A waiter is taken off the list before its task is woken: from then on it
     belongs to the task, which may use it again. */
  while ((l = cast_list_shift(&fired)) != NULL)
    cast_task_wake(
      cast_wait_task(CAST_CONTAINER(l, cast_waiter, link)->wait), self);
  if (first && c->kind != NULL && c->kind->closed != NULL)
    c->kind->closed(c, self);
  return first;
}

bool cast_chan_close(cast_chan *c, cast_session *self) {
  return close_some(c, self, SIZE_MAX);
}

bool cast_chan_close_part(cast_chan *c, size_t most) {
  bool closing;
  close_some(c, NULL, most);
  cast_lock_take(&c->lock);
  closing = c->closing;
  cast_lock_drop(&c->lock);
  return closing;
}

bool cast_chan_is_closed(cast_chan *c) {
  bool closed;
  cast_lock_take(&c->lock);
  closed = c->closed;
  cast_lock_drop(&c->lock);
  return closed;
}

size_t cast_chan_len(cast_chan *c) {
  size_t n;
  cast_lock_take(&c->lock);
  n = c->count;
  cast_lock_drop(&c->lock);
  return n;
}

bool cast_chan_peek(cast_chan *c, size_t i, cast_msg *m) {
  bool there;
  cast_lock_take(&c->lock);
  there = i < c->count;
  if (there) cast_msg_dup(m, &c->ring[(c->head + i) & (c->room - 1)]);
  cast_lock_drop(&c->lock);
  return there;
}
