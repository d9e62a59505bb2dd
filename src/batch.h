/* batch.h - many messages that cross a channel together.
   SPDX-License-Identifier: MIT

   One take of the channel's lock moves all that can go, and a task that has to
   wait to send the rest waits once: those who receive take the messages out of
   its batch, one by one or many together. A task that waits to receive many
   waits as any other does, for one message; when it goes on, it takes what else
   there is. So single sends and receives need not know, and cost nothing more.

   Owner: the task that sends or receives; its fields while a task waits to send
   are the lock's (chan.h). Invariants:
   1. The messages from `next` to `count` are the batch's own; before `next` all
      were sent, or were handed to who has received them. Each message is in one
      place at any time: so whoever ends the wait, for whatever reason, `next`
      says how many have gone.
   2. Messages of one batch arrive in their order. None of another sender's
      comes between those that were sent in one round (CAST_BATCH_ROUND), nor
      between those of a batch whose sender waits.
   3. The ring has room before the first message of a round is sent, so a round
      goes whole or waits; it never fails in the middle. */
#ifndef CAST_BATCH_H
#define CAST_BATCH_H

#include "chan.h"

/* A batch without messages, for `room` of them (1 or more), charged to `a`,
   which may be NULL. NULL: out of memory. */
cast_batch *cast_batch_new(cast_chan *c, cast_account *a, size_t room);
/* Makes room for so many instead, for a batch with no message but `first`. If
   there is no memory, the room stays as it is. */
void cast_batch_make_room(cast_batch *b, size_t room);

/* Sends the messages that were not sent yet. `t` and `self` as for
   cast_chan_send; after CAST_PARKED the batch has to stay until the wait is
   over. 0: all have gone; CAST_PARKED; CASTING_ECLOSED; CASTING_EFULL (t ==
   NULL); CASTING_ENOMEM. */
int cast_batch_send(cast_batch *b, cast_session *self, cast_task *t);
/* Owner, after the wait of a send that somebody else than a receiver or a close
   has ended. */
void cast_batch_left(cast_batch *b);

/* Receives as many messages as there are and as there is room for, if all but
   the first fit, and the first one does, too; t as for cast_chan_receive, and
   with CAST_PARKED the first message is received into t->waiter.msg. With
   messages in it already it takes more, and the result is 0. 0, CAST_PARKED,
   CASTING_ECLOSED, CASTING_EEMPTY (t == NULL). */
int cast_batch_receive(
  cast_batch *b, cast_session *self, cast_task *t, const cast_fits *fits);

#endif
