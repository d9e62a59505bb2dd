/* lineage.c - the modules whose loading has led to a session.
   SPDX-License-Identifier: MIT

   A module may make sessions while it is loaded, and these may require it, so
   that it is loaded again there, and makes sessions again: without end, if
   nothing stops it. A program whose file has the name of such a module does it
   by mistake. So a session knows in the course of which loads it was made, it
   and the sessions that have led to it: a task that loads a module makes
   sessions of another lineage than its own session's, and so do the tasks that
   it spawns meanwhile. For each module, the sessions made so below the first
   load of it are counted, as long as they live.

   A lineage is a list that begins with the latest load. It is shared by the
   sessions of that load, in any thread, and fixed but for the count. */
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
