/* chan.h - channels: queues of messages with direct hand-over.
   SPDX-License-Identifier: MIT

   After Go's channels: a message goes straight to the receiver that has waited
   longest, under the channel's lock. A receive from a full buffer moves the
   message of the sender that has waited longest to the end of the buffer. Lock:
   CAST_RANK_CHAN. Invariants, while the lock is held:
   1. count <= capacity, and count + reserved <= room.
   2. Live receivers wait only if count == 0, and live senders only if count ==
      capacity. So one of the two queues has no live waiter.
   3. No task waits on a closed channel, except receivers that a close in parts
      has not woken yet.
   4. A sender with a batch leaves the queue when the last message of the batch
      was taken. Until then it stays where it is, so that no other message comes
      in between.
   A waiter is live while its wait is armed. Waiters that are not live are
   dropped from the queue when they are found. */
#ifndef CAST_CHAN_H
#define CAST_CHAN_H

#include "account.h"
#include "wait.h"

#define CAST_UNBOUNDED SIZE_MAX

typedef struct cast_chan cast_chan;

/* Functions of a channel that stands for something: a ticker, for
   example. One constant for each kind; any of them may be NULL. */
typedef struct cast_chan_kind {
  /* Before the channel is freed; `more` as in object.h. */
  void (*freed)(cast_chan *, cast_object **more);
  /* After a message was received at once, by the receiver, with no lock
     held. */
  void (*taken)(cast_chan *);
  /* After it was closed, by who has closed it, with no lock held. */
  void (*closed)(cast_chan *, cast_session *self);
} cast_chan_kind;

/* The index of a waiter that has a batch to send: `many` of its empty message
   is the cast_batch. */
#define CAST_INDEX_BATCH UINT32_MAX

/* Many messages that cross a channel together (batch.h). */
typedef struct cast_batch {
  cast_object object; /* a reference of who sends or receives */
  cast_chan *chan;    /* (i) one reference */
  /* While a task waits to send it, the lock of the channel guards these, and
     the messages; else they are the owner's of the task. */
  size_t next;  /* the first that was not sent yet, or not looked at */
  size_t count; /* how many there are */
  size_t room;  /* how many there may be in msgs */
  size_t most;  /* (w) of a receive: how many are wanted */
  cast_msg *msgs;
  cast_msg first;        /* the room for one */
  cast_account *account; /* (i) what it is charged to, one reference; or NULL */
} cast_batch;

struct cast_chan {
  cast_object object; /* references: handles, messages, and operations */
  cast_lock lock;
  bool closed;         /* (lock) nothing can be sent any more */
  bool closing;        /* (lock) closed in parts: receivers may still wait */
  size_t capacity;     /* (i) the most messages it buffers; CAST_UNBOUNDED */
  size_t count;        /* (lock) messages in the ring */
  size_t head;         /* (lock) index of the oldest one, modulo room */
  size_t room;         /* (lock) slots in the ring: 0 or a power of two */
  cast_msg *ring;      /* (lock) the buffered messages */
  cast_list senders;   /* (lock) waiters with a message, the oldest first */
  cast_list receivers; /* (lock) waiters for a message, the oldest first */
  size_t reserved;     /* (lock) slots that cast_chan_reserve keeps free */
  size_t selecting;    /* (lock) waiters that cast_select_done will take out */
  size_t batches;      /* (lock) as many senders, or less, have a batch */
  const cast_chan_kind *kind; /* (i) NULL: it is a plain one */
  void *owner;                /* (i) for the functions of its kind */
  cast_member *member;        /* (i) the ring is charged to its account; NULL: a
                          trusted session has made the channel */
  /* (a) of a channel without `member`: that of the first sandbox which has sent
     a handle into it (cast_chan_adopt), or NULL. Relaxed: it is read, but for
     whether it is there, when nobody else has the channel. */
  _Atomic(cast_member *) adopted;
};

extern const cast_type cast_chan_type;

cast_chan *cast_chan_new(size_t capacity); /* NULL: out of memory */
/* A new channel, which nobody else has yet, is one of a session with this
   account. 0; CASTING_ENOMEM: out of memory, or too much for the account. */
int cast_chan_join(cast_chan *c, cast_account *a);

/* A handle is about to be sent into the channel that the session with account
   `a` has made, or sends: from now on the channel is one of those which cycle.c
   looks at when that session has closed. 0, CASTING_ENOMEM. */
int cast_chan_adopt(cast_chan *c, cast_account *a);

/* Sends w->msg, which is empty after 0 and unchanged otherwise. t is the task
   that w belongs to, and that must park after CAST_PARKED; NULL: do not wait.
   `self` is the session that the calling thread runs, or NULL. 0, CAST_PARKED,
   CASTING_ECLOSED, CASTING_EFULL (t == NULL), CASTING_ENOMEM. (Receiving is in
   chan_inline.h.) */
int cast_chan_send(
  cast_chan *c, cast_session *self, cast_task *t, cast_waiter *w);
/* Closes the channel and wakes all waiters. True if this call has closed it. */
bool cast_chan_close(cast_chan *c, cast_session *self);
/* Closes the channel in parts, for sysmon, which must not be busy for
   long: wakes `most` receivers at most. True if more of them wait: then the
   caller calls it again. */
bool cast_chan_close_part(cast_chan *c, size_t most);
bool cast_chan_is_closed(cast_chan *c); /* has it been closed? */
size_t cast_chan_len(cast_chan *c);     /* the messages that it buffers */
/* *m = a copy of message number i, from 0, of those that it buffers, without
   taking it out. It must be one that may be copied: packed by casting.pack.
   False: there is none, and *m is what it was. */
bool cast_chan_peek(cast_chan *c, size_t i, cast_msg *m);
/* Keeps a slot of the ring free, so that one cast_chan_send_reserved, which
   gives the slot back, cannot run out of memory: 0 or CASTING_ENOMEM; `self`
   as for cast_chan_grow. */
int cast_chan_reserve(cast_chan *c, const cast_session *self);
void cast_chan_unreserve(cast_chan *c); /* gives it back */
/* 0, CASTING_ECLOSED, or CASTING_EFULL. */
int cast_chan_send_reserved(cast_chan *c, cast_session *self, cast_waiter *w);

/* For select, with the lock: would the operation not wait? */
bool cast_chan_can_send_locked(cast_chan *c);
bool cast_chan_can_receive_locked(cast_chan *c);
/* Whether a message goes with others, which the binding says: by the first byte
   of its payload, or if that is not enough by `look`, which is called with the
   channel's lock. */
enum { CAST_FITS_NOT, CAST_FITS, CAST_FITS_PERHAPS };
typedef struct cast_fits {
  uint8_t first[256]; /* CAST_FITS_* */
  bool (*look)(cast_msg *m);
} cast_fits;
static inline bool cast_msg_fits(cast_msg *m, const cast_fits *fits) {
  int known = fits->first[*cast_msg_data(m)];
  return CAST_LIKELY(known != CAST_FITS_PERHAPS) ? known == CAST_FITS
                                                 : fits->look(m);
}

/* For batch.c, with the lock: takes the oldest message, without waiting. Then
   *fired is a sender whose wait has ended, or NULL. */
bool cast_chan_take_locked(cast_chan *c, cast_msg *to, cast_waiter **fired);
/* The same of the messages of senders that wait, if it fits (NULL: any
   does). */
bool cast_chan_pull_locked(
  cast_chan *c, cast_msg *to, const cast_fits *fits, cast_waiter **fired);

/* Returned by an operation under the lock if the ring must grow first. */
#define CAST_GROW 2
/* Without the lock: makes room for one more message: 0 or CASTING_ENOMEM, also
   if that is too much for the account of the channel. `self` is the session
   that needs it, or NULL; one that is trusted is not refused. */
int cast_chan_grow(cast_chan *c, const cast_session *self);

#endif
