/* event.h - events: they happen once, and tasks wait for them or watch them.
   SPDX-License-Identifier: MIT

   Events are the end of a task, the end of a session, and that a session has no
   task. Lock: the event's own (CAST_RANK_EVENT). When an event is set, its
   waiters are claimed under the lock and woken after it is released. */
#ifndef CAST_EVENT_H
#define CAST_EVENT_H

#include "wait.h"

void cast_event_init(cast_event *e);
/* The owner of t: 0 if the event is set; else CAST_PARKED, and t's waiter is
   queued. */
int cast_event_wait(cast_event *e, cast_task *t);
/* Any thread: sets the event, and wakes or fires all waiters. `self` is the
   session that the calling thread runs, or NULL. */
void cast_event_set(cast_event *e, cast_session *self);
void cast_event_clear(cast_event *e);
bool cast_event_is_set(cast_event *e);

/* A watcher is called by the thread that sets the event; monitors and links of
   tasks are watchers. It is in the queue of the event's waiters, but has no
   wait. */
typedef struct cast_watcher cast_watcher;
struct cast_watcher {
  cast_waiter waiter; /* its place; `msg` is free for the watcher's own use */
  /* (i) Called under the event's lock: true if it must be fired, and is kept
     valid until then. After false, it may be freed as soon as the lock is
     released. */
  bool (*claim)(cast_watcher *w);
  /* (i) It is fired before anybody can find the event set: what it does is a
     part of what has happened. */
  bool hasty;
  /* (i) Called once, without the lock. It must allocate nothing, so that
     setting an event cannot fail. */
  void (*fire)(cast_watcher *w, cast_session *self);
};

/* Queues w. False: the event is set already, and w was not queued. */
bool cast_event_watch(cast_event *e, cast_watcher *w);
/* Takes w out. True: it was queued, and belongs to the caller again. False: it
   was never queued, or it has been claimed or refused. */
bool cast_event_unwatch(cast_event *e, cast_watcher *w);
/* Returns the first queued watcher for which test(w, arg), called under the
   event's lock, is true; or NULL. */
cast_watcher *cast_event_seek(
  cast_event *e, bool (*test)(cast_watcher *w, void *arg), void *arg);

#endif
