/* signals.h - channels that are told of signals.
   SPDX-License-Identifier: MIT

   A signal handler may do next to nothing: it notes the signal, and writes to a
   pipe. The other end is in the poller's set, and whoever looks there sends the
   name into each channel that is *subscribed* to the signal, unless the name is
   still in it. So a signal that comes again before it was received is told
   once, as the system does it.

   Invariants:
   1. The action of a signal becomes ours with each channel that is subscribed
      to it, and stays it unless other code sets another one. When the last
      channel is closed or freed, the one from before is back; should other code
      put ours back after that, it declines.
   2. `told` has each signal that was noted and not sent yet; it is set before
      the pipe is written to, and taken after that was read.
   3. One thread sends at a time, and sends all that is noted before it leaves.
   4. The pipe stays open for the process's life: a handler that has just read
      its number must not write to another file.
   5. A subscription is in the list until its channel is closed or freed; the
      list has no reference to the channel.

   Lock: `signals.lock` (CAST_RANK_LEAF) for the list and the counts. Nothing is
   sent under it. */
#ifndef CAST_SIGNALS_H
#define CAST_SIGNALS_H

#include "../buffer.h"
#include "../chan.h"
#include "../os/child.h"

/* A signal that a channel is told of. */
typedef struct cast_signal {
  int number;
  cast_msg name; /* inline, without references: it is copied */
} cast_signal;

/* Subscribes a new channel, which has room for n messages, and which nobody
   else has yet, to n signals that os_signal_is_free. 0, CASTING_ENOMEM, or a
   result of the system's; then the channel is a plain one. */
int cast_signals_subscribe(cast_chan *c, const cast_signal *all, uint32_t n);
/* For reports: "signals INT, TERM", if it is such a channel. */
bool cast_signals_describe(cast_buffer *b, const cast_chan *c);
/* In the child of a fork. If it does not use casting, the actions from before
   are back. */
void cast_signals_forked(void);
/* At the end of the runtime. */
void cast_signals_fini(void);

#endif
