/* fork.c - what a fork of the process leaves of casting.
   SPDX-License-Identifier: MIT */
#include "fork.h"

#include "../include/casting.h"
#include "os/os.h"

bool cast_forked;

static struct {
  _Atomic uintptr_t first;  /* (a) the first thread that has called; 0: none */
  _Atomic bool several;     /* (a) other threads have called, too */
  _Atomic uint32_t threads; /* (a) casting's threads that have been started */
  void (*child)(void);      /* (i) what cast_fork_watch was given */
} forks;

void cast_fork_note(void) {
  uintptr_t self = os_thread_self(), first = 0;
  /* Relaxed: a thread only needs to find what it has written itself. */
  if (atomic_load_explicit(&forks.first, memory_order_relaxed) == self) return;
  /* PAIR forked: before this thread takes any lock, see below. */
  if (atomic_compare_exchange_strong_explicit(
        &forks.first, &first, self, memory_order_seq_cst, memory_order_relaxed))
    return;
  /* PAIR forked: before this thread takes any lock. The child has a copy of all
     memory as it was at one moment: if that lock is held in the copy, this flag
     is set in it. */
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
  /* Relaxed: no thread is left that could fork in between. */
  atomic_store_explicit(&forks.threads, 0, memory_order_relaxed);
  atomic_store_explicit(&forks.several, false, memory_order_relaxed);
  atomic_store_explicit(&forks.first, 0, memory_order_relaxed);
}

/* Decides whether casting still works in this child. */
static void in_child(void) {
  uintptr_t self = os_thread_self(), first;
  /* PAIR forked: what the other threads had noted when the process forked. */
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
