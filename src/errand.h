/* errand.h - work that may block or take long, for a thread of its own.
   SPDX-License-Identifier: MIT

   Some threads have work to do that they must not do themselves. Sysmon
   must not block, or no timer would fire. A thread that drops the last
   reference to a failed task should not wait until the report of the failure is
   written. They send an *errand*. Its struct is a part of the object that it is
   about, so sending it needs no memory. The errands' thread runs the errands in
   the order in which they were sent; it starts when there is one, and ends when
   there is none left, so that an idle process does not have it. Invariants:
   1. An errand is in the queue at most once. It is taken out before `run` is
      called, and may then be sent again or freed.
   2. While there are errands, the thread runs. If it could not be started,
      another attempt is made when the next errand is sent, when a thread waits
      for the errands, and by a timer.
   3. While there are errands no deadlock is found, because a task may wait for
      what they do. */
#ifndef CAST_ERRAND_H
#define CAST_ERRAND_H

#include "object.h"

typedef struct cast_errand cast_errand;
struct cast_errand {
  cast_errand *next;           /* (errands' lock) the next in the queue */
  void (*run)(cast_errand *e); /* (i) what is to be done */
};

/* Any thread, with no lock held. Never fails, never waits. */
void cast_errand_send(cast_errand *e, void (*run)(cast_errand *e));
/* The same for ending an object without references (cast_object_end), which
   may be large or refer to many others. */
void cast_errand_end(cast_object *o);
/* Drops a reference; if it was the last one, an errand ends the object. */
static inline void cast_unref_aside(cast_object *o) {
  if (cast_unref_last(o)) cast_errand_end(o);
}
/* Waits until no errand is left. False if the deadline passes before; then all
   other calls return false at once, too, until no errand is left, so that a
   program that ends does not wait several times for the same stuck errand. If
   the thread cannot be started, the caller runs the errands itself. */
bool cast_errands_wait(uint64_t deadline_ns);
/* At the end of the runtime: waits in the same way, and joins the thread. */
bool cast_errands_stop(uint64_t deadline_ns);

#endif
