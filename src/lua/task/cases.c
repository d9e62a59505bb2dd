/* cases.c - the cases of a task's latest select.
   SPDX-License-Identifier: MIT

   See cases.h. */
#include "cases.h"

#include "../../account.h"
#include "../../base.h"
#include "../../io/descriptor.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../select.h"
#include "../state/ltask.h"

void cast_cases_drop(cast_ltask *t) {
  cast_extra *x = t->extra;
  if (CAST_LIKELY(x == NULL)) return;
  cast_cases_disown(x);
  for (uint32_t i = 0; i < x->ncases; i++)
    cast_msg_drop(&x->cases[i].waiter.msg);
  x->ncases = 0;
}

void cast_cases_free(cast_ltask *t) {
  cast_extra *x = t->extra;
  if (CAST_LIKELY(x == NULL || x->room == 0)) return;
  cast_cases_drop(t);
  cast_account_give(
    t->base.session->account, CAST_BYTES, x->room * sizeof *x->cases);
  cast_free(x->cases);
  x->cases = NULL;
  x->room = 0;
}

cast_extra *cast_cases_make(cast_ltask *t, uint32_t n) {
  cast_extra *x = cast_extra_make(t);
  if (x == NULL) return NULL;
  cast_cases_drop(t);
  if (n > x->room) {
    cast_account *a = t->base.session->account;
    size_t more = (n - x->room) * sizeof *x->cases;
    cast_case *cases;
    if (!cast_account_take(a, CAST_BYTES, more)) return NULL;
    cases = cast_realloc(x->cases, n * sizeof *cases);
    if (cases == NULL) {
      cast_account_give(a, CAST_BYTES, more);
      return NULL;
    }
    x->cases = cases;
    x->room = n;
  }
  if (n > 0) memset(x->cases, 0, n * sizeof *x->cases);
  x->ncases = n;
  return x;
}

bool cast_cases_own(cast_extra *x) {
  CAST_ASSERT(x->nfiles == 0);
  for (; x->nfiles < x->ncases; x->nfiles++) {
    cast_case *c = &x->cases[x->nfiles];
    if (c->object != NULL) {
      cast_ref(c->object);
    } else if (c->numbered) {
      c->file = cast_descriptor_borrow(c->fd);
      if (c->file != NULL)
        c->object = &c->file->object;
      else if (os_poll_now(c->fd, OS_READABLE) == OS_EBADF)
        c->ready = CAST_FILE_BAD; /* perhaps larger than any may be */
      else
        goto fail;
    }
  }
  return true;
fail:
  cast_cases_disown(x);
  return false;
}

void cast_cases_disown(cast_extra *x) {
  if (CAST_UNLIKELY(x->let_go != NULL)) x->let_go(x);
  x->let_go = NULL;
  for (; x->nfiles > 0; x->nfiles--) {
    cast_case *c = &x->cases[x->nfiles - 1];
    if (c->object != NULL) cast_unref(c->object);
    c->object = NULL;
    c->file = NULL;
  }
}
