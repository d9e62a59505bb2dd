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
      again (cast_select_done). */
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
    if (c == NULL) continue;
    if (cases[i].sending ? cast_chan_can_send_locked(c)
                         : cast_chan_can_receive_locked(c)) {
      ready++;
      if (ready == 1 || draw(seed, ready) == 0) chosen = i;
    }
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
    rc = cases[i].sending
           ? cast_chan_send_locked(cases[i].chan, &cases[i].waiter, &wake)
           : cast_chan_receive_locked(cases[i].chan, &cases[i].waiter, &wake);
    unlock_all(cases, live);
    /* The wait of the partner may have been claimed since it was seen, for its
       deadline or by another channel of its own: then choose again. */
    if (rc == CASTING_EFULL || rc == CASTING_EEMPTY) continue;
    if (rc != CAST_GROW) break;
    if ((rc = cast_chan_grow(cases[i].chan)) != 0) break;
  }
  *which = i;
  if (wake != NULL) cast_task_hand(wake, self);
  if (rc == 0 && !cases[i].sending && cases[i].chan->on_taken != NULL)
    cases[i].chan->on_taken(cases[i].chan);
  return rc;
}

void cast_select_done(cast_case *cases, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    cast_waiter *w = &cases[i].waiter;
    cast_chan *c = cases[i].chan;
    if (w->lock == NULL) continue;
    cast_lock_take(&c->lock);
    cast_list_remove(&w->link);
    c->selecting--;
    cast_lock_drop(&c->lock);
    w->lock = NULL;
  }
}
