/* object.h - reference-counted objects that several threads may hold.
   SPDX-License-Identifier: MIT

   First member of channels, tasks, sessions and shared strings. A holder of a
   reference may use the object from any thread; the last one frees it.

   Objects can hold each other in chains of any length (a channel in a message
   in a channel ...), so the end of one does not recurse into the end of the
   next: `release` puts those whose last reference it held on a list. */
#ifndef CAST_OBJECT_H
#define CAST_OBJECT_H

#include "base.h"

typedef struct cast_object cast_object;

typedef struct cast_type {
  const char *name;            /* for error messages: "channel" */
  void (*free)(cast_object *); /* called once, with no references left */
  /* Called before that, unless NULL: lets go of other objects. */
  void (*release)(cast_object *, cast_object **more);
} cast_type;

struct cast_object {
  const cast_type *type; /* (i) */
  cast_object *next;     /* with no references left: in a list of the ended */
  _Atomic uint32_t refs; /* (a) */
};

/* No reference is left: releases and frees it, and what ends with it; but see
   fork.h. */
void cast_object_end(cast_object *o);
/* The same of all those in a list that `release` has made. */
void cast_object_end_all(cast_object *more);

static inline void cast_object_init(cast_object *o, const cast_type *type) {
  o->type = type;
  atomic_init(&o->refs, 1);
}

/* Relaxed: the caller already holds a reference, so nothing is published. */
static inline void *cast_ref(cast_object *o) {
  uint32_t old = atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
  CAST_ASSERT(old > 0 && old < UINT32_MAX);
  CAST_UNUSED(old);
  return o;
}

/* A new reference, when there may be none left: then false. The caller knows
   the memory to be there. Relaxed: nothing is read that was not fixed before
   the object was shared, or is not guarded by itself. */
static inline bool cast_ref_if_alive(cast_object *o) {
  uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
  while (refs != 0)
    if (atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs + 1,
          memory_order_relaxed, memory_order_relaxed))
      return true;
  return false;
}

/* Gives a reference up: was it the last one? */
static inline bool cast_unref_last(cast_object *o) {
  /* PAIR refs: release what this holder did; the last one acquires all. */
  uint32_t old = atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel);
  CAST_ASSERT(old > 0);
  return old == 1;
}

static inline void cast_unref(cast_object *o) {
  if (cast_unref_last(o)) cast_object_end(o);
}

/* From a type's release. */
static inline void cast_unref_later(cast_object *o, cast_object **more) {
  if (!cast_unref_last(o)) return;
  if (o->type->release == NULL) {
    /* Nothing to recurse into. (A session is such an object, and may come
       back to life while it stood in a list: it must never stand in one.) */
    o->type->free(o);
    return;
  }
  o->next = *more;
  *more = o;
}

#endif
