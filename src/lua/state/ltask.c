/* ltask.c - what few tasks need, made when first needed.
   SPDX-License-Identifier: MIT */
#include "ltask.h"

#include "../../mem.h"

cast_extra *cast_extra_make(cast_ltask *t) {
  if (t->extra == NULL) t->extra = cast_calloc(sizeof *t->extra);
  return t->extra;
}
