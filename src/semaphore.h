/* semaphore.h - semaphores: so many permits for tasks of all sessions.
   SPDX-License-Identifier: MIT

   A semaphore has `size` places. A permit takes `weight` of them for a task,
   from when it is acquired until it is released, or until that task has ended,
   in whatever way. Owner: a permit has a reference to its semaphore. References
   to a permit: handles, the watcher of its task's end (one), and the message of
   the waiter while it is queued (one). Lock: the semaphore's (CAST_RANK_CHAN);
   those of events are taken under it. The states of a permit, changed with the
   lock held:
     NEW -> HELD       acquired at once
     NEW -> WAITING    queued
     WAITING -> HELD   by who makes room: with the claim of its task's wait, in
                       one critical section
     WAITING -> OVER   by the task, whose wait has ended otherwise
     HELD -> OVER      released; or the task has ended
   Invariants, while the lock is held:
   1. `held` is the sum of the weights of all permits that are HELD, and never
      more than `size`. Places are counted to the permit before its task is
      woken; so none can be lost on the way, whatever happens to the task.
   2. First come, first served: a permit is acquired at once only if nobody
      waits, and only the first of the queue is served, however small those
      behind it are. So the large ones are not starved.
   3. A permit that is WAITING or HELD has `task`, which has not ended, or is
      just ending: its watcher is in the queue of the task's event, or was
      claimed there and is about to be fired. Who takes it out, or fires it,
      drops the reference of the watcher: the event's lock decides who. Hence
      `task` is valid as long as the state is one of these two.
   4. A waiter that leaves the queue without a permit may have kept those behind
      it from one. So its task serves the queue when it goes on (or ends).
   5. No permit is HELD that was acquired after the close. */
#ifndef CAST_SEMAPHORE_H
#define CAST_SEMAPHORE_H

#include "account.h"
#include "event.h"

typedef struct cast_semaphore {
  cast_object object; /* references: handles, messages, permits */
  cast_lock lock;
  uint32_t size;         /* (i) how many places there are */
  uint32_t held;         /* (lock) how many of them are taken */
  bool closed;           /* (lock) nobody gets a permit any more */
  cast_list queue;       /* (lock) waiters, the oldest first */
  cast_account *account; /* (i) a sandbox's, one reference; else NULL */
} cast_semaphore;

typedef enum cast_permit_state {
  CAST_PERMIT_NEW,
  CAST_PERMIT_WAITING,
  CAST_PERMIT_HELD,
  CAST_PERMIT_OVER
} cast_permit_state;

typedef struct cast_permit {
  cast_object object;
  cast_semaphore *semaphore; /* (i) one reference */
  uint32_t weight;           /* (i) how many places it takes */
  cast_permit_state state;   /* (semaphore lock) */
  cast_task *task;           /* (semaphore lock) see invariant 3 */
  cast_watcher watcher;      /* of its end */
  cast_account *account;     /* (i) a sandbox's, one reference; else NULL */
} cast_permit;

extern const cast_type cast_semaphore_type;
extern const cast_type cast_permit_type;

/* Charged to that account, or NULL. One reference for the caller. NULL: out of
   memory, or too much for the account. */
cast_semaphore *cast_semaphore_new(uint32_t size, cast_account *a);
/* A permit of s that was not acquired yet; weight <= s->size. */
cast_permit *cast_permit_new(
  cast_semaphore *s, uint32_t weight, cast_account *a);

/* The owner of t: acquires the new permit for t. If `waits`, that may take
   time: t's waiter, whose message is empty, is queued. 0, CAST_PARKED,
   CASTING_EFULL (not if `waits`), CASTING_ECLOSED. After a wait with the
   result 0 the permit is held, and t drops its message; after any other
   result, or instead of going on, t calls cast_permit_drop. */
int cast_permit_acquire(cast_permit *p, cast_task *t, bool waits);
/* The owner of the task that has waited: it has no use for the permit. `self`
   is the session that the calling thread runs. */
void cast_permit_drop(cast_permit *p, cast_session *self);
/* Any thread: gives the places back. False: it is not held. */
bool cast_permit_release(cast_permit *p, cast_session *self);
bool cast_permit_is_held(cast_permit *p);
/* Any thread: from now on the permit belongs to the task `to`, and if that has
   ended, it is released. False: it is not held. */
bool cast_permit_give(cast_permit *p, cast_session *self, cast_task *to);

/* Ends all waits for permits; those that are held stay so. True if this call
   has closed it. */
bool cast_semaphore_close(cast_semaphore *s, cast_session *self);
bool cast_semaphore_is_closed(cast_semaphore *s);
/* How many places are free. */
uint32_t cast_semaphore_available(cast_semaphore *s);

#endif
