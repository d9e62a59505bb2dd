/* runq.h - run queue of one core: owner pushes and pops, others steal.
   SPDX-License-Identifier: MIT

   A bounded first-in, first-out ring, after the run queue of Go's scheduler.
   The worker that owns the core alone moves `tail`. Every thread, the owner
   too, moves `head` by compare-exchange. Invariants:
   1. tail - head <= CAST_RUNQ_SIZE (as unsigned differences).
   2. slots[i % SIZE] for head <= i < tail hold jobs that are in no other queue;
      the thread that moves head past i owns that job.
   3. When the ring is full, the owner moves half of it (cast_runq_half) to the
      global queue. */
#ifndef CAST_RUNQ_H
#define CAST_RUNQ_H

#include "base.h"
#include "limits.h"

/* What the scheduler runs; embedded in sessions. */
typedef struct cast_job {
  struct cast_job *next; /* link in the global queue or a batch */
} cast_job;

typedef struct cast_runq {
  _Atomic uint32_t head; /* (a) position of the oldest job */
  _Atomic uint32_t tail; /* (a) next free position; written by the owner */
  _Atomic(cast_job *) slots[CAST_RUNQ_SIZE]; /* (a) written by the owner */
} cast_runq;

void cast_runq_init(cast_runq *q);
/* Owner: appends a job; false if the queue is full. The store of tail is
   seq_cst: the protocol of sleep and wake in sched.c relies on it (PAIR
   sleep). */
bool cast_runq_push(cast_runq *q, cast_job *job);
/* Owner: takes the oldest job; NULL if the queue is empty. */
cast_job *cast_runq_pop(cast_runq *q);
/* Any thread: takes the oldest job; NULL if the queue is empty. */
cast_job *cast_runq_take(cast_runq *q);
/* Owner of a full queue: takes the older half out, as a chain through job->next
   that ends at *last. Returns its first job; NULL if a thief has made room
   meanwhile. */
cast_job *cast_runq_half(cast_runq *q, cast_job **last, uint32_t *count);
/* The owner of `mine`, which is empty, takes the older half of `from`, rounded
   up: returns the oldest job and puts the others into mine. NULL if `from` is
   empty. */
cast_job *cast_runq_steal(cast_runq *from, cast_runq *mine);
/* Any thread: the number of jobs. The value may be stale as soon as it is read,
   and it may be too large; but a job pushed before the call is counted unless
   it was taken. The loads are seq_cst (PAIR sleep). */
uint32_t cast_runq_len(cast_runq *q);

#endif
