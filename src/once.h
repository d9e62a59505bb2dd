/* once.h - what is found out once in a process.
   SPDX-License-Identifier: MIT

   Several threads may find it out at the same time; one of them writes it down,
   for all. No lock, as it may take a while and call anything. */
#ifndef CAST_ONCE_H
#define CAST_ONCE_H

#include "base.h"
#include "fork.h"
#include "os/os.h"

/* Static, and zero at first. */
typedef struct cast_once {
  _Atomic int stage; /* (a) nothing, then being written, then known */
} cast_once;

enum { CAST_ONCE_NOTHING, CAST_ONCE_WRITING, CAST_ONCE_KNOWN };

/* Is it there? */
static inline bool cast_once_is_known(cast_once *o) {
  /* PAIR once: acquire what was found out. */
  return atomic_load_explicit(&o->stage, memory_order_acquire) ==
         CAST_ONCE_KNOWN;
}

/* Copies what the caller has found out to where all read it, unless that was
   done; then it is there. In the child of a fork nobody waits for who was just
   doing so: all find out the same. */
static inline void cast_once_tell(
  cast_once *o, void *to, const void *found, size_t size) {
  int was = CAST_ONCE_NOTHING;
  if (CAST_UNLIKELY(cast_forked))
    atomic_store_explicit(&o->stage, was, memory_order_relaxed);
  /* Relaxed: nothing is read but what is waited for below. */
  if (atomic_compare_exchange_strong_explicit(&o->stage, &was,
        CAST_ONCE_WRITING, memory_order_relaxed, memory_order_relaxed)) {
    memcpy(to, found, size);
    /* PAIR once: release what was found out. */
    atomic_store_explicit(&o->stage, CAST_ONCE_KNOWN, memory_order_release);
  }
  while (!cast_once_is_known(o)) os_relax();
}

#endif
