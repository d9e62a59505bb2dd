/* lock.h - small ranked mutual exclusion.
   SPDX-License-Identifier: MIT

   A lock is one 32-bit word (plus its rank in debug builds): free, held, or
   held with sleepers. The uncontended path is one compare-exchange and one
   exchange; a waiter spins CAST_LOCK_SPINS times, then sleeps on the word.
   Critical sections are short and never call Lua, allocate or block.

   Ranks: a thread may only take a lock of a rank higher than those it holds;
   two channel locks may be held together when taken in address order. Debug
   builds check both with a per-thread record. */
#ifndef CAST_LOCK_H
#define CAST_LOCK_H

#include "base.h"

typedef enum cast_rank {
  CAST_RANK_RUNTIME = 1, /* start, stop, named channels, list of hosts */
  CAST_RANK_HOST,        /* the list of a host's sessions */
  CAST_RANK_TIMER,       /* the global deadline heap */
  CAST_RANK_SESSION,     /* a session's list of tasks */
  CAST_RANK_CHAN,        /* channels, in address order */
  CAST_RANK_EVENT,       /* end of a task, of a session */
  CAST_RANK_SCHED,       /* idle workers and cores, global run queue */
  CAST_RANK_POOL,        /* free C stacks */
  CAST_RANK_LEAF         /* anything that takes no other lock */
} cast_rank;

typedef struct cast_lock {
  _Atomic uint32_t word; /* (a) 0 free, 1 held, 2 held and waited for */
#if CAST_DEBUG >= 1
  uint32_t rank; /* (i) */
#endif
} cast_lock;

void cast_lock_init(cast_lock *l, cast_rank rank);
void cast_lock_slow(cast_lock *l);
void cast_lock_wake(cast_lock *l);
#if CAST_DEBUG >= 1
void cast_lock_note(cast_lock *l, bool taken); /* checks the rank */
bool cast_lock_held(const cast_lock *l);       /* by this thread */
#else
#define cast_lock_note(l, taken) ((void)0)
#define cast_lock_held(l) true
#endif

static inline void cast_lock_take(cast_lock *l) {
  uint32_t free = 0;
  cast_lock_note(l, true);
  /* PAIR lock: acquire sees what the last holder wrote before its release. */
  if (CAST_UNLIKELY(!atomic_compare_exchange_strong_explicit(
        &l->word, &free, 1, memory_order_acquire, memory_order_relaxed)))
    cast_lock_slow(l);
}

static inline void cast_lock_drop(cast_lock *l) {
  cast_lock_note(l, false);
  /* PAIR lock: release publishes the critical section. */
  if (CAST_UNLIKELY(
        atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2))
    cast_lock_wake(l);
}

#endif
