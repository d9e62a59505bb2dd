/* chanuse.c - what all functions of channels need.
   SPDX-License-Identifier: MIT */
#include "chanuse.h"

#include "../../account.h"
#include "../../base.h"
#include "../../io/signals.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../state/handle.h"
#include "../task/newtask.h"
#include "../transfer/packed.h"

cast_chan *cast_chan_arg(lua_State *L, int i) {
  return CAST_CONTAINER(
    cast_handle_check(L, i, &cast_chan_type), cast_chan, object);
}

/* Is one of the objects something that may lead to a channel? */
static bool has_leads(cast_msg *m) {
  for (uint32_t i = 0; i < m->nrefs; i++) {
    const cast_object *o = cast_msg_items(m)[i];
    if (o != NULL &&
        (o->type == &cast_chan_type || o->type == &cast_task_type ||
          o->type == &cast_message_type))
      return true;
  }
  return false;
}

void cast_chan_note_sent(
  lua_State *L, const cast_state *S, cast_chan *c, cast_msg *m) {
  cast_account *a = S->session.account;
  if (CAST_LIKELY(a == NULL) || c->member != NULL || !has_leads(m)) return;
  if (cast_chan_adopt(c, a) != 0) cast_raise_memory(L);
}

/* The channel in whose queue a task waits; NULL: its wait has just been ended
   by somebody else. */
static const cast_chan *waits_for(const cast_ltask *t) {
  return t->base.waiter.lock == NULL
           ? NULL
           : CAST_CONTAINER(t->base.waiter.lock, cast_chan, lock);
}

static void describe_queue(
  cast_buffer *b, const cast_ltask *t, const char *verb) {
  const cast_chan *c = waits_for(t);
  cast_buffer_add(b, "waiting");
  if (c == NULL) return;
  cast_buffer_form(b, " to %s ", verb);
  if (!cast_signals_describe(b, c))
    cast_buffer_form(b, "channel: %p", (const void *)&c->object);
}

void cast_chan_describe_send(cast_buffer *b, const cast_ltask *t) {
  describe_queue(b, t, "send to");
}

void cast_chan_describe_receive(cast_buffer *b, const cast_ltask *t) {
  describe_queue(b, t, "receive from");
}
