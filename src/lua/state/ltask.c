/* ltask.c - what few tasks need, the tasks of a session, and proofs.
   SPDX-License-Identifier: MIT

   Owner: the task's session. */
#include "ltask.h"

#include "../../account.h"
#include "../../base.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../mem.h"
#include "../../types.h"

cast_extra *cast_extra_make(cast_ltask *t) {
  cast_account *a = t->base.session->account;
  if (CAST_LIKELY(t->extra != NULL)) return t->extra;
  if (!cast_account_take(a, CAST_BYTES, sizeof *t->extra)) return NULL;
  t->extra = cast_calloc(sizeof *t->extra);
  if (t->extra == NULL) cast_account_give(a, CAST_BYTES, sizeof *t->extra);
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

void cast_ltask_prove(const cast_ltask *t) {
  const cast_extra *x = t->extra;
  bool waits = t->parked || t->selecting || t->owns_arg;
  CAST_ASSERT(t->stage <= CAST_STAGE_ENDED);
  CAST_ASSERT(CAST_HAS_CLOSE || t->stage != CAST_STAGE_CLOSING);
  CAST_ASSERT(!CAST_HAS_YIELDK || !(t->raising || t->last));
  /* A task that has not begun has done nothing; its end leaves no wait. */
  if (cast_ltask_is_new(t)) {
    CAST_ASSERT(!waits && !t->in_place && !t->limited && !t->loading);
    CAST_ASSERT(!t->raising && !t->last && !t->stored);
    CAST_ASSERT(t->crossing == CAST_CROSSES_NOTHING);
    CAST_ASSERT((t->stage == CAST_STAGE_PENDING) == (t->nstart > 0));
  }
  if (t->stage == CAST_STAGE_ENDED)
    CAST_ASSERT(!t->selecting && !t->owns_arg && !t->loading && t->co == NULL);
  else
    CAST_ASSERT(t->crossing == CAST_CROSSES_NOTHING && !t->told);
  CAST_ASSERT(!(t->parked && t->in_place));
  CAST_ASSERT(!t->parked || t->kind != NULL);
  CAST_ASSERT(!t->limited || x != NULL);
  CAST_ASSERT(!t->selecting || x != NULL);
  CAST_ASSERT(!t->owns_arg || t->arg != NULL);
}

bool cast_ltask_share(cast_ltask *t, uint8_t as) {
  /* PAIR share: with the end of the task, which keeps its results for its own
     session only if nobody has shared it before. */
  uint8_t now = atomic_load_explicit(&t->shared, memory_order_acquire);
  while (now < as)
    if (atomic_compare_exchange_weak_explicit(
          &t->shared, &now, as, memory_order_acq_rel, memory_order_acquire))
      return true;
  return now != CAST_KEPT;
}
