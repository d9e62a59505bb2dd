/* errand.h - what may block or take long, done on a thread of its own.
   SPDX-License-Identifier: MIT

   Sysmon may do nothing of the kind: nobody's timers would run. And who
   drops the last reference to a failed task should not wait for whoever reads
   the reports. They send an errand, which is a part of what it is about, so
   that sending it needs no memory. A thread does the errands, in the order
   sent; it starts when there is one and ends when there is none, so an idle
   process has none. Invariants:
   1. An errand is in the queue once at most. When `run` is called it is out of
      it, and may be sent again or freed.
   2. While there are errands the thread runs; or it could not be started: then
      another attempt is due, by whoever sends the next one, waits, or by a
      timer.
   3. While there are errands no deadlock is found: what they do may be what
      somebody waits for. */
#ifndef CAST_ERRAND_H
#define CAST_ERRAND_H

#include "object.h"

typedef struct cast_errand cast_errand;
struct cast_errand {
  cast_errand *next; /* (errands' lock) */
  void (*run)(cast_errand *e);
};

/* Any thread, with no lock held. Never fails, never waits. */
void cast_errand_send(cast_errand *e, void (*run)(cast_errand *e));
/* The same for the end of an object that may be large, or hold many others:
   it has no reference left. */
void cast_errand_end(cast_object *o);
static inline void cast_unref_aside(cast_object *o) {
  if (cast_unref_last(o)) cast_errand_end(o);
}
/* Until there is none left: false if that was not so before the deadline, and
   at once to all others, until there is none. Where the thread cannot be
   started the caller does them. */
bool cast_errands_wait(uint64_t deadline_ns);
/* The end of the runtime: the same, and the thread has ended. */
bool cast_errands_stop(uint64_t deadline_ns);

#endif
