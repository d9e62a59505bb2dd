/* once.h - facts that a process finds out once.
   SPDX-License-Identifier: MIT

   Such a fact is, for example, how the tables of this Lua lie in memory.
   Several threads may find it out at the same time; one of them publishes the
   result for all. There is no lock, because finding out may take a while and
   call any function. */
#ifndef CAST_ONCE_H
#define CAST_ONCE_H

#include "base.h"
#include "fork.h"
#include "os/os.h"

/* Static, and zero at first. */
typedef struct cast_once {
  _Atomic int stage; /* (a) NOTHING, then WRITING, then KNOWN */
} cast_once;

enum { CAST_ONCE_NOTHING, CAST_ONCE_WRITING, CAST_ONCE_KNOWN };

/* Has the fact been published? */
static inline bool cast_once_is_known(cast_once *o) {
  /* PAIR once: acquire what was found out. */
  return atomic_load_explicit(&o->stage, memory_order_acquire) ==
         CAST_ONCE_KNOWN;
}

/* Publishes what the caller has found out: copies it to `to`, which all threads
   read, unless another thread does that. Returns when it is published. The
   child of a fork does not wait for the thread of the parent that may have been
   writing; it writes the same bytes again. */
static inline void cast_once_tell(
  cast_once *o, void *to, const void *found, size_t size) {
  int was = CAST_ONCE_NOTHING;
  if (CAST_UNLIKELY(cast_forked))
    atomic_store_explicit(&o->stage, was, memory_order_relaxed);
  /* Relaxed: what is read afterwards is acquired by the loop below. */
  if (atomic_compare_exchange_strong_explicit(&o->stage, &was,
        CAST_ONCE_WRITING, memory_order_relaxed, memory_order_relaxed)) {
    memcpy(to, found, size);
    /* PAIR once: release what was found out. */
    atomic_store_explicit(&o->stage, CAST_ONCE_KNOWN, memory_order_release);
  }
  while (!cast_once_is_known(o)) os_relax();
}

#endif
