/* select.h - waits for several channels and does exactly one operation.
   SPDX-License-Identifier: MIT

   Owner: the cases belong to the task that selects, until cast_select has
   returned a result or cast_select_done was called. */
#ifndef CAST_SELECT_H
#define CAST_SELECT_H

#include "chan.h"

/* One operation of a select. */
typedef struct cast_case {
  cast_chan *chan;    /* the channel; NULL: this case is never ready */
  bool sending;       /* a send; else a receive */
  uint32_t order;     /* used by select.c: cases in the order of addresses */
  cast_waiter waiter; /* its place in the queue; msg is sent or received */
} cast_case;

/* All fields of a case are zero before, except chan, sending and the message to
   be sent. If a case can be done at once, one of them is: *which is its number,
   and the result is that of cast_chan_send or cast_chan_receive. Otherwise
   CASTING_EEMPTY (t == NULL), or CAST_PARKED: then t->wait.index is the case
   when the wait is over, and cast_select_done must be called. */
int cast_select(cast_session *self, cast_task *t, cast_case *cases, uint32_t n,
  uint32_t *which);
/* Owner, after a parked select: takes all cases off the queues of channels. */
void cast_select_done(cast_case *cases, uint32_t n);

#endif
