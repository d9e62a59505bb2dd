/* select.c - select over channels.
   SPDX-License-Identifier: MIT

   As Go does it: all channels are locked, in address order, so that nothing
   changes while the cases are looked at. Of the cases that are ready one is
   chosen, each with the same chance. If none is ready, the task is queued on
   all channels, and the first channel that claims its wait decides the case. A
   select never meets itself, since it is in no queue while it looks for
   partners. Invariants:
   1. While all locks are held, no other operation on these channels happens.
   2. Queued cases share one wait, so at most one of them is claimed.
   3. The other cases are taken off their queues before their memory is used
      again (cast_select_done).

   Descriptors cannot be held still as channels can. They are looked at first,
   by poll(2), and those that are ready take part in the choice. If nothing is
   ready, the task is queued on the channels as before, and then on each
   descriptor. If one of these has had an event since the look, the select
   claims its own wait, leaves all queues and begins anew, unless somebody else
   was faster: then that case has happened. So nothing that may fail comes
   between a claim by others and the end of the wait. More invariants:
   4. A select takes nothing from a descriptor: what it has cleared and found
      ready nevertheless it passes on (R160). One that is woken for a listener
      is not counted as the task that accepts.
   5. A listener that is short of descriptors is not ready until its pause is
      over (cast_descriptor_pauses): the accept that follows would fail, and a
      loop of both would never wait.
   6. A descriptor that is not ready at the look is ready later only with an
      event after it, which the select sees as `ready` when it joins, or as the
      end of its wait (R178). */
#include "select.h"

#include "../include/casting.h"
#include "chan_inline.h"

/* -- the order of locking ------------------------------------------------- */

/* The address of the channel that is i-th in the order. cases[i].order is the
   number of the case that is i-th in address order. */
static uintptr_t key(const cast_case *cases, uint32_t i) {
  return (uintptr_t)cases[cases[i].order].chan;
}

static void swap(cast_case *cases, uint32_t a, uint32_t b) {
  uint32_t t = cases[a].order;
  cases[a].order = cases[b].order;
  cases[b].order = t;
}

/* Heapsort: restores the heap below `root`. */
static void sift(cast_case *cases, uint32_t root, uint32_t n) {
  for (;;) {
    uint32_t child = 2 * root + 1;
    if (child >= n) return;
    if (child + 1 < n && key(cases, child) < key(cases, child + 1)) child++;
    if (key(cases, root) >= key(cases, child)) return;
    swap(cases, root, child);
    root = child;
  }
}

/* Insertion sort: most selects have few cases, which are often in order. */
static void rank_few(cast_case *cases, uint32_t n) {
  for (uint32_t i = 1; i < n; i++)
    for (uint32_t k = i; k > 0 && key(cases, k) < key(cases, k - 1); k--)
      swap(cases, k, k - 1);
}

/* Sorts the cases by the address of their channel. Many are sorted by heapsort,
   which needs no recursion and no memory and has no bad case. */
static void rank(cast_case *cases, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) cases[i].order = i;
  if (n <= CAST_RANK_FEW) {
    rank_few(cases, n);
    return;
  }
  for (uint32_t i = n / 2; i-- > 0;) sift(cases, i, n);
  for (uint32_t i = n; i-- > 1;) {
    swap(cases, 0, i);
    sift(cases, 0, i);
  }
}

/* Locks each channel once: equal ones are neighbours in the order. */
static void lock_all(cast_case *cases, uint32_t n) {
  cast_chan *last = NULL;
  for (uint32_t i = 0; i < n; i++) {
    cast_chan *c = cases[cases[i].order].chan;
    if (c != last) cast_lock_take(&c->lock);
    last = c;
  }
}

static void unlock_all(cast_case *cases, uint32_t n) {
  cast_chan *last = NULL;
  for (uint32_t i = n; i-- > 0;) {
    cast_chan *c = cases[cases[i].order].chan;
    if (c != last) cast_lock_drop(&c->lock);
    last = c;
  }
}

/* -- the choice ----------------------------------------------------------- */

/* Draws a number from 0 to n - 1. */
static uint32_t draw(uint32_t *seed, uint32_t n) {
  /* xorshift32 (Marsaglia); the high bits times n, so no division. */
  uint32_t x = *seed;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  *seed = x;
  return (uint32_t)(((uint64_t)x * n) >> 32);
}

/* Chooses one of the ready cases, each with the same chance (the k-th one found
   replaces the choice with probability 1/k); n if none is ready. */
static uint32_t choose(cast_case *cases, uint32_t n, uint32_t *seed) {
  uint32_t chosen = n, ready = 0;
  for (uint32_t i = 0; i < n; i++) {
    cast_chan *c = cases[i].chan;
    if (CAST_UNLIKELY(c == NULL)) {
      if (CAST_LIKELY(cases[i].ready == CAST_UNREADY)) continue;
    } else if (!(cases[i].sending ? cast_chan_can_send_locked(c)
                                  : cast_chan_can_receive_locked(c))) {
      continue;
    }
    ready++;
    if (ready == 1 || draw(seed, ready) == 0) chosen = i;
  }
  return chosen;
}

/* Arms the wait and queues the task on all channels. */
static void queue_all(cast_task *t, cast_case *cases, uint32_t n) {
  cast_wait_arm(t, CAST_WAIT_MANY);
  for (uint32_t i = 0; i < n; i++) {
    if (cases[i].chan == NULL) continue;
    cases[i].waiter.index = i;
    cast_chan_queue_locked(
      cases[i].chan, t, &cases[i].waiter, cases[i].sending);
    cases[i].chan->selecting++;
  }
}

/* Ranks the cases and takes those that are never ready out of the order.
   Returns how many are left. */
static uint32_t skip_never(cast_case *cases, uint32_t n) {
  uint32_t nulls = 0;
  /* NULL sorts first, so the ranked order begins with them. */
  rank(cases, n);
  while (nulls < n && cases[cases[nulls].order].chan == NULL) nulls++;
  for (uint32_t i = nulls; i < n; i++) cases[i - nulls].order = cases[i].order;
  return n - nulls;
}

int cast_select(cast_session *self, cast_task *t, cast_case *cases, uint32_t n,
  uint32_t *which) {
  uint32_t live = skip_never(cases, n), i;
  cast_task *wake = NULL;
  int rc;
  for (;;) {
    lock_all(cases, live);
    i = choose(cases, n, &self->seed);
    if (i == n) {
      rc = CASTING_EEMPTY;
      if (t != NULL) {
        queue_all(t, cases, n);
        rc = CAST_PARKED;
      }
      unlock_all(cases, live);
      return rc;
    }
    if (CAST_UNLIKELY(cases[i].chan == NULL)) {
      unlock_all(cases, live);
      *which = i;
      return 0;
    }
    rc = cases[i].sending
           ? cast_chan_send_locked(cases[i].chan, &cases[i].waiter, &wake)
           : cast_chan_receive_locked(cases[i].chan, &cases[i].waiter, &wake);
    unlock_all(cases, live);
    /* The wait of the partner may have been claimed since it was seen, for its
       deadline or by another channel of its own: then choose again. */
    if (rc == CASTING_EFULL || rc == CASTING_EEMPTY) continue;
    if (rc != CAST_GROW) break;
    if ((rc = cast_chan_grow(cases[i].chan, self)) != 0) break;
  }
  *which = i;
  if (wake != NULL) cast_task_hand(wake, self);
  if (rc == 0 && !cases[i].sending) {
    const cast_chan_kind *kind = cases[i].chan->kind;
    if (kind != NULL && kind->taken != NULL) kind->taken(cases[i].chan);
  }
  return rc;
}

void cast_select_done(cast_case *cases, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    cast_waiter *w = &cases[i].waiter;
    cast_chan *c = cases[i].chan;
    if (w->lock == NULL) continue;
    cast_lock_take(w->lock);
    cast_list_remove(&w->link);
    if (CAST_LIKELY(c != NULL)) c->selecting--;
    cast_lock_drop(w->lock);
    w->lock = NULL;
  }
}

/* -- descriptors ---------------------------------------------------------- */

static uint32_t events_of(int side) {
  return side == CAST_READ ? OS_READABLE : OS_WRITABLE;
}

/* Of what the system has said; it does not know of a connection that is kept
   (R188), nor that nobody may accept yet. */
static uint8_t readiness(cast_descriptor *d, int side, int told) {
  if (CAST_UNLIKELY(cast_descriptor_keeps(d, side))) return CAST_FILE_READY;
  if (told == OS_EBADF) return CAST_FILE_BAD;
  if (told == 0 || cast_descriptor_pauses(d, side)) return CAST_UNREADY;
  return CAST_FILE_READY;
}

static uint8_t ask(cast_descriptor *d, int side) {
  return readiness(d, side, os_poll_now(d->fd, events_of(side)));
}

/* The system was asked, and has said `told`. `ready` of the descriptor is
   cleared only if that was no, since then that event is out of date; and after
   that it is asked again. What is found before an event has told of it is noted
   as the event would be: so a read that relies on events, as the stream is
   drained, sees it, too. */
static void note(cast_case *c, int told, cast_session *self) {
  cast_descriptor *d = c->file;
  c->ready = readiness(d, c->side, told);
  if (c->ready == CAST_UNREADY && cast_descriptor_is_ready(d, c->side)) {
    cast_descriptor_try(d, c->side);
    c->ready = ask(d, c->side);
  }
  if (c->ready == CAST_FILE_READY && !cast_descriptor_is_ready(d, c->side))
    cast_descriptor_pass(d, c->side, self);
  cast_descriptor_end(d);
}

/* Looks at some of the n cases from `i` on, as many as one call of the system
   can tell of. Returns where the others begin. */
static uint32_t look_at_some(
  cast_session *self, cast_case *cases, uint32_t n, uint32_t i) {
  os_look looks[OS_LOOKS_MOST];
  cast_case *asked[OS_LOOKS_MOST];
  uint32_t nasked = 0;
  for (; i < n && nasked < OS_LOOKS_MOST; i++) {
    cast_case *c = &cases[i];
    if (c->file == NULL || c->ready != CAST_UNREADY) continue;
    if (!cast_descriptor_begin(c->file)) {
      c->ready = CAST_FILE_CLOSED;
      continue;
    }
    looks[nasked] = (os_look){c->file->fd, events_of(c->side), 0};
    asked[nasked++] = c;
  }
  if (nasked > 0) os_poll_all(looks, nasked);
  for (uint32_t k = 0; k < nasked; k++) note(asked[k], looks[k].ready, self);
  return i;
}

static void look_at_files(cast_session *self, cast_case *cases, uint32_t n) {
  for (uint32_t i = 0; i < n;) i = look_at_some(self, cases, n, i);
}

/* The wait is t's own again, and over; what it had queued is off all queues.
   False: it has been ended by somebody else, who wakes t. */
static bool call_off(cast_task *t, cast_case *cases, uint32_t n) {
  if (!cast_wait_claim_own(t)) return false;
  cast_select_done(cases, n);
  cast_wait_done(t);
  return true;
}

/* After the task was queued on all channels: queues it on all descriptors.
   CAST_PARKED; or the wait is over, and nothing is queued any more: 0, one may
   be ready by now; CASTING_ENOMEM. */
static int join_files(cast_task *t, cast_case *cases, uint32_t n) {
  for (uint32_t i = 0; i < n && cast_wait_is_armed(&t->wait); i++) {
    cast_case *c = &cases[i];
    int rc;
    if (c->file == NULL) continue;
    c->waiter.index = i;
    rc = cast_descriptor_join(c->file, c->side, t, &c->waiter);
    if (rc == CAST_PARKED) continue;
    if (!call_off(t, cases, n)) return CAST_PARKED;
    if (rc == CASTING_ENOMEM) return rc;
    /* The system does not want it in a set of descriptors. */
    if (rc == CASTING_EINVAL) c->ready = ask(c->file, c->side);
    if (rc == CASTING_EINVAL && c->ready == CAST_UNREADY)
      c->ready = CAST_FILE_READY;
    return 0;
  }
  return CAST_PARKED;
}

int cast_select_files(cast_session *self, cast_task *t, cast_case *cases,
  uint32_t n, uint32_t *which) {
  for (;;) {
    int rc;
    look_at_files(self, cases, n);
    rc = cast_select(self, t, cases, n, which);
    if (rc != CAST_PARKED) return rc;
    if ((rc = join_files(t, cases, n)) != 0) return rc;
  }
}
