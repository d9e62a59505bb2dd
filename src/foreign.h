/* foreign.h - threads outside of the pool that wait.
   SPDX-License-Identifier: MIT

   A thread that runs no session can wait, too: for a channel, or for an event
   (the end of a task or of a session). It waits as a task without a session,
   see foreign.c. All functions are for any thread that may sleep and runs no
   session, with no lock held (DESIGN, "Foreign threads"). */
#ifndef CAST_FOREIGN_H
#define CAST_FOREIGN_H

#include "chan.h"
#include "event.h"

/* As cast_chan_send, but the thread sleeps, at the latest until deadline_ns
   (0: it does not wait). After 0, *m is empty; otherwise *m is as before. 0,
   CASTING_ECLOSED, CASTING_EFULL (deadline 0), CASTING_ETIMEOUT,
   CASTING_ENOMEM. */
int cast_foreign_send(cast_chan *c, cast_msg *m, uint64_t deadline_ns);
/* As cast_chan_receive, into *m, which is empty before. 0, CASTING_ECLOSED,
   CASTING_EEMPTY (deadline 0), CASTING_ETIMEOUT. */
int cast_foreign_receive(cast_chan *c, cast_msg *m, uint64_t deadline_ns);
/* Waits until the event is set: 0 or CASTING_ETIMEOUT. */
int cast_foreign_await(cast_event *e, uint64_t deadline_ns);

#endif
