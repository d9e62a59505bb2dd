/* receive.c - the values of a message that a task has received.
   SPDX-License-Identifier: MIT

   A monitor sends nothing but "the outcome of this task" (WIRE_OUTCOME), since
   the results themselves would have to be packed for each monitor. The outcome
   becomes values here, by the same function as for a join. All other messages
   are rebuilt (rebuild.c). */
#include "receive.h"

#include "../../base.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/number.h"
#include "../transfer/wire.h"
#include "newtask.h"
#include "outcome.h"
#include "rebuild.h"

/* Is it a monitor's message? Its header says so, which no program can write.
   The references are the task, and another time the task if its handle is among
   the values; that they are is looked at all the same. */
static bool is_outcome(cast_msg *m) {
  cast_object **items;
  const unsigned char *at;
  if (CAST_LIKELY(m->nrefs == 0)) return false;
  at = cast_msg_data(m);
  if (CAST_LIKELY((*at & WIRE_MONITOR) != WIRE_MONITOR)) return false;
  if (m->nrefs > 2 || m->size != 1 + m->nrefs) return false;
  items = cast_msg_items(m);
  for (uint32_t i = 0; i < m->nrefs; i++)
    if (items[i] == NULL || items[i]->type != &cast_task_type) return false;
  return at[m->nrefs] == WIRE_OUTCOME;
}

/* Pushes the task's handle, if the message has it, and the outcome. */
static int push_outcome(
  lua_State *L, cast_state *S, cast_ltask *self, cast_msg *m) {
  cast_object *o = cast_msg_items(m)[0];
  int top = lua_gettop(L);
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  bool named = m->nrefs == 2;
  /* The handle anchors the task, also when it is none of the values. */
  cast_handle_push(L, o);
  cast_ltask_outcome(L, S, self, t);
  if (!named) lua_remove(L, top + 1);
  return lua_gettop(L) - top;
}

int cast_receive_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b;
  int n;
  if (CAST_LIKELY(cast_number_unpack(L, m))) return 1;
  if (CAST_LIKELY(!is_outcome(m))) return cast_rebuild_values(L, S, t, m);
  b = cast_rebuild_begin(L, S, t, m);
  n = push_outcome(L, S, t, &b->msg);
  cast_msg_drop(&b->msg);
  cast_rebuild_end(S, b);
  return n;
}
