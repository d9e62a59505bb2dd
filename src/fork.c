/* fork.c - what a fork of the process leaves of casting.
   SPDX-License-Identifier: MIT */
#include "fork.h"

#include "../include/casting.h"
#include "os/os.h"

bool cast_forked;

static struct {
  _Atomic uintptr_t first;  /* (a) the first thread that has called; 0: none */
  _Atomic bool several;     /* (a) others have, too */
  _Atomic uint32_t threads; /* (a) of ours that have been started */
  void (*child)(void);      /* (i) */
} forks;

void cast_fork_note(void) {
  uintptr_t self = os_thread_self(), first = 0;
  /* Relaxed: each thread looks for itself only. */
  if (atomic_load_explicit(&forks.first, memory_order_relaxed) == self) return;
  /* PAIR forked: as below. */
  if (atomic_compare_exchange_strong_explicit(
        &forks.first, &first, self, memory_order_seq_cst, memory_order_relaxed))
    return;
  /* PAIR forked: before this thread takes any lock. The child has a copy of
     everything as it was at one moment. */
  atomic_store_explicit(&forks.several, true, memory_order_seq_cst);
}

void cast_fork_threads(bool yes) {
  /* PAIR forked: before the thread does anything. */
  if (yes)
    atomic_fetch_add_explicit(&forks.threads, 1, memory_order_seq_cst);
  else
    atomic_fetch_sub_explicit(&forks.threads, 1, memory_order_seq_cst);
}

void cast_fork_forget(void) {
  /* Relaxed: after the last thing that anybody does. */
  atomic_store_explicit(&forks.threads, 0, memory_order_relaxed);
  atomic_store_explicit(&forks.several, false, memory_order_relaxed);
  atomic_store_explicit(&forks.first, 0, memory_order_relaxed);
}

static void in_child(void) {
  uintptr_t self = os_thread_self(), first;
  /* PAIR forked: what the other threads had said by the time of the fork. */
  first = atomic_load_explicit(&forks.first, memory_order_seq_cst);
  if ((first != 0 && first != self) ||
      atomic_load_explicit(&forks.threads, memory_order_seq_cst) != 0 ||
      atomic_load_explicit(&forks.several, memory_order_seq_cst))
    cast_forked = true;
  atomic_store_explicit(&forks.first, 0, memory_order_relaxed);
  forks.child();
}

int cast_fork_watch(
  void (*before)(void), void (*parent)(void), void (*child)(void)) {
  forks.child = child;
  return os_fork_install(before, parent, in_child) == 0 ? 0 : CASTING_ENOMEM;
}
