/* runq.h - run queue of one core: owner pushes and pops, others steal.
   SPDX-License-Identifier: MIT

   A bounded ring, after the run queue of Go's scheduler: the owner alone moves
   `tail`; `head` moves by compare-exchange, the owner's pops too. FIFO.
   Invariants:
   1. tail - head <= CAST_RUNQ_SIZE (as unsigned differences).
   2. slots[i % SIZE] for head <= i < tail hold jobs that are in no other
      queue; whoever moves head past i owns that job.
   3. Full: the owner takes half out (cast_runq_half) for the global queue. */
#ifndef CAST_RUNQ_H
#define CAST_RUNQ_H

#include "base.h"
#include "limits.h"

/* What the scheduler runs; embedded in sessions. */
typedef struct cast_job {
  struct cast_job *next; /* link in the global queue or a batch */
} cast_job;

typedef struct cast_runq {
  _Atomic uint32_t head;                     /* (a) */
  _Atomic uint32_t tail;                     /* (a) written by the owner */
  _Atomic(cast_job *) slots[CAST_RUNQ_SIZE]; /* (a) */
} cast_runq;

void cast_runq_init(cast_runq *q);
/* Owner. False when full. The store of tail is seq_cst: the sleep/wake
   protocol of sched.c relies on it (PAIR sleep). */
bool cast_runq_push(cast_runq *q, cast_job *job);
cast_job *cast_runq_pop(cast_runq *q); /* owner; NULL when empty */
/* Any thread: its oldest job; NULL when empty. */
cast_job *cast_runq_take(cast_runq *q);
/* Owner, full queue: takes the older half out as a chain through job->next
   and sets *last; returns the first, or NULL if stealers made room. */
cast_job *cast_runq_half(cast_runq *q, cast_job **last, uint32_t *count);
/* Any thread that owns `mine` (empty): takes the older half of `from`, at
   least one; returns the oldest and puts the rest into mine. NULL when there
   is none. */
cast_job *cast_runq_steal(cast_runq *from, cast_runq *mine);
/* A moment's length, for any thread; perhaps too large, but never without a
   job pushed before. Its loads are seq_cst (PAIR sleep). */
uint32_t cast_runq_len(cast_runq *q);

#endif
