/* calls.h - the calls of a service: from those who call to those who work.
   SPDX-License-Identifier: MIT

   A service has *seats*, one for each call that it works on at the same time. A
   task of its session, the worker of a seat, takes one call after the other. A
   request goes straight from the waiter of the caller's task to that of the
   worker's, under the lock, and its answer goes back in the same way. So a call
   takes two looks under the lock, and no memory. The caller's waiter is in a
   list of the calls all the time, first in `calls`, then in its seat: whoever
   stops waiting (a deadline, a cancellation) just takes it out, and the seat
   finds nobody to answer. Lock: CAST_RANK_CHAN. Invariants, while it is held:
   1. If a seat's worker waits, no call does.
   2. A seat with a call has a number, `serial`, which is that of no other call.
      Its list `caller` has the waiter of the caller, as long as that waits.
   3. Calls wait, and seats have calls, only while somebody serves; and that is
      who has a reference. So no task waits for calls that are freed. */
#ifndef CAST_CALLS_H
#define CAST_CALLS_H

#include "wait.h"

/* A place for one call at a time. */
typedef struct cast_seat {
  cast_list idle;   /* (lock) in calls->idle, since its worker has waited */
  cast_list parked; /* (lock) the waiter of its worker, while that waits */
  cast_list caller; /* (lock) the waiter of who waits for its answer */
  cast_task *task;  /* (lock) its worker, with one reference, or NULL */
  uint64_t serial;  /* (lock) the number of the call that it has; 0: none */
} cast_seat;

typedef struct cast_calls cast_calls;
struct cast_calls {
  cast_object object; /* references: handles, and who serves */
  cast_lock lock;
  cast_list waiting; /* (lock) calls and casts, the oldest first; a cast has
                           a waiter without a wait, of its own */
  cast_list idle;    /* (lock) seats whose workers may wait */
  cast_seat *seats;  /* (lock) of who serves; NULL: nobody does */
  cast_task *server; /* (lock) the task that serves or has done so last, with
                           one reference, or NULL */
  uint64_t serial;   /* (lock) the number of the latest call */
  size_t ncasts;     /* (lock) casts in `waiting` */
  bool draining;     /* (lock) nothing is taken any more but what waits */
  bool fresh;        /* (lock) it was never served, but is going to be */
  size_t capacity;   /* (i) the most casts that wait */
  uint32_t nseats;   /* (i) how many seats there are */
  bool cancels;      /* (i) a call whose caller has left is cancelled */
  bool restarts;     /* (i) it may be served again when it was served */
  bool own;          /* (i) its session was made for it */
  double seconds;    /* (i) the timeout of each call; infinite: none */
  cast_object *spec; /* (i) what is served, one reference */
  cast_list link;    /* (names) in the list of those with names */
  size_t name_size;  /* (i) */
  char name[];       /* (i) name_size bytes, and a zero; maybe empty */
};

extern const cast_type cast_calls_type;

/* The call can never be answered: the only seat's worker makes it. */
#define CAST_SELF_CALL 3
/* Nobody waits for the answer: it is still in the waiter. */
#define CAST_UNHEARD 4

/* Without spec, and nobody serves. NULL: out of memory. */
cast_calls *cast_calls_new(const char *name, size_t size);
/* Its other fields are set, and it is going to be served: from now on it is
   found by its name, if it has one. 0; CASTING_EINVAL: another has that. */
int cast_calls_publish(cast_calls *c);
/* The one of that name, with a new reference, or NULL. */
cast_calls *cast_calls_find(const char *name, size_t size);

/* `self` is always the session that the calling thread runs. */

/* t has a request in its waiter, and calls: CAST_PARKED, CAST_SELF_CALL, or
   CASTING_ECLOSED. Once its request was taken, the waiter has the seat's number
   and the serial, see cast_calls_worker. */
int cast_calls_call(cast_calls *c, cast_session *self, cast_task *t);
/* Gives w->msg to a worker, or, if `spare` is not NULL and none waits, makes
   that wait in its place: then it belongs to the calls, as a block of
   cast_alloc. 0, with *kept: spare was taken; CASTING_EFULL, CASTING_ECLOSED;
   CASTING_EEMPTY: a spare is needed. */
int cast_calls_cast(cast_calls *c, cast_session *self, cast_waiter *w,
  cast_waiter *spare, bool *kept);

/* Somebody serves from now on with these seats, nseats of them, all zero; the
   task is the server. False: somebody else does. */
bool cast_calls_open(cast_calls *c, cast_seat *seats, cast_task *server);
/* t works at seat i. If that has a call, t's waiter has the answer, which is
   given; CAST_UNHEARD: there is nobody for it, and nothing more was done. Then
   t gets the next call: 0: in its waiter; CAST_PARKED; CASTING_ECLOSED: no more
   will come. */
int cast_calls_next(cast_calls *c, cast_session *self, cast_task *t,
  cast_seat *seats, uint32_t i);
/* The worker of that seat has ended without an answer: gives this one. False:
   nobody waits for it; then *m is as before. */
bool cast_calls_fail(
  cast_calls *c, cast_session *self, cast_seat *seat, cast_msg *m);
/* Nothing is taken any more, and workers end when all that waits is done. If it
   was not served yet, it is not going to be. */
void cast_calls_drain(cast_calls *c, cast_session *self);
/* Who serves with these seats serves no more: all who wait get CASTING_ECLOSED.
   May be called again. */
void cast_calls_close(cast_calls *c, cast_session *self, cast_seat *seats);

/* The task that serves, or has done so last, with a reference; or NULL. */
cast_task *cast_calls_server(cast_calls *c);
bool cast_calls_has_worker(cast_calls *c, const cast_task *t);
/* The worker, with a reference, that has the call with which w has waited; NULL
   if none has. By the owner of w, after its wait. */
cast_task *cast_calls_worker(cast_calls *c, const cast_waiter *w);

#endif
