/* select.h - wait for several channels, let exactly one operation happen.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SELECT_H
#define CAST_SELECT_H

#include "chan.h"

typedef struct cast_case {
  cast_chan *chan; /* NULL: never ready */
  bool sending;
  uint32_t order;     /* scratch: rank by address of the channel */
  cast_waiter waiter; /* msg: to be sent, or received */
} cast_case;

/* A case's fields but chan, sending and a message to send are zero. `order`
   belongs to the call. Returns as cast_chan_send/receive of the one case that
   happened, its number in *which; CAST_PARKED: after the wait,
   t->wait.index is the case and cast_select_done must be called;
   CASTING_EEMPTY (t == NULL): none is ready. */
int cast_select(cast_session *self, cast_task *t, cast_case *cases, uint32_t n,
  uint32_t *which);
/* Owner, after a parked select: takes every case off its channel's queue. */
void cast_select_done(cast_case *cases, uint32_t n);

#endif
