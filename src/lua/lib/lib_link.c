/* lib_link.c - tasks that share their fate.
   SPDX-License-Identifier: MIT

   A link is a watcher of the ends of two tasks. The task that fails or is
   cancelled first cancels the other, with a reason that names it. The memory
   for that is allocated when the link is made, since the end of a task cannot
   fail. Of a link that is followed only the end of the second task counts: so
   the children of a supervisor end if that dies.

   Owner: the sides' watchers belong to the queues of the events; a link has one
   strong reference for each side that is queued or being fired. It is freed
   with the last of them, whatever became of the tasks.
   Race R73 (DESIGN): both tasks end at once. A side is taken off its queue
   once, by firing it or by cast_event_unwatch; who has done that drops the
   reference of that side, and nobody else does. */
#include "lib_link.h"

#include "../../account.h"
#include "../../base.h"
#include "../../event.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/ltask.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../task/failure.h"
#include "../task/newtask.h"

#include <stdio.h>

/* One of the two tasks. */
typedef struct side {
  cast_watcher watcher; /* of its end; (lock) of the event while queued */
  cast_ltask *task;     /* (i) one strong reference */
  cast_request *cancel; /* its cancellation; used by who fires the other side */
} side;

typedef struct link {
  cast_object object; /* a strong reference for each side that is queued */
  side sides[2];
  bool followed; /* (i) the first task's end does not concern the second */
  cast_account *account; /* (i) of the sandbox that made it, one reference */
} link;

/* -- telling the other ---------------------------------------------------- */

/* Writes how a task has ended into `text`, the reason for the other one. False:
   it has returned, and the other one is not concerned. */
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

/* The task of side i has ended: cancels the other one, if it is concerned.
   Called once for each side at most. */
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

/* With the requests, and their reasons. */
#define LINK_BYTES (sizeof(link) + 2 * ((size_t)128 + CAST_REASON_MAX))

static void link_free(cast_object *o) {
  link *l = CAST_CONTAINER(o, link, object);
  cast_cancel_drop(l->sides[0].cancel);
  cast_cancel_drop(l->sides[1].cancel);
  cast_account_release(l->account, LINK_BYTES);
  cast_free(l);
}

static const cast_type link_type = {"link", link_free, link_release};

/* The link of a watcher; *i is the side. */
static link *link_of(cast_watcher *w, int *i) {
  side *s = CAST_CONTAINER(w, side, watcher);
  *i = (int)s->watcher.waiter.index;
  return CAST_CONTAINER(s - *i, link, sides[0]);
}

static bool link_claim(cast_watcher *w) {
  CAST_UNUSED(w);
  return true; /* the queue's reference is passed on to who fires the side */
}

/* Takes side i off its queue. True: the caller has its reference now. */
static bool take_off(link *l, int i) {
  side *s = &l->sides[i];
  return cast_event_unwatch(&s->task->base.done, &s->watcher);
}

/* The task of that side has ended: the link is over, so the other side leaves
   its queue as well. */
static void link_fire(cast_watcher *w, cast_session *self) {
  int i;
  link *l = link_of(w, &i);
  tell(l, i, self);
  if (take_off(l, 1 - i)) cast_unref(&l->object);
  cast_unref(&l->object);
}

/* A link with two strong references, for its sides, which are not queued yet.
   NULL: out of memory. */
static link *new_link(
  cast_state *S, cast_ltask *a, cast_ltask *b, bool followed) {
  cast_account *account = S->session.account;
  link *l;
  if (!cast_account_hold(account, LINK_BYTES)) return NULL;
  l = cast_calloc(sizeof *l);
  if (l == NULL) {
    cast_account_release(account, LINK_BYTES);
    return NULL;
  }
  l->account = account;
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

/* Under the event's lock: is the watcher a link with the task `arg`? Then the
   caller gets a strong reference, so that the link still exists when the lock
   is released. */
static bool leads_to(cast_watcher *w, void *arg) {
  link *l;
  int i;
  if (w->fire != link_fire) return false;
  l = link_of(w, &i);
  if (l->sides[1 - i].task != arg || l->followed) return false;
  cast_ref(&l->object);
  return true;
}

/* The link between a and b, with a strong reference for the caller, or NULL. */
static link *find_link(cast_ltask *a, cast_ltask *b) {
  int i;
  cast_watcher *w = cast_event_seek(&a->base.done, leads_to, b);
  return w != NULL ? link_of(w, &i) : NULL;
}

/* The two tasks that a call is about: the second is the calling one if it is
   not given. */
static void check_pair(
  lua_State *L, cast_state *S, cast_ltask **a, cast_ltask **b) {
  *a = cast_ltask_check(L, 1);
  *b = cast_current(S);
  if (!lua_isnoneornil(L, 2)) *b = cast_ltask_check(L, 2);
  cast_arg_check(L, *b != NULL, 2, "task expected: the main program is none");
  cast_arg_check(L, *a != *b, 2, "a task cannot be linked to itself");
}

/* The task of side i had ended before the link: this acts as if it had been
   linked in time. Returns nil, "noproc". */
static int report_ended(lua_State *L, link *l, int i, cast_session *self) {
  tell(l, i, self);
  if (take_off(l, 1 - i)) cast_unref(&l->object);
  cast_unref(&l->object);
  lua_pushnil(L);
  lua_pushliteral(L, "noproc");
  return 2;
}

/* Links a and b, unless one of them has ended. */
static int join_fates(
  lua_State *L, cast_state *S, cast_ltask *a, cast_ltask *b, bool followed) {
  link *l = new_link(S, a, b, followed);
  if (l == NULL) cast_raise_memory(L);
  for (int i = 0; i < 2; i++) {
    side *s = &l->sides[i];
    if (cast_event_watch(&s->task->base.done, &s->watcher)) continue;
    if (i == 0) cast_unref(&l->object); /* side 1 was not queued yet */
    return report_ended(L, l, i, &S->session);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* task:link([other]). Tasks that are linked already stay so, with one link. */
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

/* internal.follow(task [, other]) */
int cast_lib_follow(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *a, *b;
  check_pair(L, S, &a, &b);
  cast_sandbox_check(L, S, cast_state_of(a->base.session), "follow");
  cast_sandbox_check(L, S, cast_state_of(b->base.session), "follow");
  return join_fates(L, S, a, b, true);
}

/* task:unlink([other]): returns whether there was a link. */
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
