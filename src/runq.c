/* runq.c - bounded ring that one thread fills and any thread empties.
   SPDX-License-Identifier: MIT

   Owner: `tail` and the writing of slots belong to the worker that owns the
   core; `head` belongs to nobody. A slot is read before the compare-exchange
   that claims it, so the value counts only if that succeeds. It is the right
   job then, because:
   1. The owner rewrites slot i only after it has seen a head beyond i (PAIR
      head), so after another claim has moved the head.
   2. A compare-exchange reads the newest head, so it fails if 1 has happened.
   Head and tail are 32-bit numbers that wrap around. A thief would have to
   sleep through exactly 2^32 jobs between its read and its claim to go wrong.

   Rejected: the Chase-Lev deque, whose owner pops its newest job without a
   compare-exchange. Last in, first out is unfair to sessions, and the claim
   on an uncontended cache line costs nothing next to running a session. */
#include "runq.h"

#define MASK (CAST_RUNQ_SIZE - 1)
_Static_assert((CAST_RUNQ_SIZE & MASK) == 0 && CAST_RUNQ_SIZE >= 2,
  "positions wrap by masking, and half of a queue is a job at least");

void cast_runq_init(cast_runq *q) {
  atomic_init(&q->head, 0);
  atomic_init(&q->tail, 0);
  for (uint32_t i = 0; i < CAST_RUNQ_SIZE; i++) atomic_init(&q->slots[i], NULL);
}

/* Relaxed: the job is published by `tail` and claimed by `head`. The slot is
   atomic only because a thief whose claim is going to fail may read it while
   the owner writes it. */
static cast_job *slot_read(cast_runq *q, uint32_t i) {
  return atomic_load_explicit(&q->slots[i & MASK], memory_order_relaxed);
}

static void slot_write(cast_runq *q, uint32_t i, cast_job *job) {
  atomic_store_explicit(&q->slots[i & MASK], job, memory_order_relaxed);
}

/* For the owner. Relaxed: it has written the tail itself. */
static uint32_t own_tail(cast_runq *q) {
  return atomic_load_explicit(&q->tail, memory_order_relaxed);
}

/* Claims n jobs: moves head from i to i + n; false if it is not i any more. */
static bool claim(cast_runq *q, uint32_t i, uint32_t n) {
  /* PAIR head: release the reads of the slots, before the owner that sees
     this head writes them again. */
  return atomic_compare_exchange_strong_explicit(
    &q->head, &i, i + n, memory_order_release, memory_order_relaxed);
}

bool cast_runq_push(cast_runq *q, cast_job *job) {
  uint32_t tail = own_tail(q);
  /* PAIR head: acquire, so that the last reader of the slot is done with it. */
  uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
  CAST_ASSERT(job != NULL && tail - head <= CAST_RUNQ_SIZE);
  if (tail - head == CAST_RUNQ_SIZE) return false;
  slot_write(q, tail, job);
  /* PAIR tail: release the job and its slot. PAIR sleep: in one order with
     the loads of cast_runq_len and the pusher's look for sleepers. */
  atomic_store_explicit(&q->tail, tail + 1, memory_order_seq_cst);
  return true;
}

/* The head may be stale here; then the claim fails. The slots need no ordering,
   because the owner has written them itself. */
cast_job *cast_runq_pop(cast_runq *q) {
  uint32_t tail = own_tail(q);
  for (;;) {
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    if (head == tail) return NULL;
    CAST_ASSERT(tail - head <= CAST_RUNQ_SIZE);
    cast_job *job = slot_read(q, head);
    if (claim(q, head, 1)) return job;
  }
}

cast_job *cast_runq_take(cast_runq *q) {
  for (;;) {
    /* PAIR head, PAIR tail: acquire, as in grab. */
    uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    if (head == tail) return NULL;
    cast_job *job = slot_read(q, head);
    if (claim(q, head, 1)) return job;
  }
}

cast_job *cast_runq_half(cast_runq *q, cast_job **last, uint32_t *count) {
  uint32_t tail = own_tail(q);
  uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
  uint32_t n = CAST_RUNQ_SIZE / 2;
  if (tail - head != CAST_RUNQ_SIZE || !claim(q, head, n)) return NULL;
  cast_job *first = slot_read(q, head);
  cast_job *at = first;
  for (uint32_t i = 1; i < n; i++) {
    at->next = slot_read(q, head + i);
    at = at->next;
  }
  at->next = NULL;
  *last = at;
  *count = n;
  return first;
}

/* Claims half of `from`, rounded up: *first is the oldest job, the others go to
   the slots of `mine` from `at` on. Returns the number of jobs, 0 if `from` is
   empty. */
static uint32_t grab(
  cast_runq *from, cast_runq *mine, uint32_t at, cast_job **first) {
  for (;;) {
    /* PAIR head: acquire, so that the tail read next is no older than the one
       that the owner had when this head was made. */
    uint32_t head = atomic_load_explicit(&from->head, memory_order_acquire);
    /* PAIR tail: acquire the slots and the jobs up to it. */
    uint32_t tail = atomic_load_explicit(&from->tail, memory_order_acquire);
    uint32_t n = tail - head;
    n -= n / 2;
    if (n == 0) return 0;
    if (n > CAST_RUNQ_SIZE / 2) continue; /* head moved between the loads */
    *first = slot_read(from, head);
    for (uint32_t i = 1; i < n; i++)
      slot_write(mine, at + i - 1, slot_read(from, head + i));
    if (claim(from, head, n)) return n;
  }
}

cast_job *cast_runq_steal(cast_runq *from, cast_runq *mine) {
  cast_job *job = NULL;
  uint32_t tail = own_tail(mine);
  /* PAIR head: acquire, as in push: the slots are about to be written. */
  uint32_t head = atomic_load_explicit(&mine->head, memory_order_acquire);
  CAST_ALWAYS(from != mine && head == tail);
  CAST_UNUSED(head);
  uint32_t n = grab(from, mine, tail, &job);
  if (n == 0) return NULL;
  /* PAIR tail: release what grab has acquired. PAIR sleep: as in push. */
  if (n > 1)
    atomic_store_explicit(&mine->tail, tail + n - 1, memory_order_seq_cst);
  return job;
}

/* The head is read first. Jobs that are taken between the two loads make the
   result too large, but no job that was pushed before is missed. */
uint32_t cast_runq_len(cast_runq *q) {
  /* PAIR sleep: with the stores of tail in one order. */
  uint32_t head = atomic_load_explicit(&q->head, memory_order_seq_cst);
  /* PAIR sleep: as above. */
  uint32_t tail = atomic_load_explicit(&q->tail, memory_order_seq_cst);
  uint32_t n = tail - head;
  return n < CAST_RUNQ_SIZE ? n : CAST_RUNQ_SIZE;
}
