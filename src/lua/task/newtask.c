/* newtask.c - tasks of Lua: made, and freed.
   SPDX-License-Identifier: MIT

   A task is a counted object (object.h). References are handles, messages, the
   requests to cancel it, and its being unfinished. The last reference may go in
   any thread, so its end touches nothing of its session's but what others may
   touch: the memory that was lent is returned to the session's slabs by a
   list. */
#include "newtask.h"

#include "../../base.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../session.h"
#include "../../slab.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/lineage.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "cases.h"
#include "failure.h"

/* The last reference goes: what ends with the task is put on the list
   `more`. */
static void ltask_release(cast_object *o, cast_object **more) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  cast_extra *x = t->extra;
  cast_msg_drop_later(&t->base.waiter.msg, more);
  if (CAST_LIKELY(x == NULL)) return;
  cast_cases_disown(x);
  for (uint32_t i = 0; i < x->ncases; i++)
    cast_msg_drop_later(&x->cases[i].waiter.msg, more);
  x->ncases = 0;
  cast_lineage_drop_later(x->lineage, more);
  if (x->failure != NULL) cast_failure_release(x->failure, more);
}

/* The memory of the session stays until the task's hold on it goes, last. */
static void ltask_free(cast_object *o) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  cast_session *s = t->base.session;
  CAST_CHECK(cast_ltask_prove(t));
  if (CAST_UNLIKELY(t->extra != NULL)) {
    if (t->extra->failure != NULL) cast_failure_free(t->extra->failure);
    if (t->extra->origin != NULL) cast_failure_unref(t->extra->origin);
    cast_free(t->extra->cases);
    cast_free(t->extra);
  }
  cast_cancel_forget(t);
  cast_release_arg(t);
  if (t->from_slab)
    cast_slabs_return(&cast_state_of(s)->memory.slabs, t, sizeof *t);
  else
    cast_free(t);
  cast_session_unref_weak(s);
}

const cast_type cast_task_type = {"task", ltask_free, ltask_release};

cast_ltask *cast_ltask_make(cast_state *home, bool own) {
  cast_ltask *t = own ? cast_slabs_lend(&home->memory.slabs, sizeof *t)
                      : cast_alloc(sizeof *t);
  if (t == NULL) return NULL;
  memset(t, 0, sizeof *t);
  t->from_slab = own;
  cast_task_init(&t->base, &home->session, &cast_task_type);
  t->anchor = LUA_NOREF;
  t->stage = CAST_STAGE_LOADED;
  return t;
}

cast_ltask *cast_ltask_new(lua_State *L, cast_state *home, bool own) {
  cast_handle *h = cast_handle_new(L, &cast_task_type, sizeof(cast_ltask));
  cast_ltask *t = cast_ltask_make(home, own);
  if (t == NULL) cast_raise_memory(L);
  h->object = &t->base.object;
  cast_handle_note(L, h);
  return t;
}

cast_ltask *cast_ltask_check(lua_State *L, int i) {
  return CAST_CONTAINER(
    cast_handle_check(L, i, &cast_task_type), cast_ltask, base.object);
}
