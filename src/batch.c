/* batch.c - many messages that cross a channel together.
   SPDX-License-Identifier: MIT

   Locks: that of the channel. Tasks whose waits end are gathered under it, by
   the links of their waiters, and woken after its release, as by a close.
   Owner and invariants: see batch.h. */
#include "batch.h"

#include "../include/casting.h"
#include "chan_inline.h"
#include "mem.h"

/* -- life ----------------------------------------------------------------- */

static void batch_release(cast_object *o, cast_object **more) {
  cast_batch *b = CAST_CONTAINER(o, cast_batch, object);
  for (; b->next < b->count; b->next++)
    cast_msg_drop_later(&b->msgs[b->next], more);
  cast_unref_later(&b->chan->object, more);
}

static void free_room(cast_batch *b) {
  if (b->msgs == &b->first) return;
  cast_account_give(b->account, CAST_BYTES, b->room * sizeof *b->msgs);
  cast_free(b->msgs);
  b->msgs = &b->first;
  b->room = 1;
}

static void batch_free(cast_object *o) {
  cast_batch *b = CAST_CONTAINER(o, cast_batch, object);
  cast_account *a = b->account;
  free_room(b);
  cast_free(b);
  if (CAST_UNLIKELY(a != NULL)) cast_account_release(a, sizeof *b);
}

static const cast_type batch_type = {"batch", batch_free, batch_release};

cast_batch *cast_batch_new(cast_chan *c, cast_account *a, size_t room) {
  cast_batch *b;
  if (CAST_UNLIKELY(a != NULL) && !cast_account_hold(a, sizeof *b)) return NULL;
  b = cast_alloc(sizeof *b);
  if (b == NULL) {
    if (a != NULL) cast_account_release(a, sizeof *b);
    return NULL;
  }
  cast_object_init(&b->object, &batch_type);
  b->chan = cast_ref(&c->object);
  b->next = b->count = b->most = 0;
  b->room = 1;
  b->msgs = &b->first;
  b->first = (cast_msg){.size = 0};
  b->account = a;
  cast_batch_make_room(b, room);
  if (CAST_LIKELY(b->room >= room)) return b;
  cast_unref(&b->object);
  return NULL;
}

/* Messages that are not there yet need no value: count says how many are. */
void cast_batch_make_room(cast_batch *b, size_t room) {
  cast_msg *msgs;
  size_t bytes = room * sizeof *msgs;
  CAST_ASSERT(b->next == 0 && b->count <= 1);
  if (room <= 1 && b->count == 0) free_room(b);
  if (room <= b->room || room > SIZE_MAX / sizeof *msgs) return;
  if (!cast_account_take(b->account, CAST_BYTES, bytes)) return;
  msgs = cast_alloc(bytes);
  if (msgs == NULL) {
    cast_account_give(b->account, CAST_BYTES, bytes);
    return;
  }
  if (b->count == 1) {
    msgs[0] = (cast_msg){.size = 0};
    cast_msg_move(&msgs[0], &b->msgs[0]);
  }
  free_room(b);
  b->msgs = msgs;
  b->room = room;
}

/* -- what both directions need -------------------------------------------- */

/* With no lock held: wakes those whose waits have ended. A waiter is taken off
   the list first: from the wake on it belongs to its task. */
static void wake_all(cast_list *fired, cast_session *self) {
  cast_list *l;
  while ((l = cast_list_shift(fired)) != NULL)
    cast_task_hand(
      cast_wait_task(CAST_CONTAINER(l, cast_waiter, link)->wait), self);
}

/* -- sending -------------------------------------------------------------- */

/* Has the ring room for all that would lie in it, if nobody received? */
static bool has_room(const cast_batch *b) {
  const cast_chan *c = b->chan;
  size_t left = b->count - b->next, free = c->capacity - c->count;
  return (left < free ? left : free) <= c->room - c->count - c->reserved;
}

/* Puts up to n messages into the ring, as many as it may hold. */
static void put_many(cast_batch *b, size_t n) {
  cast_chan *c = b->chan;
  cast_msg *ring = c->ring, *from = b->msgs + b->next;
  size_t tail = c->head + c->count, mask = c->room - 1, end;
  if (n > c->capacity - c->count) n = c->capacity - c->count;
  for (end = tail + n; tail != end; tail++)
    cast_msg_move(&ring[tail & mask], from++);
  c->count += n;
  b->next += n;
}

/* Sends one round. 0: it has gone; CASTING_ECLOSED; CASTING_EFULL: of what is
   left, the first message has to wait; CAST_GROW. */
static int send_round(cast_batch *b, cast_list *fired) {
  cast_chan *c = b->chan;
  size_t left = b->count - b->next;
  size_t end;
  cast_waiter *r;
  CAST_CHECK(cast_chan_check(c));
  if (c->closed) return CASTING_ECLOSED;
  if (CAST_UNLIKELY(!has_room(b))) return CAST_GROW;
  if (left > CAST_BATCH_ROUND) left = CAST_BATCH_ROUND;
  end = b->next + left;
  for (; left > 0 && (r = cast_chan_claim(&c->receivers)) != NULL; left--) {
    cast_msg_move(&r->msg, &b->msgs[b->next++]);
    cast_list_push(fired, &r->link);
  }
  put_many(b, left);
  return b->next < end ? CASTING_EFULL : 0;
}

/* The task waits until others have taken the rest. */
static void queue_sender(cast_batch *b, cast_task *t) {
  cast_waiter *w = &t->waiter;
  CAST_ASSERT(cast_msg_is_empty(&w->msg));
  cast_wait_arm(t, CAST_WAIT_ONE);
  w->index = CAST_INDEX_BATCH;
  w->msg.u.many = b;
  cast_chan_queue_locked(b->chan, t, w, true);
  b->chan->batches++;
}

int cast_batch_send(cast_batch *b, cast_session *self, cast_task *t) {
  cast_chan *c = b->chan;
  int rc;
  do {
    cast_list fired;
    cast_list_init(&fired);
    cast_lock_take(&c->lock);
    rc = send_round(b, &fired);
    if (rc == CASTING_EFULL && t != NULL) {
      queue_sender(b, t);
      rc = CAST_PARKED;
    }
    cast_lock_drop(&c->lock);
    wake_all(&fired, self);
    if (CAST_UNLIKELY(rc == CAST_GROW)) rc = cast_chan_grow(c, self);
  } while (rc == 0 && b->next < b->count);
  return rc;
}

void cast_batch_left(cast_batch *b) {
  cast_lock_take(&b->chan->lock);
  if (b->chan->batches > 0) b->chan->batches--;
  cast_lock_drop(&b->chan->lock);
}

/* -- receiving ------------------------------------------------------------ */

/* Takes messages out of the ring, as long as they fit. */
static void take_buffered(cast_batch *b, const cast_fits *fits) {
  cast_chan *c = b->chan;
  cast_msg *ring = c->ring;
  size_t head = c->head, mask = c->room - 1, n = b->room - b->count;
  cast_msg *to = b->msgs + b->count, *end;
  if (n > c->count) n = c->count;
  for (end = to + n; to < end; to++, head++) {
    cast_msg *m = &ring[head & mask];
    if (CAST_UNLIKELY(!cast_msg_fits(m, fits))) break;
    cast_msg_move(to, m);
  }
  c->count -= head - c->head;
  b->count += head - c->head;
  c->head = head;
}

/* The batch of the sender that has waited longest, or NULL. All but its last
   message may be taken without more ado: that one ends the wait. */
static cast_batch *first_waiting(cast_chan *c) {
  cast_waiter *w;
  if (c->batches == 0 || cast_list_is_empty(&c->senders)) return NULL;
  w = CAST_CONTAINER(c->senders.next, cast_waiter, link);
  if (w->index != CAST_INDEX_BATCH || !cast_wait_is_armed(w->wait)) return NULL;
  return w->msg.u.many;
}

/* Takes messages of such a batch, as long as they fit. */
static void take_waiting(cast_batch *b, const cast_fits *fits) {
  cast_batch *from = first_waiting(b->chan);
  size_t n = b->room - b->count;
  cast_msg *m, *to = b->msgs + b->count;
  if (from == NULL) return;
  m = from->msgs + from->next;
  if (n > from->count - from->next - 1) n = from->count - from->next - 1;
  for (; n > 0 && cast_msg_fits(m, fits); n--) cast_msg_move(to++, m++);
  b->count = (size_t)(to - b->msgs);
  from->next = (size_t)(m - from->msgs);
}

/* Has senders that wait fill the ring up: it was full. */
static void refill(cast_chan *c, cast_list *fired) {
  cast_batch *from = first_waiting(c);
  cast_waiter *s;
  if (from != NULL) put_many(from, from->count - from->next - 1);
  while (c->count < c->capacity &&
         cast_chan_pull_locked(c, cast_chan_slot(c), NULL, &s)) {
    c->count++;
    if (s != NULL) cast_list_push(fired, &s->link);
  }
}

/* Takes what there is, with the lock. The first message may be any; only if it
   fits there may be others. */
static void take_some(cast_batch *b, cast_list *fired, const cast_fits *fits) {
  cast_chan *c = b->chan;
  cast_waiter *s;
  bool full, more = true;
  CAST_CHECK(cast_chan_check(c));
  if (b->count == 0) {
    if (!cast_chan_take_locked(c, &b->msgs[0], &s)) return;
    if (s != NULL) cast_list_push(fired, &s->link);
    b->count = 1;
  }
  if (!cast_msg_fits(&b->msgs[0], fits)) return;
  while (more && b->count < b->room) {
    size_t had = b->count;
    full = c->count > 0 && c->count == c->capacity;
    take_buffered(b, fits);
    if (full && b->count > had) refill(c, fired);
    if (c->count == 0 && b->count < b->room) take_waiting(b, fits);
    if (c->count == 0 && b->count < b->room &&
        cast_chan_pull_locked(c, &b->msgs[b->count], fits, &s)) {
      b->count++;
      if (s != NULL) cast_list_push(fired, &s->link);
    }
    more = b->count > had;
  }
}

int cast_batch_receive(
  cast_batch *b, cast_session *self, cast_task *t, const cast_fits *fits) {
  cast_chan *c = b->chan;
  size_t had = b->count;
  cast_list fired;
  int rc = 0;
  cast_list_init(&fired);
  cast_lock_take(&c->lock);
  take_some(b, &fired, fits);
  if (b->count == 0) rc = c->closed ? CASTING_ECLOSED : CASTING_EEMPTY;
  if (rc == CASTING_EEMPTY && t != NULL) {
    CAST_ASSERT(cast_msg_is_empty(&t->waiter.msg));
    cast_wait_arm(t, CAST_WAIT_ONE);
    t->waiter.index = 0;
    cast_chan_queue_locked(c, t, &t->waiter, false);
    rc = CAST_PARKED;
  }
  cast_lock_drop(&c->lock);
  wake_all(&fired, self);
  if (CAST_UNLIKELY(c->kind != NULL) && b->count > had &&
      c->kind->taken != NULL)
    c->kind->taken(c);
  return rc;
}
