/* select.c - select over channels.
   SPDX-License-Identifier: MIT

   As Go does it: all channels are locked in address order, so the picture
   stands still; of the cases that are ready one is chosen uniformly; if none
   is, the task is queued on all, and whichever channel claims its wait first
   is the one. A select never meets itself, since it is in no queue while it
   looks for partners. Invariants:
   1. With all locks held, no other operation on these channels happens.
   2. Queued cases share one wait, so at most one of them is claimed.
   3. A case that lost is taken off its queue before its memory is reused. */
#include "select.h"

#include "../include/casting.h"
#include "chan_inline.h"

/* Ranks the cases by the address of their channel; many by heapsort: no
   recursion, no allocation, no bad case. order of cases[i] = i-th in address
   order. */
static uintptr_t key(const cast_case *cases, uint32_t i) {
  return (uintptr_t)cases[cases[i].order].chan;
}

static void swap(cast_case *cases, uint32_t a, uint32_t b) {
  uint32_t t = cases[a].order;
  cases[a].order = cases[b].order;
  cases[b].order = t;
}

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

/* Most selects have few cases, and these often in order. */
static void rank_few(cast_case *cases, uint32_t n) {
  for (uint32_t i = 1; i < n; i++)
    for (uint32_t k = i; k > 0 && key(cases, k) < key(cases, k - 1); k--)
      swap(cases, k, k - 1);
}

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

/* Every channel once: equal ones are neighbours in the order. */
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

static uint32_t draw(uint32_t *seed, uint32_t n) {
  /* xorshift32 (Marsaglia); the high bits times n, so no division. */
  uint32_t x = *seed;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  *seed = x;
  return (uint32_t)(((uint64_t)x * n) >> 32);
}

/* One of the ready cases, each with the same chance; n if none is. */
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

/* Puts the cases that are never ready last: `live` of them take part. */
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
    /* A partner may have been claimed by somebody else since it was seen
       (its deadline, another of its channels): then choose again. */
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
