/* broadcast.h - broadcasts: one message for all who have subscribed.
   SPDX-License-Identifier: MIT

   A subscriber is a buffered channel of its own, made for it. The broadcast
   does not keep the channel alive: when nobody has a handle of it any more, or
   it is closed, it has left. Lock: the broadcast's (CAST_RANK_LEAF); nothing is
   sent under it. Invariants:
   1. `link` of a subscription is in the list from its making until the channel
      is closed or freed, whichever comes first; the broadcast's lock guards it.
   2. The subscription belongs to its channel, which frees it, and has a
      reference to the broadcast. So while it is in the list the memory of the
      channel is valid; who wants to use the channel takes a reference, under
      the lock, if there is one left.
   3. Messages of one publisher arrive at each subscriber in order. One that
      finds no room is treated as the subscription says, and no publisher
      waits for a subscriber. */
#ifndef CAST_BROADCAST_H
#define CAST_BROADCAST_H

#include "chan.h"

typedef struct cast_broadcast {
  cast_object object; /* references: handles, messages, subscriptions */
  cast_lock lock;
  cast_list subscriptions; /* (lock) the oldest first */
  uint32_t count;          /* (lock) how many these are */
  bool closed;             /* (lock) nobody can subscribe or publish any more */
} cast_broadcast;

/* What becomes of a message for which a subscriber has no room. */
typedef enum cast_slow {
  CAST_SLOW_OLDEST, /* it takes the place of the oldest one */
  CAST_SLOW_NEWEST, /* the subscriber does not get it */
  CAST_SLOW_CLOSE   /* nor anything after it: its channel is closed */
} cast_slow;

extern const cast_type cast_broadcast_type;

cast_broadcast *cast_broadcast_new(void); /* NULL: out of memory */
/* c is new, buffered, and nobody else has it yet: subscribes it. 0,
   CASTING_ENOMEM, CASTING_ECLOSED. */
int cast_broadcast_subscribe(cast_broadcast *b, cast_chan *c, cast_slow slow);
/* Sends a copy of *m, which may be copied (packed.h), to all. *got and *missed
   become how many have got it, and how many have not. 0, CASTING_ECLOSED; or
   CASTING_ENOMEM: some may have got it. */
int cast_broadcast_publish(cast_broadcast *b, cast_session *self, cast_msg *m,
  uint32_t *got, uint32_t *missed);
/* Closes the channels of all. True if this call has closed it. */
bool cast_broadcast_close(cast_broadcast *b, cast_session *self);
uint32_t cast_broadcast_count(cast_broadcast *b);

#endif
