/* fixed.c - bytecode that a Lua state uses where it lies.
   SPDX-License-Identifier: MIT

   Owner: the runner of the state; after the state's end, whoever has closed it.
   It is not the packer's, which goes before the last function does. */
#include "fixed.h"

#include "../../limits.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"

/* A state has few of them, so they are searched one by one. */
bool cast_fixed_keep(cast_fixed **f, cast_bytes *b) {
  cast_fixed *k = *f;
  for (uint32_t i = 0; k != NULL && i < k->n; i++)
    if (k->all[i] == b) return true;
  if (k == NULL) k = *f = cast_calloc(sizeof *k);
  if (k == NULL || k->n == CAST_FIXED_KEPT ||
      b->size > CAST_FIXED_BYTES - k->bytes)
    return false;
  cast_ref(&b->object);
  k->all[k->n++] = b;
  k->bytes += b->size;
  return true;
}

void cast_fixed_free(cast_fixed *f) {
  if (f == NULL) return;
  for (uint32_t i = 0; i < f->n; i++) cast_unref(&f->all[i]->object);
  cast_free(f);
}
