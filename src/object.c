/* object.c - the end of counted objects.
   SPDX-License-Identifier: MIT */
#include "object.h"

void cast_object_end(cast_object *o) {
  cast_object *more = NULL;
  for (;;) {
    if (o->type->release != NULL) o->type->release(o, &more);
    o->type->free(o);
    if (more == NULL) return;
    o = more;
    more = o->next;
  }
}
