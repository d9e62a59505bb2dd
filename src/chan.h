/* chan.h - channels: queues of messages with direct hand-over.
   SPDX-License-Identifier: MIT

   After Go's channels: under the channel's lock a message goes straight to the
   receiver that has waited longest; receiving from a full buffer moves the
   longest-waiting sender's message to the tail. Invariants (lock held):
   1. count <= capacity, count + reserved <= room.
   2. Live receivers wait only if count == 0; live senders only if count ==
      capacity; so one of the two queues has no live waiter.
   3. Nobody waits on a closed channel, but for receivers that a close in parts
      has not come to yet.
   A waiter is live while its wait is armed; others are dropped when met. */
#ifndef CAST_CHAN_H
#define CAST_CHAN_H

#include "wait.h"

#define CAST_UNBOUNDED SIZE_MAX

typedef struct cast_chan cast_chan;
struct cast_chan {
  cast_object object;
  cast_lock lock;
  bool closed;         /* (lock) */
  bool closing;        /* (lock) in parts: receivers may still wait */
  size_t capacity;     /* (i) CAST_UNBOUNDED: no limit */
  size_t count;        /* (lock) messages in the ring */
  size_t head;         /* (lock) index of the oldest */
  size_t room;         /* (lock) slots in the ring: 0 or a power of two */
  cast_msg *ring;      /* (lock) */
  cast_list senders;   /* (lock) */
  cast_list receivers; /* (lock) */
  size_t reserved;     /* (lock) slots of the ring kept for messages to come */
  size_t selecting;    /* (lock) waiters that cast_select_done will come to */
  /* (i) Before it goes: e.g. stops its ticker; `more` as in object.h. May be
     NULL. */
  void (*on_free)(cast_chan *, cast_object **more);
  /* (i) After a message was taken out of the ring, by who has taken it, with no
     lock held. May be NULL. */
  void (*on_taken)(cast_chan *);
  void *owner; /* (i) for these, and the registry of names */
};

extern const cast_type cast_chan_type;

cast_chan *cast_chan_new(size_t capacity); /* NULL: out of memory */

/* Sends w->msg (which becomes empty unless it must wait or fails to). t is
   the task that w belongs to and that parks; NULL: do not wait. `self` is
   the session the calling thread runs, or NULL. 0, CAST_PARKED,
   CASTING_ECLOSED, CASTING_EFULL (t == NULL), CASTING_ENOMEM. (Receiving is
   in chan_inline.h.) */
int cast_chan_send(
  cast_chan *c, cast_session *self, cast_task *t, cast_waiter *w);
/* True if this call closed it. */
bool cast_chan_close(cast_chan *c, cast_session *self);
/* Closes it, or goes on closing it, for who has little time: wakes so many
   receivers at most. True: more of them wait, for another such call. */
bool cast_chan_close_part(cast_chan *c, size_t most);
bool cast_chan_is_closed(cast_chan *c);
size_t cast_chan_len(cast_chan *c);
/* Keeps room for a message, so that cast_chan_send_reserved, which gives it
   back, need not allocate: 0 or CASTING_ENOMEM. */
int cast_chan_reserve(cast_chan *c);
/* 0, CASTING_ECLOSED, or CASTING_EFULL. */
int cast_chan_send_reserved(cast_chan *c, cast_session *self, cast_waiter *w);

/* For select, with c's lock held: the operation would not wait. */
bool cast_chan_can_send_locked(cast_chan *c);
bool cast_chan_can_receive_locked(cast_chan *c);
/* What an operation under the lock returns when the ring must grow first. */
#define CAST_GROW 2
/* Without the lock: makes room for a message more: 0 or CASTING_ENOMEM. */
int cast_chan_grow(cast_chan *c);

#endif
