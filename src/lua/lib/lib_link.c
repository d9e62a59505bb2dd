/* lib_link.c - tasks that share their fate.
   SPDX-License-Identifier: MIT

   A link stands among the watchers of both tasks' ends. The one that fails or
   is cancelled first cancels the other, with a reason that names it; what that
   takes is allocated when the link is made. A link is held by each side that
   is still queued or being fired. One that is followed is of the second side's
   end only: the children of a supervisor, should it have died.
   Race R73 (DESIGN): both ends at once. Whoever takes a side off its queue, by
   firing it or by cast_event_unwatch, and nobody else, drops its reference. */
#include "lib_link.h"

#include "../../base.h"
#include "../../event.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../task/failure.h"
#include "../task/newtask.h"

#include <stdio.h>

typedef struct side {
  cast_watcher watcher;
  cast_ltask *task;     /* (i) one reference */
  cast_request *cancel; /* of this side's task; taken by who fires the other */
} side;

typedef struct link {
  cast_object object; /* one reference for each side that is queued */
  side sides[2];
  bool followed; /* (i) the first side's end is nothing to the second */
} link;

/* -- telling the other ---------------------------------------------------- */

/* How a task that has ended did so, if it did not return. */
static bool describe(cast_ltask *t, char *text) {
  unsigned id = (unsigned)t->base.id;
  /* Relaxed: ordered by the event that is set. */
  unsigned how = atomic_load_explicit(&t->base.status, memory_order_relaxed);
  const char *why = "out of memory";
  if (how == CAST_FAILED && cast_failed(t) != NULL)
    why = cast_failure_error(cast_failed(t));
  if (how == CAST_FAILED)
    (void)snprintf(text, CAST_REASON_MAX, "linked task %u failed: %s", id, why);
  else if (how == CAST_CANCELLED && cast_cancel_reason(t).at != NULL)
    (void)snprintf(text, CAST_REASON_MAX, "linked task %u was cancelled: %s",
      id, cast_cancel_reason(t).at);
  else if (how == CAST_CANCELLED)
    (void)snprintf(text, CAST_REASON_MAX, "linked task %u was cancelled", id);
  return how == CAST_FAILED || how == CAST_CANCELLED;
}

/* The task of side i has ended: its partner is cancelled, if that is due.
   Once. */
static void tell(link *l, int i, cast_session *self) {
  side *from = &l->sides[i], *to = &l->sides[1 - i];
  cast_request *q = to->cancel;
  if (l->followed && i == 0) return;
  if (!describe(from->task, cast_cancel_text(q))) return;
  to->cancel = NULL;
  cast_cancel_send(q, to->task, self);
}

/* -- life of a link ------------------------------------------------------- */

static void link_release(cast_object *o, cast_object **more) {
  link *l = CAST_CONTAINER(o, link, object);
  for (int i = 0; i < 2; i++)
    cast_unref_later(&l->sides[i].task->base.object, more);
}

static void link_free(cast_object *o) {
  link *l = CAST_CONTAINER(o, link, object);
  cast_cancel_drop(l->sides[0].cancel);
  cast_cancel_drop(l->sides[1].cancel);
  cast_free(l);
}

static const cast_type link_type = {"link", link_free, link_release};

/* Which of a link's sides a watcher is. */
static link *link_of(cast_watcher *w, int *i) {
  side *s = CAST_CONTAINER(w, side, watcher);
  *i = (int)s->watcher.waiter.index;
  return CAST_CONTAINER(s - *i, link, sides[0]);
}

static bool link_claim(cast_watcher *w) {
  CAST_UNUSED(w);
  return true; /* the reference of the queue is now that of who fires it */
}

static bool take_off(link *l, int i) {
  side *s = &l->sides[i];
  return cast_event_unwatch(&s->task->base.done, &s->watcher);
}

static void link_fire(cast_watcher *w, cast_session *self) {
  int i;
  link *l = link_of(w, &i);
  tell(l, i, self);
  if (take_off(l, 1 - i)) cast_unref(&l->object);
  cast_unref(&l->object);
}

static link *new_link(cast_ltask *a, cast_ltask *b, bool followed) {
  link *l = cast_calloc(sizeof *l);
  if (l == NULL) return NULL;
  l->followed = followed;
  cast_object_init(&l->object, &link_type);
  cast_ref(&l->object); /* two sides */
  for (int i = 0; i < 2; i++) {
    l->sides[i].task = cast_ref(i == 0 ? &a->base.object : &b->base.object);
    l->sides[i].watcher.claim = link_claim;
    l->sides[i].watcher.fire = link_fire;
    l->sides[i].watcher.waiter.index = (uint32_t)i;
    l->sides[i].cancel = cast_cancel_prepare();
  }
  if (l->sides[0].cancel != NULL && l->sides[1].cancel != NULL) return l;
  cast_unref(&l->object);
  cast_unref(&l->object);
  return NULL;
}

/* -- task:link, task:unlink ----------------------------------------------- */

/* Under the event's lock: a link with the task `arg` gets one more reference,
   so that it is there when the lock is released. */
static bool leads_to(cast_watcher *w, void *arg) {
  link *l;
  int i;
  if (w->fire != link_fire) return false;
  l = link_of(w, &i);
  if (l->sides[1 - i].task != arg || l->followed) return false;
  cast_ref(&l->object);
  return true;
}

/* The link of a with b, with a reference for the caller; NULL: there is
   none. */
static link *find_link(cast_ltask *a, cast_ltask *b) {
  int i;
  cast_watcher *w = cast_event_seek(&a->base.done, leads_to, b);
  return w != NULL ? link_of(w, &i) : NULL;
}

/* The two tasks of a call: the second is the caller by default. */
static void check_pair(
  lua_State *L, cast_state *S, cast_ltask **a, cast_ltask **b) {
  *a = cast_ltask_check(L, 1);
  *b = cast_current(S);
  if (!lua_isnoneornil(L, 2)) *b = cast_ltask_check(L, 2);
  cast_arg_check(L, *b != NULL, 2, "task expected: the main program is none");
  cast_arg_check(L, *a != *b, 2, "a task cannot be linked to itself");
}

/* One of the two has ended: that acts as if they had been linked before. */
static int report_ended(lua_State *L, link *l, int i, cast_session *self) {
  tell(l, i, self);
  if (take_off(l, 1 - i)) cast_unref(&l->object);
  cast_unref(&l->object);
  lua_pushnil(L);
  lua_pushliteral(L, "noproc");
  return 2;
}

static int join_fates(
  lua_State *L, cast_state *S, cast_ltask *a, cast_ltask *b, bool followed) {
  link *l = new_link(a, b, followed);
  if (l == NULL) cast_raise_memory(L);
  for (int i = 0; i < 2; i++) {
    side *s = &l->sides[i];
    if (cast_event_watch(&s->task->base.done, &s->watcher)) continue;
    if (i == 0) cast_unref(&l->object); /* the other side is not queued */
    return report_ended(L, l, i, &S->session);
  }
  lua_pushboolean(L, 1);
  return 1;
}

int cast_lib_link(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *a, *b;
  link *l;
  check_pair(L, S, &a, &b);
  l = find_link(a, b);
  if (l != NULL) {
    cast_unref(&l->object);
    lua_pushboolean(L, 1);
    return 1;
  }
  return join_fates(L, S, a, b, false);
}

/* task: is cancelled when the caller fails. */
int cast_lib_follow(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *a, *b;
  check_pair(L, S, &a, &b);
  return join_fates(L, S, a, b, true);
}

int cast_lib_unlink(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *a, *b;
  link *l;
  check_pair(L, S, &a, &b);
  l = find_link(a, b);
  lua_pushboolean(L, l != NULL);
  if (l == NULL) return 1;
  for (int i = 0; i < 2; i++)
    if (take_off(l, i)) cast_unref(&l->object);
  cast_unref(&l->object);
  return 1;
}
