/* offload.h - calls that block, made by threads without a session.
   SPDX-License-Identifier: MIT

   Some functions of the system block, and there is no other way to wait for
   them: those that look up names, or read files. A task that called one would
   stop its session, and keep a worker. So it puts a *call* into an offload, and
   waits for the call's event. The offload's *helpers*, threads of its own, make
   its calls in the order in which they came. Each offload has its own limit, so
   that slow calls of one kind do not keep those of another from being made
   (node#8436). Helpers are started when they are needed, and end when they have
   had no call for CAST_OFFLOAD_IDLE_NS.

   A call is a counted object. References: one for each who waits, and one of
   the helper that makes it; the queue has none. So who waits may leave at any
   time. Without a reference a call ends: it is taken out of the queue if it is
   there. If a helper makes it, that one finishes alone, and drops the last
   reference. Invariants:
   1. A call in the queue is valid memory: its end takes it out, under the lock,
      before it is freed. A helper that comes first finds no reference to add to
      and passes over it. So a call for which nobody waits is not begun.
   2. While there are calls in the queue, there are helpers. There are as many
      *free* ones, which make no call now and will look at the queue, as there
      are calls in the queue, unless that would be more helpers than the limit,
      or some could not be started.
   3. Who reserves a helper (reserve_locked) starts it. If it cannot be started,
      another helper makes the calls in its turn. If that was the last one, all
      calls in the queue fail with CASTING_ENOMEM. So none is lost.
   4. A free helper sleeps only if it has found the queue empty under the lock,
      and `word` has not changed since; each call that comes changes it.
   5. `done` is set once for each call that was sent and has a reference: after
      `run` has returned, or when it has failed.
   6. From before a call is sent until after `done` was set, or until it has
      ended in the queue, no deadlock is found (cast_deadlock_expect).
   When the runtime ends nobody waits for any call, so there are only those in
   the queues that keep themselves, which are `owed` or quickly made; helpers
   that are in the middle of another call are not waited for. If there are
   such, the runtime goes on instead of stopping, so that they never meet freed
   memory; the process may end at any time. (Model offload.pml.) */
#ifndef CAST_OFFLOAD_H
#define CAST_OFFLOAD_H

#include "event.h"
#include "object.h"

typedef struct cast_offload cast_offload;
typedef struct cast_call cast_call;

/* One constant for each kind of calls. */
typedef struct cast_call_kind {
  /* Makes the call, in a helper, and stores in the call what came of it: those
     who wait read that after `done` is set. No lock is held. */
  void (*run)(cast_call *c);
  /* Instead of that, if it cannot be made for want of a thread: `result` will
     say so. Any thread, with no lock held. NULL: nothing. */
  void (*lost)(cast_call *c);
  void (*free)(cast_call *c); /* there is no reference left; any thread */
} cast_call_kind;

/* At the beginning of a struct. */
struct cast_call {
  cast_object object;
  const cast_call_kind *kind; /* (i) */
  cast_offload *offload;      /* (i) once it is sent; NULL before */
  cast_list link;             /* (offload's lock) in the queue */
  bool taken;      /* (offload's lock) out of the queue, with a reference */
  int32_t result;  /* (i) once `done` is set: 0, or CASTING_ENOMEM: not made */
  cast_event done; /* it was made, or will not be */
};

struct cast_offload {
  cast_lock lock;    /* CAST_RANK_LEAF */
  const char *title; /* (i) of its threads, 15 bytes at most */
  uint32_t limit;    /* (i) of helpers */
  cast_list queue;   /* (lock) of calls */
  uint32_t nqueued;  /* (lock) how many these are */
  uint32_t nhelpers; /* (lock) helpers reserved or started, until they end */
  uint32_t nfree;    /* (lock) of these: not in a call */
  bool stopping;     /* (lock) free helpers end at once */
  _Atomic uint32_t owed; /* (a) calls that are to be made even if nobody waits
                            for them, here or still to be sent: the end waits
                            for these. Relaxed: a figure */
  _Atomic uint32_t
    word;             /* (a) a futex: changes with each call, under the lock */
  cast_offload *next; /* (helpers' lock) in the list of all */
  bool listed;        /* (helpers' lock) it is in that list */
};

/* Initialises the static variable `o`. */
#define CAST_OFFLOAD_STATIC(o, most, name)                     \
  {                                                            \
    .lock = CAST_LOCK_STATIC(CAST_RANK_LEAF), .title = (name), \
    .limit = (most), .queue = {                                \
      &(o).queue,                                              \
      &(o).queue                                               \
    }                                                          \
  }

/* With one reference, for the caller. */
void cast_call_init(cast_call *c, const cast_call_kind *kind);
/* Any thread, with no lock held and a reference to the call, which has not been
   sent before. Never fails, never waits: see `result`. */
void cast_offload_send(cast_offload *o, cast_call *c);
/* At the end of the runtime: ends all helpers, and waits for them until the
   deadline; but for those that are in a call, until soon_ns only, unless calls
   are owed. False: some are left. */
bool cast_offloads_stop(uint64_t soon_ns, uint64_t deadline_ns);

#endif
