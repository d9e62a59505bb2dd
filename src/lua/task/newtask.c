/* newtask.c - tasks of Lua: made, and freed.
   SPDX-License-Identifier: MIT

   A task is a counted object (object.h). References are handles, messages, the
   requests to cancel it, and its being unfinished. The last reference may go in
   any thread, so its end touches nothing of its session's but what others may
   touch: the memory that was lent is returned to the session's slabs by a
   list. */
#include "newtask.h"

#include "../../account.h"
#include "../../base.h"
#include "../../cycle.h"
#include "../../lock.h"
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

/* What is charged for a task: the struct, with what few tasks need, and with
   the reason that it was cancelled for, once it has ended (cast_ltask_left). */
static size_t bytes_of(const cast_ltask *t) {
  size_t bytes = sizeof *t;
  if (t->stage == CAST_STAGE_ENDED) bytes += cast_cancel_bytes(t);
  if (t->extra != NULL)
    bytes += sizeof *t->extra + t->extra->room * sizeof *t->extra->cases;
  return bytes;
}

/* The results of a task that has ended in a session that has closed: those of
   others may still change. */
bool cast_ltask_show(cast_object *o, cast_visit *v) {
  const cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  const cast_state *S = cast_state_of(t->base.session);
  /* PAIR gone: acquire what the session's owner has done. */
  if (!atomic_load_explicit(&S->gone, memory_order_acquire) ||
      t->stage != CAST_STAGE_ENDED)
    return false;
  cast_visit_msg(v, &t->base.waiter.msg);
  return cast_failed(t) != NULL && cast_failure_show(cast_failed(t), v);
}

bool cast_ltask_waits(cast_object *o) {
  const cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  return cast_failure_waits(cast_failed(t));
}

uint32_t cast_ltask_looks(cast_object *o) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  uint32_t looks;
  cast_lock_take(&t->base.done.lock);
  looks = t->looks;
  cast_lock_drop(&t->base.done.lock);
  return looks;
}

void cast_ltask_empty(cast_object *o, cast_msg *m) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  cast_lock_take(&t->base.done.lock);
  cast_msg_move(m, &t->base.waiter.msg);
  t->crossing = CAST_CROSSES_NOTHING;
  cast_lock_drop(&t->base.done.lock);
}

/* The memory of the session stays until the task's hold on it goes, last. */
static void ltask_free(cast_object *o) {
  cast_ltask *t = CAST_CONTAINER(o, cast_ltask, base.object);
  cast_session *s = t->base.session;
  CAST_CHECK(cast_ltask_prove(t));
  if (CAST_UNLIKELY(s->account != NULL && !t->uncharged))
    cast_account_give(s->account, CAST_BYTES, bytes_of(t));
  if (CAST_UNLIKELY(t->extra != NULL)) {
    if (t->extra->failure != NULL) cast_failure_free(t->extra->failure);
    if (t->extra->origin != NULL) cast_failure_unref(t->extra->origin);
    if (t->extra->member != NULL) cast_member_free(t->extra->member);
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

/* Charges the struct of a task: to its own session, which makes it, or that of
   another one. That one may be trusted: then nothing is refused. */
static bool charge(cast_session *home, bool asks) {
  if (asks)
    return cast_account_take(home->account, CAST_BYTES, sizeof(cast_ltask));
  cast_account_add(home->account, CAST_BYTES, sizeof(cast_ltask));
  return true;
}

cast_ltask *cast_ltask_make(cast_state *home, bool own) {
  cast_account *a = home->session.account;
  cast_ltask *t;
  if (CAST_UNLIKELY(a != NULL) && !charge(&home->session, own)) return NULL;
  t = own ? cast_slabs_lend(&home->memory.slabs, sizeof *t)
          : cast_alloc(sizeof *t);
  if (t == NULL) {
    cast_account_give(a, CAST_BYTES, sizeof *t);
    return NULL;
  }
  memset(t, 0, sizeof *t);
  t->from_slab = own;
  t->outside = a != NULL && !own;
  cast_task_init(&t->base, &home->session, &cast_task_type);
  t->anchor = LUA_NOREF;
  t->stage = CAST_STAGE_LOADED;
  return t;
}

/* A sandbox that makes one for another session, below it, is asked here. */
cast_ltask *cast_ltask_new(lua_State *L, cast_state *home, bool own) {
  cast_handle *h = cast_handle_new(L, &cast_task_type, sizeof(cast_ltask));
  if (CAST_UNLIKELY(home->session.account != NULL) &&
      cast_state_find(L)->session.account != NULL &&
      cast_account_left(home->session.account, CAST_BYTES) < sizeof(cast_ltask))
    cast_raise_memory(L);
  cast_ltask *t = cast_ltask_make(home, own);
  if (t == NULL) cast_raise_memory(L);
  if (CAST_UNLIKELY(t->outside) && cast_state_find(L)->session.account != NULL)
    t->outside = false;
  h->object = &t->base.object;
  cast_handle_note(L, h);
  return t;
}

/* Owner: a task that a trusted session has made in this sandbox is about to
   end. If nobody here has a handle of it, those who keep it are elsewhere, and
   when their collectors let go of it is not for the sandbox to say. */
static void let_go(cast_ltask *t) {
  cast_state *S = cast_state_of(t->base.session);
  if (cast_handle_find(S->work, &t->base.object)) {
    lua_pop(S->work, 1);
    return;
  }
  t->uncharged = true;
  cast_account_give(S->session.account, CAST_BYTES, bytes_of(t));
}

void cast_ltask_left(cast_ltask *t) {
  cast_account *a = t->base.session->account;
  cast_cases_free(t);
  if (CAST_LIKELY(a == NULL)) return;
  cast_account_add(a, CAST_BYTES, cast_cancel_bytes(t));
  if (t->outside) let_go(t);
}

cast_ltask *cast_ltask_check(lua_State *L, int i) {
  return CAST_CONTAINER(
    cast_handle_check(L, i, &cast_task_type), cast_ltask, base.object);
}
