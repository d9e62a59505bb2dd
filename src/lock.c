/* lock.c - the slow paths of a lock, and the proofs of its ranks.
   SPDX-License-Identifier: MIT

   Invariants:
   1. Whoever may sleep has set the word to 2 before, so the holder's exchange
      to 0 sees 2 and wakes one sleeper.
   2. A thread that has slept takes the lock with 2, not 1: others may still be
      asleep, and it cannot know.

   The record of a thread's locks (debug builds) is a list through the locks
   themselves: only their holder touches the links, and the order of taking is
   also the order of ranks, so the newest lock is the one to compare with. */
#include "lock.h"

#include "limits.h"
#include "os/os.h"

void cast_lock_init(cast_lock *l, cast_rank rank) {
  atomic_init(&l->word, 0);
#if CAST_DEBUG >= 1
  l->rank = rank;
  atomic_init(&l->owner, 0);
  l->below = NULL;
  l->above = NULL;
#else
  CAST_UNUSED(rank);
#endif
}

static bool spin(cast_lock *l) {
  for (unsigned i = 0; i < CAST_LOCK_SPINS; i++) {
    /* Relaxed: only a hint when to try. */
    uint32_t free = atomic_load_explicit(&l->word, memory_order_relaxed);
    /* PAIR lock: acquire sees what the last holder wrote. */
    if (free == 0 && atomic_compare_exchange_weak_explicit(&l->word, &free, 1,
                       memory_order_acquire, memory_order_relaxed))
      return true;
    if (free == 2) return false; /* others sleep already: queue up */
    os_relax();
  }
  return false;
}

CAST_NOINLINE void cast_lock_slow(cast_lock *l) {
  if (spin(l)) return;
  /* PAIR lock: acquire sees what the last holder wrote. */
  while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
    (void)os_wait(&l->word, 2, OS_FOREVER);
}

/* The lock may be gone by now: its next holder may have freed it. Only the
   address is used. */
CAST_NOINLINE void cast_lock_wake(cast_lock *l) { os_wake(&l->word, 1); }

#if CAST_DEBUG >= 1

static _Thread_local cast_lock *newest; /* this thread's record */

/* Not inlined, nor the others below: the caller may go on in another thread
   after a switch, and must not remember an address of thread-local data. */
static CAST_NOINLINE uintptr_t self(void) { return (uintptr_t)&newest; }

CAST_NOINLINE void cast_lock_rank(const cast_lock *l) {
  const cast_lock *top = newest;
  CAST_ALWAYS(l->rank >= CAST_RANK_START && l->rank <= CAST_RANK_LEAF);
  if (top == NULL) return;
  if (top->rank == CAST_RANK_CHAN && l->rank == CAST_RANK_CHAN)
    CAST_ALWAYS((uintptr_t)top < (uintptr_t)l);
  else
    CAST_ALWAYS(top->rank < l->rank);
}

CAST_NOINLINE void cast_lock_note(cast_lock *l) {
  /* Relaxed: a thread compares with its own identity only, and has written
     that itself if it is there. */
  CAST_ALWAYS(atomic_load_explicit(&l->owner, memory_order_relaxed) == 0);
  atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
  l->above = NULL;
  l->below = newest;
  if (newest != NULL) newest->above = l;
  newest = l;
}

CAST_NOINLINE void cast_lock_gone(cast_lock *l) {
  CAST_ALWAYS(cast_lock_held(l));
  if (l->below != NULL) l->below->above = l->above;
  if (l->above != NULL)
    l->above->below = l->below;
  else
    newest = l->below;
  atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
}

CAST_NOINLINE bool cast_lock_held(const cast_lock *l) {
  return atomic_load_explicit(&l->owner, memory_order_relaxed) == self();
}

CAST_NOINLINE bool cast_lock_none(void) { return newest == NULL; }

#endif
