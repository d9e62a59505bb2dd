/* scratch.c - the one message that a task may have at hand.
   SPDX-License-Identifier: MIT

   What it sends is packed there before it waits, or instead of that. */
#include "scratch.h"

#include "../../base.h"
#include "../../msg.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/pack.h"

/* The scratch of operations that do not wait: they work where tasks do not
   run, too, such as in finalizers. */
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
