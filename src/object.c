/* object.c - the end of counted objects.
   SPDX-License-Identifier: MIT */
#include "object.h"

#include "fork.h"

/* In the child of a fork no object ends: that could need locks, and the exit of
   the child gives all memory back. */
void cast_object_end_all(cast_object *more) {
  cast_object *o;
  if (CAST_UNLIKELY(cast_forked)) return;
  while ((o = more) != NULL) {
    more = o->next;
    if (o->type->release != NULL) o->type->release(o, &more);
    o->type->free(o);
  }
}

void cast_object_end(cast_object *o) {
  o->next = NULL;
  cast_object_end_all(o);
}
