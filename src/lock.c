/* lock.c - the slow path of a lock, and the proofs of its ranks.
   SPDX-License-Identifier: MIT

   The record of a thread's locks (debug builds) is a list through the locks
   themselves: only their holder touches the links, and the order of taking is
   also the order of ranks, so the newest lock is the one to compare with. */
#include "lock.h"

#include "fork.h"
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

/* Tries to take the lock for a moment; true if it has. */
static bool spin(cast_lock *l) {
  for (unsigned i = 0; i < CAST_LOCK_SPINS; i++) {
    /* Relaxed: a hint whether it is worth trying. */
    uint32_t free = atomic_load_explicit(&l->word, memory_order_relaxed);
    /* PAIR lock: acquire sees what the last holder wrote. */
    if (free == 0 && atomic_compare_exchange_weak_explicit(&l->word, &free, 1,
                       memory_order_acquire, memory_order_relaxed))
      return true;
    os_relax();
  }
  return false;
}

/* In the child of a fork: the thread that held the lock does not exist here,
   and there is no other thread that could take it. */
static void take_over(cast_lock *l) {
  atomic_store_explicit(&l->word, 1, memory_order_relaxed);
#if CAST_DEBUG >= 1
  atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
#endif
}

CAST_NOINLINE void cast_lock_slow(cast_lock *l) {
  uint64_t nap_ns = CAST_LOCK_NAP_NS;
  if (CAST_UNLIKELY(cast_forked)) {
    take_over(l);
    return;
  }
  while (!spin(l)) {
    /* Nobody wakes this thread: the nap times out, or ends at once if the lock
       was dropped meanwhile. */
    (void)os_wait(&l->word, 1, os_now() + nap_ns);
    if (nap_ns < CAST_LOCK_NAP_MAX_NS) nap_ns *= 2;
  }
}

#if CAST_DEBUG >= 1

/* This thread's record: the lock that it has taken last. */
static _Thread_local cast_lock *newest;

/* Not inlined, as are all functions below: after a switch of C stacks the
   caller may go on in another thread, so the compiler must not keep the
   address of thread-local data in it. */
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
  CAST_ALWAYS(cast_lock_is_held(l));
  if (l->below != NULL) l->below->above = l->above;
  if (l->above != NULL)
    l->above->below = l->below;
  else
    newest = l->below;
  atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
}

CAST_NOINLINE bool cast_lock_is_held(const cast_lock *l) {
  return atomic_load_explicit(&l->owner, memory_order_relaxed) == self();
}

CAST_NOINLINE bool cast_lock_holds_none(void) { return newest == NULL; }

#endif
