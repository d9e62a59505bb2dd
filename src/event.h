/* event.h - what happens once and can be waited for, or watched.
   SPDX-License-Identifier: MIT

   Lock: the event's own (CAST_RANK_EVENT). Waiters are claimed under it and
   woken after it is released. */
#ifndef CAST_EVENT_H
#define CAST_EVENT_H

#include "wait.h"

void cast_event_init(cast_event *e);
/* 0 if set, else CAST_PARKED: t's waiter is queued. */
int cast_event_wait(cast_event *e, cast_task *t);
void cast_event_set(cast_event *e, cast_session *self);
void cast_event_clear(cast_event *e);
bool cast_event_is_set(cast_event *e);

/* Something to be done when an event is set, by the thread that sets it: for
   the ends of tasks and sessions. Stands among the event's waiters, with no
   wait. */
typedef struct cast_watcher cast_watcher;
struct cast_watcher {
  cast_waiter waiter; /* its msg is the watcher's own */
  /* Under the event's lock: is it to be fired? Whoever says so owns it until
     then. If not, it may be gone as soon as the lock is released. */
  bool (*claim)(cast_watcher *w);
  /* Without the lock, once. Allocates nothing: a wake cannot fail. */
  void (*fire)(cast_watcher *w, cast_session *self);
};

/* False: the event is set already; w was not queued. */
bool cast_event_watch(cast_event *e, cast_watcher *w);
/* True: w was queued, and is the caller's again. False: it never was, or has
   been claimed or refused. */
bool cast_event_unwatch(cast_event *e, cast_watcher *w);
/* The first queued watcher for which test(w, arg) is true, under the event's
   lock, or NULL. */
cast_watcher *cast_event_seek(
  cast_event *e, bool (*test)(cast_watcher *w, void *arg), void *arg);

#endif
