/* foreign.h - threads outside of the pool that wait.
   SPDX-License-Identifier: MIT

   A thread that runs no session can wait, too: for a channel, or for an event
   (the end of a task, of a session). It does so as a task without a session,
   which lies on its own C stack for as long as the wait takes: it stands in
   the same queues, is claimed in the same way (wait.h), and only its wake
   is another one: a word that its thread sleeps on. Invariants:
   1. The struct is whole until its thread has returned from cast_foreign_wait,
      and nobody touches it afterwards: who has claimed the wait touches it
      last when it exchanges `word`, and the thread waits for that.
   2. One claim wins, so `word` becomes WOKEN at most once per wait.
   (DESIGN, "Foreign threads", R80 to R83; model foreign.pml.) */
#ifndef CAST_FOREIGN_H
#define CAST_FOREIGN_H

#include "chan.h"
#include "event.h"

typedef struct cast_foreign {
  cast_task task;        /* task.session is NULL: that tells it */
  _Atomic uint32_t word; /* (a) AWAKE, WOKEN or ASLEEP, see foreign.c */
} cast_foreign;

void cast_foreign_init(cast_foreign *f);
/* After CAST_PARKED of an operation with &f->task: sleeps until it has
   happened. What it gave, or CASTING_ETIMEOUT. */
int cast_foreign_wait(cast_foreign *f, uint64_t deadline_ns);

/* Any thread that may sleep: as the functions of chan.h and event.h, but
   waiting at most to deadline_ns (0: not at all). *m is sent and empty after
   0; it is received, having been empty. */
int cast_foreign_send(cast_chan *c, cast_msg *m, uint64_t deadline_ns);
int cast_foreign_receive(cast_chan *c, cast_msg *m, uint64_t deadline_ns);
int cast_foreign_await(cast_event *e, uint64_t deadline_ns);

#endif
