/* object.h - reference-counted objects that several threads may hold.
   SPDX-License-Identifier: MIT

   A cast_object is the first member of channels, tasks, sessions and shared
   strings. The holder of a reference may use the object from any thread; the
   one that drops the last reference frees the object.

   Objects can refer to each other in chains of any length (a channel in a
   message in a channel ...). So freeing one must not recurse into the next:
   `release` puts objects whose last reference it has dropped into a list, and
   cast_object_end_all works that list off. */
#ifndef CAST_OBJECT_H
#define CAST_OBJECT_H

#include "base.h"

typedef struct cast_object cast_object;

typedef struct cast_type {
  const char *name;            /* for error messages: "channel" */
  void (*free)(cast_object *); /* frees the object; no reference is left */
  /* Called before `free` unless NULL: drops references to other objects with
     cast_unref_later(o, more). */
  void (*release)(cast_object *, cast_object **more);
} cast_type;

struct cast_object {
  const cast_type *type; /* (i) what it is */
  cast_object *next;     /* in a list of ended objects; no reference is left */
  _Atomic uint32_t refs; /* (a) the number of references */
};

/* Releases and frees an object without references, and the objects whose last
   reference it held. In the child of a fork nothing is freed (fork.h). */
void cast_object_end(cast_object *o);
/* The same for all objects in a list that `release` has made. */
void cast_object_end_all(cast_object *more);

/* One reference, for the caller. */
static inline void cast_object_init(cast_object *o, const cast_type *type) {
  o->type = type;
  atomic_init(&o->refs, 1);
}

/* Adds a reference and returns o. Relaxed: the caller already has one, so
   nothing is published. */
static inline void *cast_ref(cast_object *o) {
  uint32_t old = atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
  CAST_ASSERT(old > 0 && old < UINT32_MAX);
  CAST_UNUSED(old);
  return o;
}

/* Adds a reference to an object that may have none left; then false. Something
   else must keep the memory valid. Relaxed: all that the caller reads later was
   fixed before the object was shared, or has a guard of its own. */
static inline bool cast_ref_if_alive(cast_object *o) {
  uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
  while (refs != 0)
    if (atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs + 1,
          memory_order_relaxed, memory_order_relaxed))
      return true;
  return false;
}

/* Drops a reference without freeing the object: was it the last one? */
static inline bool cast_unref_last(cast_object *o) {
  /* PAIR refs: release what this holder did; the last one acquires all. */
  uint32_t old = atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel);
  CAST_ASSERT(old > 0);
  return old == 1;
}

static inline void cast_unref(cast_object *o) {
  if (cast_unref_last(o)) cast_object_end(o);
}

/* Called by a type's `release`: drops a reference. */
static inline void cast_unref_later(cast_object *o, cast_object **more) {
  if (!cast_unref_last(o)) return;
  if (o->type->release == NULL) {
    /* Freeing it does not recurse. A session is such an object: it may get new
       references after the last one was dropped, so it must not wait in a
       list. */
    o->type->free(o);
    return;
  }
  o->next = *more;
  *more = o;
}

#endif
