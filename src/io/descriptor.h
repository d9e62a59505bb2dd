/* descriptor.h - a descriptor of the system's that tasks wait for.
   SPDX-License-Identifier: MIT

   I/O comes first, and waiting after: a task tries to read, and waits only if
   the system has nothing. A descriptor enters the poller's set with the first
   wait, and stays there until it is closed. It has two sides, to read and to
   write; each has a queue of waiters, and remembers an event that came while
   nobody waited (`ready`).

     cast_descriptor_begin(d)           false: closed
     cast_descriptor_try(d, side)       forgets the event, BEFORE the call
     read(fd) -> EAGAIN
     cast_descriptor_end(d)
     cast_descriptor_wait(d, side, t)   0: an event came since, try again

   Invariants:
   1. `ready` is cleared before the system is asked, so an event that comes
      after the system has said no is seen by the wait (PAIR edge).
   2. A descriptor is closed by the thread that leaves it last, after close: no
      call of the system is made for a number that was closed, or is another
      file's by now.
   3. An event is for the descriptor whose place and generation its key has;
      memory of descriptors is used for descriptors only, for ever.
   4. After close each waiter has been claimed, with CASTING_ECLOSED.
   5. Of those that wait to accept, an event wakes the first; it passes on what
      it leaves (cast_descriptor_pass), until somebody is told EAGAIN.
   6. A watch is told of each event to read, with a reference to its object,
      until the descriptor is closed; it is in no queue, and never waits.

   Lock: the descriptor's own (CAST_RANK_EVENT). Waiters are claimed under it
   and woken after it is released. */
#ifndef CAST_DESCRIPTOR_H
#define CAST_DESCRIPTOR_H

#include "../wait.h"
#include "poller.h"

enum { CAST_READ, CAST_WRITE };

/* How a descriptor was come by. */
enum {
  CAST_BORROWED = 1, /* it is the program's, and is not closed */
  CAST_ACCEPTS = 2,  /* one event is for one waiter: invariant 5 */
  CAST_UNPOLLED = 4  /* it is never in the set: its events are those of
                        cast_descriptor_pass alone. It may block. */
};

typedef struct cast_side {
  cast_list waiters;  /* (lock) */
  _Atomic bool ready; /* (a) set under the lock; cleared by who tries */
} cast_side;

/* Who is told that there is something to read without being a task. */
typedef struct cast_watch {
  cast_object *object; /* (i) what it is a part of */
  /* (i) Called by the thread that looks, with a reference to the object and no
     lock. It must neither wait nor take long. */
  void (*tell)(struct cast_watch *w, cast_session *self);
} cast_watch;

typedef struct cast_descriptor cast_descriptor;
struct cast_descriptor {
  cast_object object; /* references: handles, waits, messages */
  cast_lock lock;
  int fd;                 /* (i) */
  uint32_t place;         /* (i) in the table, for ever */
  uint32_t generation;    /* (lock) one more with each use of the place */
  _Atomic uint32_t users; /* (a) OPEN, and those that are using fd */
  uint8_t how;            /* (i) CAST_BORROWED and others */
  _Atomic bool ended;     /* (a) the other side has sent its end, or urgent
                             data, or will not read: told once, for good */
  bool added;             /* (lock) it is in the set */
  bool pooled;            /* (lock) it was last waited for in the pool */
  bool closing;           /* (lock) */
  bool released;          /* (lock) closing does not close the number */
  cast_side side[2];
  cast_watch *watch; /* (lock) valid while the descriptor is open; or NULL */
  _Atomic int kept;  /* (a) of a listener: a connection that was accepted, and
                       that nobody has; -1: none */
  _Atomic uint64_t paused_ns; /* (a) of a listener that is short of
                                  descriptors: until then it is not ready,
                                  whatever the system says; 0: it is not */
  cast_descriptor *next_free; /* (table lock) */
};

extern const cast_type cast_descriptor_type;

/* With the number taken over, unless it is borrowed; NULL: no memory, and
   nothing was taken. It must not block (O_NONBLOCK), unless it is borrowed. */
cast_descriptor *cast_descriptor_new(int fd, unsigned how);
/* For a wait for a descriptor of the program's: that which has the number, or
   a new one that is borrowed. A reference; NULL: no memory. */
cast_descriptor *cast_descriptor_borrow(int fd);

/* The number has been given to something that is no descriptor of these: the
   program has closed it, if one has it, and that one does not. */
void cast_descriptor_lost(int fd);

/* Does a descriptor own the number, and will close it? By the next moment
   another thread may have closed it. */
bool cast_descriptor_owns(int fd);

/* May fd be used until _end? False: it was closed. */
bool cast_descriptor_begin(cast_descriptor *d);
void cast_descriptor_end(cast_descriptor *d);
static inline void cast_descriptor_try(cast_descriptor *d, int side) {
  /* PAIR edge: before the system is asked; an exchange, so that no call of the
     system comes before it. */
  (void)atomic_exchange_explicit(
    &d->side[side].ready, false, memory_order_acq_rel);
}
/* Has an event come since? */
static inline bool cast_descriptor_is_ready(cast_descriptor *d, int side) {
  /* PAIR edge: acquire. */
  return atomic_load_explicit(&d->side[side].ready, memory_order_acquire);
}

/* Did an event tell of the end, or of urgent data? There may be bytes before
   the end, and behind the mark of urgent data, where a read stops; but no other
   event will come. */
static inline bool cast_descriptor_is_ended(cast_descriptor *d) {
  /* PAIR edge: acquire. */
  return atomic_load_explicit(&d->ended, memory_order_acquire);
}

/* Is there something that the system does not know of? */
static inline bool cast_descriptor_keeps(cast_descriptor *d, int side) {
  /* PAIR kept: acquire; after `ready` was cleared. */
  return side == CAST_READ &&
         atomic_load_explicit(&d->kept, memory_order_acquire) >= 0;
}

/* Must the system not be asked yet, after a shortage? Relaxed: who is wrong
   about it asks once too often, or waits for the pass that follows each pause,
   if that is after `ready` was cleared. */
static inline bool cast_descriptor_pauses(cast_descriptor *d, int side) {
  uint64_t until = atomic_load_explicit(&d->paused_ns, memory_order_relaxed);
  return CAST_UNLIKELY(until != 0) && side == CAST_READ && os_now() < until;
}

/* Owner of t: queues its waiter. 0: try again; CAST_PARKED; CASTING_ECLOSED,
   CASTING_ENOMEM, CASTING_EINVAL (it cannot be waited for). */
int cast_descriptor_wait(cast_descriptor *d, int side, cast_task *t);
/* The same with the waiter w of a wait that t has armed: 0: it is ready;
   CAST_PARKED: queued; else as above. */
int cast_descriptor_join(
  cast_descriptor *d, int side, cast_task *t, cast_waiter *w);
/* Whoever has cleared `ready` (cast_descriptor_try), was not told EAGAIN, and
   may have left something tells the others: the first that waits to accept, or
   all. */
void cast_descriptor_pass(cast_descriptor *d, int side, cast_session *self);
/* Puts it into the set, with that watch, which stays valid until it is closed.
   `pooled`: see cast_poller_add. 0, CASTING_ENOMEM, CASTING_EINVAL,
   CASTING_ECLOSED. */
int cast_descriptor_watch(cast_descriptor *d, cast_watch *w, bool pooled);
/* Claims all who wait. False: it was closed before. */
bool cast_descriptor_close(cast_descriptor *d, cast_session *self);
/* The same, but the number stays open: it is the program's from now on. */
bool cast_descriptor_release(cast_descriptor *d, cast_session *self);
/* In the child of a fork: closes the child's number, and does nothing to the
   open file, which is the parent's as well. False: it was closed before. */
bool cast_descriptor_close_forked(cast_descriptor *d);
/* Does a task wait for it? The side: CAST_READ, CAST_WRITE. */
bool cast_descriptor_is_awaited(cast_descriptor *d, int side);

/* Does any task wait for any descriptor? */
bool cast_descriptors_awaited(void);

/* At the end of the runtime, when no thread looks any more. */
void cast_descriptors_fini(void);
/* For cast_poller_init. */
void cast_descriptors_dispatch(
  const os_ready *ready, int n, cast_session *self, cast_jobs *jobs);

#endif
