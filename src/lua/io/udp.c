/* udp.c - a socket for datagrams: UDP, or a Unix socket of that kind.
   SPDX-License-Identifier: MIT

   See udp.h. What is received goes into a block of CAST_DATAGRAM_MOST bytes,
   which big.h keeps for the next time: neither the socket nor the stack of a
   task has room for it, and a datagram that does not fit would be cut. */
#include "udp.h"

#include "../../../include/casting.h"
#include "../../big.h"
#include "../../errand.h"
#include "../../limits.h"
#include "../../mem.h"

static void free_udp(cast_object *o) {
  cast_udp *u = CAST_CONTAINER(o, cast_udp, object);
  cast_timer_remove(&u->timer);
  cast_path_end(&u->path); /* while the socket is open, its inode is its own */
  cast_descriptor_close(u->file, NULL);
  cast_unref(&u->file->object);
  cast_datagram_free(&u->left);
  cast_free(u);
}

const cast_type cast_udp_type = {"udp", free_udp, NULL};

/* -- the queues ----------------------------------------------------------- */

/* Owner of t: it waits in that queue. */
static void queue(cast_udp *u, cast_list *l, cast_ltask *t) {
  cast_waiter *w = &t->base.waiter;
  cast_lock_take(&u->lock);
  cast_wait_arm(&t->base, CAST_WAIT_ONE);
  w->wait = &t->base.wait;
  w->lock = &u->lock;
  w->index = 0;
  cast_list_push(l, &w->link);
  cast_lock_drop(&u->lock);
}

/* Under the lock: the first in the queue whose wait ends by this, with that
   result; NULL: there is none. It is off the queue. */
static cast_list *claim_locked(cast_list *l, int result) {
  cast_list *link;
  while ((link = cast_list_shift(l)) != NULL) {
    cast_wait *w = CAST_CONTAINER(link, cast_waiter, link)->wait;
    if (!cast_wait_claim(w)) continue;
    w->result = result;
    break;
  }
  return link;
}

static cast_task *task_of(cast_list *link) {
  return cast_wait_task(CAST_CONTAINER(link, cast_waiter, link)->wait);
}

/* Ends the waits of all that are in the queue now. */
static void end_waits(
  cast_udp *u, cast_list *l, int result, cast_session *self) {
  cast_list woken, *link;
  cast_list_init(&woken);
  cast_lock_take(&u->lock);
  while ((link = claim_locked(l, result)) != NULL) cast_list_push(&woken, link);
  cast_lock_drop(&u->lock);
  while ((link = cast_list_shift(&woken)) != NULL)
    cast_task_wake(task_of(link), self);
}

/* -- the timer ------------------------------------------------------------ */

/* Under the timers' lock. Should the socket's end have begun, it waits for
   that. */
static bool is_over(cast_timer *t) {
  cast_udp *u = CAST_CONTAINER(t, cast_udp, timer);
  if (!cast_ref_if_alive(&u->object)) return false;
  /* All that wait for it are woken now, by the thread that reads this. Relaxed:
     whoever comes to wait at this moment is among them, see pause. */
  atomic_store_explicit(&t->passive, true, memory_order_relaxed);
  cast_timer_again(t, OS_FOREVER); /* keeps its place */
  return true;
}

static void try_anew(cast_timer *t) {
  cast_udp *u = CAST_CONTAINER(t, cast_udp, timer);
  end_waits(u, &u->blocked, 0, NULL);
  cast_unref_aside(&u->object);
}

static bool is_lacking(intptr_t rc) {
  return os_is_shortage(rc) && rc != OS_ENOMEM;
}

bool cast_udp_needs_timer(
  const cast_udp *u, intptr_t rc, const os_address *to) {
  return is_lacking(rc) ||
         (rc == OS_EAGAIN && u->family == OS_UNIX && to != NULL);
}

bool cast_udp_set_timer(cast_udp *u, uint64_t session) {
  if (u->timed) return true;
  u->timer.lane = cast_timer_lane(session);
  u->timer.fire = is_over;
  u->timer.after = try_anew;
  u->timer.passive = true; /* nobody waits for it yet */
  u->timed = cast_timer_set(&u->timer, OS_FOREVER) == 0;
  return u->timed;
}

/* A task has come to wait in `blocked`. */
static void pause(cast_udp *u) {
  uint32_t ns = u->pause_ns == 0 ? CAST_RESEND_NS : u->pause_ns * 2;
  if (ns > CAST_RESEND_MOST_NS) ns = CAST_RESEND_MOST_NS;
  u->pause_ns = ns;
  /* Relaxed: a hint for the look for deadlocks, by the thread that fires it. */
  atomic_store_explicit(&u->timer.passive, false, memory_order_relaxed);
  (void)cast_timer_set_sooner(&u->timer, os_now() + ns);
}

/* -- its life ------------------------------------------------------------- */

cast_udp *cast_udp_new(int fd, int family) {
  cast_udp *u = cast_calloc(sizeof *u);
  cast_descriptor *d = u != NULL ? cast_descriptor_new(fd, 0) : NULL;
  if (d == NULL) {
    os_close(fd);
    cast_free(u);
    return NULL;
  }
  cast_object_init(&u->object, &cast_udp_type);
  cast_lock_init(&u->lock, CAST_RANK_EVENT);
  cast_list_init(&u->turns);
  cast_list_init(&u->blocked);
  cast_list_init(&u->senders);
  u->file = d;
  u->family = family;
  return u;
}

bool cast_udp_close(cast_udp *u, cast_session *self) {
  bool first;
  cast_path_end(&u->path); /* see free_udp */
  first = cast_descriptor_close(u->file, self);
  end_waits(u, &u->turns, CASTING_ECLOSED, self);
  end_waits(u, &u->blocked, CASTING_ECLOSED, self);
  return first;
}

bool cast_udp_is_awaited(cast_udp *u) {
  return u->receiver != NULL || u->selects > 0 || u->uses > 0 ||
         !cast_list_is_empty(&u->senders) ||
         cast_descriptor_is_awaited(u->file, CAST_READ) ||
         cast_descriptor_is_awaited(u->file, CAST_WRITE);
}

/* -- receiving ------------------------------------------------------------ */

void cast_datagram_free(cast_datagram *d) {
  cast_big_free(d->bytes, CAST_DATAGRAM_MOST);
  d->bytes = NULL;
}

intptr_t cast_udp_fill(cast_udp *u, cast_session *self) {
  cast_datagram *d = &u->left;
  intptr_t n = CASTING_ENOMEM;
  if (!cast_descriptor_begin(u->file)) return CASTING_ECLOSED;
  if (d->bytes != NULL) {
    cast_descriptor_end(u->file);
    return 0;
  }
  d->bytes = cast_big_alloc(CAST_DATAGRAM_MOST);
  if (d->bytes != NULL) {
    cast_descriptor_try(u->file, CAST_READ);
    n = os_receive(u->file->fd, d->bytes, CAST_DATAGRAM_MOST, &d->from);
    if (n != OS_EAGAIN) cast_descriptor_pass(u->file, CAST_READ, self);
  }
  cast_descriptor_end(u->file);
  if (n < 0) {
    cast_datagram_free(d);
    return n;
  }
  d->size = (size_t)n;
  u->nreceived++;
  u->bytes_received += (uint64_t)n;
  return 0;
}

intptr_t cast_udp_fill_or_wait(cast_udp *u, cast_ltask *t, intptr_t rc) {
  while (rc == OS_EAGAIN) {
    rc = cast_descriptor_wait(u->file, CAST_READ, &t->base);
    if (rc == 0) rc = cast_udp_fill(u, t->base.session);
  }
  return rc;
}

int cast_udp_take_turn(cast_udp *u, cast_ltask *t, bool waits) {
  if (!cast_descriptor_begin(u->file)) return CASTING_ECLOSED;
  cast_descriptor_end(u->file);
  if (u->receiver == NULL) u->receiver = t;
  /* Its own: it is in a finalizer that runs in the middle of its receive. */
  if (u->receiver == t) return 0;
  if (!waits) return OS_EAGAIN;
  queue(u, &u->turns, t);
  return CAST_PARKED;
}

void cast_udp_pass_turn(cast_udp *u, cast_ltask *t, cast_session *self) {
  cast_list *next;
  if (u->receiver != t) return;
  cast_lock_take(&u->lock);
  next = claim_locked(&u->turns, 0);
  cast_lock_drop(&u->lock);
  u->receiver = NULL;
  if (next == NULL) return;
  u->receiver = CAST_CONTAINER(task_of(next), cast_ltask, base);
  cast_task_wake(&u->receiver->base, self);
}

cast_datagram cast_udp_take(cast_udp *u) {
  cast_datagram d = u->left;
  u->left.bytes = NULL;
  return d;
}

void cast_udp_put_back(cast_udp *u, cast_datagram *d, cast_session *self) {
  if (u->left.bytes != NULL) {
    cast_datagram_free(d); /* another one has come meanwhile */
    return;
  }
  u->left = *d;
  d->bytes = NULL;
  cast_descriptor_pass(u->file, CAST_READ, self);
}

/* -- sending -------------------------------------------------------------- */

intptr_t cast_udp_send(cast_udp *u, const void *data, size_t size,
  const os_address *to, cast_session *self) {
  intptr_t n;
  if (!cast_descriptor_begin(u->file)) return CASTING_ECLOSED;
  cast_descriptor_try(u->file, CAST_WRITE);
  n = os_send(u->file->fd, data, size, to);
  if (n != OS_EAGAIN && !is_lacking(n))
    cast_descriptor_pass(u->file, CAST_WRITE, self);
  cast_descriptor_end(u->file);
  if (n < 0) return n;
  u->pause_ns = 0;
  u->nsent++;
  u->bytes_sent += (uint64_t)n;
  return 0;
}

static void free_send(cast_object *o) {
  cast_send *x = CAST_CONTAINER(o, cast_send, object);
  cast_list_remove(&x->link);
  cast_unref(&x->udp->object);
  cast_free(x);
}
static const cast_type send_type = {"send", free_send, NULL};

cast_send *cast_send_new(
  cast_udp *u, const void *data, size_t size, const os_address *to) {
  cast_send *x = cast_alloc(sizeof *x + size);
  if (x == NULL) return NULL;
  cast_object_init(&x->object, &send_type);
  x->udp = u;
  cast_ref(&u->object);
  x->has_to = to != NULL;
  if (to != NULL) x->to = *to;
  x->size = size;
  if (size > 0) memcpy(x->data, data, size);
  cast_list_push(&u->senders, &x->link);
  return x;
}

intptr_t cast_send_or_wait(cast_send *x, cast_ltask *t) {
  const os_address *to = x->has_to ? &x->to : NULL;
  for (;;) {
    intptr_t rc = cast_udp_send(x->udp, x->data, x->size, to, t->base.session);
    if (x->udp->timed && cast_udp_needs_timer(x->udp, rc, to)) {
      queue(x->udp, &x->udp->blocked, t);
      pause(x->udp); /* after that, or it could be over before */
      return CAST_PARKED;
    }
    if (rc != OS_EAGAIN) return rc;
    rc = cast_descriptor_wait(x->udp->file, CAST_WRITE, &t->base);
    if (rc != 0) return rc;
  }
}
