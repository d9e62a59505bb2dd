/* object.h - reference-counted objects that several threads may hold.
   SPDX-License-Identifier: MIT

   First member of channels, tasks, sessions and shared strings. A holder of a
   reference may use the object from any thread; the last one frees it. */
#ifndef CAST_OBJECT_H
#define CAST_OBJECT_H

#include "base.h"

typedef struct cast_object cast_object;

typedef struct cast_type {
  const char *name;            /* for error messages: "channel" */
  void (*free)(cast_object *); /* called once, with no references left */
} cast_type;

struct cast_object {
  const cast_type *type; /* (i) */
  _Atomic uint32_t refs; /* (a) */
};

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

static inline void cast_unref(cast_object *o) {
  /* PAIR refs: release what this holder did; the last one acquires all. */
  uint32_t old = atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel);
  CAST_ASSERT(old > 0);
  if (old == 1) o->type->free(o);
}

#endif
