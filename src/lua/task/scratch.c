/* scratch.c - the one message that a task may have at hand.
   SPDX-License-Identifier: MIT

   It is base.waiter.msg. What a task sends is packed there before the task
   waits, and if the send does not wait, it is all there is. An operation may
   leave a message there when an error ends it; the next one drops that.
   Owner: the task's session. */
#include "scratch.h"

#include "../../base.h"
#include "../../msg.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/pack.h"

/* For operations that do not wait. They work in finalizers, too, so they must
   not raise what the task has to meet. */
cast_ltask *cast_scratch(lua_State *L, cast_state *S) {
  cast_task *base = S->session.current;
  if (CAST_UNLIKELY(base == NULL)) {
    if (S->closing) cast_raise_closed(L);
    cast_misuse(L, "cannot be used here: not in a task");
  }
  if (!cast_msg_is_empty(&base->waiter.msg)) cast_msg_drop(&base->waiter.msg);
  cast_release_arg(cast_ltask_of(base));
  return cast_ltask_of(base);
}

void cast_unsend(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_extra *x = t->extra;
  cast_msg *m = &t->base.waiter.msg;
  if (!cast_msg_is_empty(m)) cast_pack_undo(S->packer, L, m);
  for (uint32_t i = 0; x != NULL && i < x->ncases; i++) {
    m = &x->cases[i].waiter.msg;
    if (x->cases[i].sending && !cast_msg_is_empty(m))
      cast_pack_undo(S->packer, L, m);
  }
}
