/* broadcast.c - broadcasts: one message for all who have subscribed.
   SPDX-License-Identifier: MIT

   Invariants: see broadcast.h. Who publishes makes a list of the channels under
   the lock, with a reference to each, and sends after that. */
#include "broadcast.h"

#include "../include/casting.h"
#include "chan_inline.h"
#include "mem.h"

typedef struct subscription {
  cast_list link;            /* (lock) in the list of the broadcast */
  cast_broadcast *broadcast; /* (i) one reference */
  cast_chan *chan;           /* (i) its owner, so without a reference */
  cast_slow slow;            /* (i) */
  bool listed;               /* (lock) */
} subscription;

static void broadcast_free(cast_object *o) {
  cast_broadcast *b = CAST_CONTAINER(o, cast_broadcast, object);
  CAST_ASSERT(b->count == 0);
  cast_free(b);
}

const cast_type cast_broadcast_type = {
  .name = "broadcast", .free = broadcast_free};

cast_broadcast *cast_broadcast_new(void) {
  cast_broadcast *b = cast_calloc(sizeof *b);
  if (b == NULL) return NULL;
  cast_object_init(&b->object, &cast_broadcast_type);
  cast_lock_init(&b->lock, CAST_RANK_LEAF);
  cast_list_init(&b->subscriptions);
  return b;
}

/* -- who has subscribed --------------------------------------------------- */

static void unlist(subscription *s) {
  cast_lock_take(&s->broadcast->lock);
  if (s->listed) {
    cast_list_remove(&s->link);
    s->broadcast->count--;
    s->listed = false;
  }
  cast_lock_drop(&s->broadcast->lock);
}

/* kind.closed: somebody has closed the channel. */
static void left(cast_chan *c, cast_session *self) {
  CAST_UNUSED(self);
  unlist(c->owner);
}

/* kind.freed */
static void forget(cast_chan *c, cast_object **more) {
  subscription *s = c->owner;
  unlist(s);
  cast_unref_later(&s->broadcast->object, more);
  cast_free(s);
}

static const cast_chan_kind subscriber = {.freed = forget, .closed = left};

int cast_broadcast_subscribe(cast_broadcast *b, cast_chan *c, cast_slow slow) {
  subscription *s;
  int rc = 0;
  CAST_ASSERT(c->kind == NULL && c->capacity > 0);
  s = cast_calloc(sizeof *s);
  if (s == NULL) return CASTING_ENOMEM;
  s->chan = c;
  s->slow = slow;
  s->broadcast = b;
  cast_list_init(&s->link);
  c->owner = s; /* before others can find it */
  c->kind = &subscriber;
  cast_ref(&b->object);
  cast_lock_take(&b->lock);
  if (b->closed) {
    rc = CASTING_ECLOSED;
  } else {
    cast_list_push(&b->subscriptions, &s->link);
    b->count++;
    s->listed = true;
  }
  cast_lock_drop(&b->lock);
  return rc; /* the channel frees the subscription in any case */
}

/* -- publishing ----------------------------------------------------------- */

typedef struct target {
  cast_chan *chan; /* one reference */
  cast_slow slow;
} target;

/* The channels of all who have subscribed. NULL: out of memory. */
static target *list_targets(cast_broadcast *b, uint32_t *n, bool *closed) {
  target *list = NULL;
  uint32_t room = 0;
  for (;;) {
    bool fits;
    *n = 0;
    cast_lock_take(&b->lock);
    *closed = b->closed;
    fits = b->count <= room;
    room = b->count;
    if (fits && list != NULL)
      for (cast_list *l = b->subscriptions.next; l != &b->subscriptions;
           l = l->next) {
        const subscription *s = CAST_CONTAINER(l, subscription, link);
        if (!cast_ref_if_alive(&s->chan->object)) continue;
        list[(*n)++] = (target){s->chan, s->slow};
      }
    cast_lock_drop(&b->lock);
    if (fits && list != NULL) return list;
    cast_free(list);
    room += room / 4 + 4;
    list = cast_alloc(room * sizeof *list);
    if (list == NULL) return NULL;
  }
}

/* Takes the oldest message out of a full channel, and drops it. */
static void drop_oldest(cast_chan *c, cast_session *self) {
  cast_waiter w;
  memset(&w, 0, sizeof w);
  if (cast_chan_receive(c, self, NULL, &w) == 0) cast_msg_drop(&w.msg);
}

/* 0, CASTING_ECLOSED, CASTING_EFULL or CASTING_ENOMEM. */
static int send_to(const target *t, cast_session *self, cast_msg *m) {
  cast_waiter w;
  int rc;
  memset(&w, 0, sizeof w);
  cast_msg_dup(&w.msg, m);
  /* Others may fill the place that was made. */
  while ((rc = cast_chan_send(t->chan, self, NULL, &w)) == CASTING_EFULL &&
         t->slow == CAST_SLOW_OLDEST)
    drop_oldest(t->chan, self);
  cast_msg_drop(&w.msg);
  if (rc == CASTING_EFULL && t->slow == CAST_SLOW_CLOSE)
    cast_chan_close(t->chan, self);
  return rc;
}

int cast_broadcast_publish(cast_broadcast *b, cast_session *self, cast_msg *m,
  uint32_t *got, uint32_t *missed) {
  uint32_t n;
  bool closed;
  target *list = list_targets(b, &n, &closed);
  int rc = closed ? CASTING_ECLOSED : 0;
  *got = *missed = 0;
  if (list == NULL) return CASTING_ENOMEM;
  for (uint32_t i = 0; i < n; i++) {
    int sent = send_to(&list[i], self, m);
    if (sent == 0) ++*got;
    if (sent == CASTING_EFULL) ++*missed;
    if (sent == CASTING_ENOMEM) rc = sent;
    cast_unref(&list[i].chan->object);
  }
  cast_free(list);
  return rc;
}

/* One by one: so it takes no memory. */
bool cast_broadcast_close(cast_broadcast *b, cast_session *self) {
  bool first;
  cast_lock_take(&b->lock);
  first = !b->closed;
  b->closed = true;
  cast_lock_drop(&b->lock);
  for (;;) {
    cast_chan *c = NULL;
    cast_lock_take(&b->lock);
    for (cast_list *l = b->subscriptions.next;
         c == NULL && l != &b->subscriptions; l = l->next) {
      const subscription *s = CAST_CONTAINER(l, subscription, link);
      if (cast_ref_if_alive(&s->chan->object)) c = s->chan;
    }
    cast_lock_drop(&b->lock);
    if (c == NULL) return first;
    cast_chan_close(c, self);
    unlist(c->owner); /* somebody else may just be closing it */
    cast_unref(&c->object);
  }
}

uint32_t cast_broadcast_count(cast_broadcast *b) {
  uint32_t n;
  cast_lock_take(&b->lock);
  n = b->count;
  cast_lock_drop(&b->lock);
  return n;
}
