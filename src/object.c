/* object.c - the end of counted objects.
   SPDX-License-Identifier: MIT */
#include "object.h"

void cast_object_end_all(cast_object *more) {
  cast_object *o;
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
