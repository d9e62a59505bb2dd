/* lock.h - small ranked mutual exclusion.
   SPDX-License-Identifier: MIT

   A lock is one 32-bit word (plus its rank in debug builds): free or held.
   Taking a free lock is a compare-exchange, and dropping it is a plain store:
   the holder does not look for waiters. So nobody wakes a waiter. It spins
   CAST_LOCK_SPINS times, then naps, each time longer, until it finds the lock
   free. Critical sections are short and never call Lua or block, so a waiter
   naps only when the system has taken the processor from the holder. (Rejected:
   a word that also counts sleepers, and waking them. Dropping the lock would
   become an exchange, which costs as much as a whole short section.)

   Ranks: a thread may only take a lock whose rank is higher than the ranks of
   all locks it holds; locks of channels may be held together when they are
   taken in address order. Locks may be dropped in any order. Debug builds check
   the ranks with a record of each thread's locks. That record must be empty
   when execution moves to another C stack or thread (cast_lock_holds_none). */
#ifndef CAST_LOCK_H
#define CAST_LOCK_H

#include "base.h"

typedef enum cast_rank {
  CAST_RANK_START = 1, /* casting_start and casting_stop of C hosts */
  CAST_RANK_RUNTIME,   /* start, stop, named channels */
  CAST_RANK_HOST,      /* lists of hosts and of a host's sessions; sysmon */
  CAST_RANK_TIMER,     /* the heaps of the process's deadlines */
  CAST_RANK_SESSION,   /* a session's list of tasks */
  CAST_RANK_CHAN,      /* channels, in address order */
  CAST_RANK_EVENT,     /* end of a task, of a session */
  CAST_RANK_WORKERS,   /* threads that may be signalled, threads that ended */
  CAST_RANK_SCHED,     /* idle workers, cores, permits, global run queue */
  CAST_RANK_POOL,      /* free C stacks */
  CAST_RANK_LEAF       /* anything that takes no other lock */
} cast_rank;

typedef struct cast_lock cast_lock;
struct cast_lock {
  _Atomic uint32_t word; /* (a) 0 free, 1 held */
#if CAST_DEBUG >= 1
  uint32_t rank;           /* (i) a cast_rank */
  _Atomic uintptr_t owner; /* (a) identity of the holding thread, or 0 */
  cast_lock *below;        /* (w) the thread's record: taken before this one */
  cast_lock *above;        /* (w) the thread's record: taken after this one */
#endif
};

/* Initialises a static lock. */
#if CAST_DEBUG >= 1
#define CAST_LOCK_STATIC(r) \
  { .rank = (r) }
#else
#define CAST_LOCK_STATIC(r) \
  { 0 }
#endif

void cast_lock_init(cast_lock *l, cast_rank rank);
/* Takes a lock that was found held: spins, then naps. */
void cast_lock_slow(cast_lock *l);
#if CAST_DEBUG >= 1
void cast_lock_rank(const cast_lock *l);    /* proof: may be taken now */
void cast_lock_note(cast_lock *l);          /* taken: into the record */
void cast_lock_gone(cast_lock *l);          /* about to be dropped: out of it */
bool cast_lock_is_held(const cast_lock *l); /* by this thread */
bool cast_lock_holds_none(void);            /* this thread holds no lock */
#else
#define cast_lock_rank(l) ((void)0)
#define cast_lock_note(l) ((void)0)
#define cast_lock_gone(l) ((void)0)
#define cast_lock_is_held(l) true
#define cast_lock_holds_none() true
#endif

static inline void cast_lock_take(cast_lock *l) {
  uint32_t free = 0;
  cast_lock_rank(l);
  /* PAIR lock: acquire sees what the last holder wrote before its release. */
  if (CAST_UNLIKELY(!atomic_compare_exchange_strong_explicit(
        &l->word, &free, 1, memory_order_acquire, memory_order_relaxed)))
    cast_lock_slow(l);
  cast_lock_note(l);
}

static inline void cast_lock_drop(cast_lock *l) {
  cast_lock_gone(l);
  /* PAIR lock: release publishes the critical section. */
  atomic_store_explicit(&l->word, 0, memory_order_release);
}

#endif
