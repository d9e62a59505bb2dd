/* ltask.c - what few tasks need, made when first needed.
   SPDX-License-Identifier: MIT */
#include "ltask.h"

#include "../../base.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../mem.h"
#include "../../types.h"

cast_extra *cast_extra_make(cast_ltask *t) {
  if (t->extra == NULL) t->extra = cast_calloc(sizeof *t->extra);
  return t->extra;
}

/* Others add tasks, but the owner alone removes them: so the list stays whole
   around t, and only the link to the next one is read under the lock. */
cast_ltask *cast_ltask_next(cast_session *s, cast_ltask *t) {
  cast_list *l = t == NULL ? &s->tasks : &t->base.link;
  cast_lock_take(&s->lock);
  l = l->next;
  cast_lock_drop(&s->lock);
  return l == &s->tasks ? NULL : CAST_CONTAINER(l, cast_ltask, base.link);
}
