/* select.h - waits for several channels and does exactly one operation.
   SPDX-License-Identifier: MIT

   Some of the cases may be descriptors of the system's instead: such a case
   does nothing, it happens when the descriptor is ready.

   Owner: the cases belong to the task that selects, until cast_select has
   returned a result or cast_select_done was called. */
#ifndef CAST_SELECT_H
#define CAST_SELECT_H

#include "chan.h"
#include "io/descriptor.h"

/* Is the descriptor of a case ready? */
typedef enum cast_readiness {
  CAST_UNREADY,    /* no, as far as anybody knows */
  CAST_FILE_READY, /* yes, or it cannot be waited for */
  CAST_FILE_BAD,   /* its number is that of no open file */
  CAST_FILE_CLOSED /* cast_descriptor_close was called */
} cast_readiness;

/* One operation of a select. */
typedef struct cast_case {
  cast_chan *chan; /* the channel; NULL: see `file` */
  bool sending;    /* a send; else a receive */
  uint8_t side;    /* of `file`: CAST_READ or CAST_WRITE */
  uint8_t ready;   /* of `file`: a cast_readiness */
  bool numbered;   /* the binding's: `file` is yet to be made of `fd` */
  union {
    uint32_t order; /* used by select.c: cases in the order of addresses */
    int fd;         /* the binding's, before: of which `file` is to be made */
  };
  cast_waiter waiter; /* its place in the queue; msg is sent or received */
  /* Without a channel: what is waited for, which the owner of the case keeps
     alive; NULL: this case is never ready. */
  cast_descriptor *file;
  cast_object *object; /* the binding's: a reference to what `file` belongs to,
                          once cast_extra.nfiles says so */
} cast_case;

/* All fields of a case are zero before, except chan, sending and the message to
   be sent; and of one without a channel `ready`: if that says so it is ready,
   otherwise it never is. If a case can be done at once, one of them is: *which
   is its number, and the result is that of cast_chan_send or cast_chan_receive,
   or 0. Otherwise CASTING_EEMPTY (t == NULL), or CAST_PARKED: then
   t->wait.index is the case when the wait is over, and cast_select_done must be
   called. */
int cast_select(cast_session *self, cast_task *t, cast_case *cases, uint32_t n,
  uint32_t *which);
/* The same for cases of which some have descriptors. `ready` is what the caller
   knows of each, and then what the system has said. The result of such a case
   is 0, and it may be that of a parked wait without being ready, as events may
   tell too much or come too late: then cast_select_done and this again. Or
   CASTING_ENOMEM: nothing has happened. */
int cast_select_files(cast_session *self, cast_task *t, cast_case *cases,
  uint32_t n, uint32_t *which);
/* Owner, after a parked select: takes all cases off the queues. */
void cast_select_done(cast_case *cases, uint32_t n);

#endif
