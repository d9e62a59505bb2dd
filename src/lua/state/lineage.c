/* lineage.c - the modules whose loading has led to a session.
   SPDX-License-Identifier: MIT

   A module may make sessions while it is loaded, and these may require it, so
   that it is loaded again there, and makes sessions again: without end, if
   nothing stops that. A program whose file has the name of a module does it by
   mistake.

   So each session has a lineage: the loads of modules during which it was made,
   and those during which the sessions were made that have led to it. A task
   that loads a module makes sessions of another lineage than its own session's,
   one longer by that load, and so do the tasks that it spawns meanwhile. For
   each module, the sessions that were made below the first load of it are
   counted, as long as they live; task_lineage.c refuses too many.

   A lineage is a list that begins with the latest load. It is counted, shared
   by the sessions of that load, in any thread, and fixed except for the
   count. */
#include "lineage.h"

#include "../../base.h"
#include "../../mem.h"
#include "../../object.h"
#include "state.h"

cast_lineage *cast_lineage_ref(cast_lineage *l) {
  if (l != NULL) cast_ref(&l->object);
  return l;
}

void cast_lineage_drop(cast_lineage *l) {
  if (l != NULL) cast_unref(&l->object);
}

void cast_lineage_drop_later(cast_lineage *l, cast_object **more) {
  if (l != NULL) cast_unref_later(&l->object, more);
}

static void lineage_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, cast_lineage, object));
}

static void lineage_release(cast_object *o, cast_object **more) {
  cast_lineage *l = CAST_CONTAINER(o, cast_lineage, object);
  cast_lineage_drop_later(l->parent, more);
}

static const cast_type lineage_type = {
  "lineage", lineage_free, lineage_release};

cast_lineage *cast_lineage_new(cast_lineage *parent, const char *name) {
  size_t size = strlen(name) + 1;
  cast_lineage *l = cast_calloc(sizeof *l + size);
  if (l == NULL) return NULL;
  cast_object_init(&l->object, &lineage_type);
  memcpy(l->name, name, size);
  l->parent = cast_lineage_ref(parent);
  l->first = l;
  for (; parent != NULL; parent = parent->parent)
    if (strcmp(parent->name, name) == 0) l->first = parent;
  return l;
}

/* The count is of the first load, which all of that module below it share. */
bool cast_lineage_count(const cast_state *S, cast_lineage *l) {
  if (!cast_lineage_must_count(S, l)) return false;
  /* Relaxed: a count. */
  atomic_fetch_add_explicit(&l->first->again, 1, memory_order_relaxed);
  return true;
}

void cast_lineage_uncount(cast_lineage *l) {
  /* Relaxed: a count. */
  atomic_fetch_sub_explicit(&l->first->again, 1, memory_order_relaxed);
}
