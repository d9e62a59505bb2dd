/* cancel.c - cancellations: the error, and asking for it.
   SPDX-License-Identifier: MIT

   The two first states of a request that a task ends are made here, asked and
   observed; scope.c has the diagram of all, and decides what comes of it.

   Any thread asks: it puts a reason into the task, which can be done once, and
   pushes a request into the inbox of the task's session. The owner of the
   session, served the request, sets base.cancelled and ends the wait. A task
   that computes keeps its session from its inbox; so the reason in the task is
   enough for the hook that stops such a task (cast_cancel_observe).

   To ask must not fail, since that is how programs end. Without memory for a
   request there is one post in each session, `cancel.post`, which has the owner
   look at all its tasks for reasons. The same post serves requests that are for
   all tasks: these stand in a list, `cancel.all_requests`.

   A reason is shared by the tasks that it was put into and by the request; each
   has a reference, and the text never changes.
   Invariants:
   1. t->reason is set once, by compare-exchange: the first reason counts. At
      the end of the task it is set to `ended`, if it was not set before.
   2. cancel.ncancelling is how many unfinished tasks have a reason, or less by
      one that ends just now. While it is more than 0 the watchdog is set. */
#include "cancel.h"

#include "../../../include/casting.h"
#include "../../account.h"
#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../select.h"
#include "../../session.h"
#include "../../task.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/single.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/module.h"
#include "budget.h"
#include "watchdog.h"

/* In the registry: the metatable of cancellation errors. */
static const char cancel_key = 0;

/* -- the error ------------------------------------------------------------ */

/* "cancelled", or "cancelled: reason". */
static int cancel_tostring(lua_State *L) {
  lua_pushliteral(L, "cancelled");
  if (!lua_istable(L, 1)) return 1;
  lua_getfield(L, 1, "reason");
  if (lua_isnil(L, -1)) return lua_pop(L, 1), 1;
  if (!lua_isstring(L, -1)) (void)cast_lua_describe(L, -1); /* pushed */
  lua_pushliteral(L, "cancelled: ");
  lua_insert(L, -2);
  lua_concat(L, 2);
  return 1;
}

/* The metatable of cancellation errors. The module has it as casting.cancelled,
   so that an error that crosses finds that of the other session by its name. */
static void make_cancel_meta(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, cancel_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "casting.cancelled");
  lua_setfield(L, -2, "__name");
}

/* The name is given by the module, which must have been made for that: a task
   may meet an error before its session has required casting. */
static void push_cancel_meta(lua_State *L) {
  if (cast_single_push(L, &cancel_key, make_cancel_meta, NULL))
    cast_module_need(L); /* which gives it its name */
}

/* The program has the metatable. In a sandbox it must not get finalizers that
   way, which setmetatable refuses there (restrict.c). */
void cast_cancel_push(lua_State *L, cast_chars reason) {
  const cast_state *S = cast_state_find(L);
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, 0, 1);
  if (reason.at != NULL) {
    lua_pushlstring(L, reason.at, reason.size);
    lua_setfield(L, -2, "reason");
  }
  push_cancel_meta(L);
  if (S != NULL && S->sandbox != NULL)
    cast_finalizer_skip(L, -2);
  else
    lua_setmetatable(L, -2);
}

void cast_cancel_push_of(lua_State *L, cast_ltask *t) {
  cast_state *S = cast_state_of(t->base.session);
  if (cast_budget_is_over(S))
    cast_budget_push(L, S);
  else
    cast_cancel_push(L, cast_cancel_reason(t));
}

bool cast_cancel_is_error(lua_State *L, int i) {
  bool is;
  if (!lua_istable(L, i) || !lua_getmetatable(L, i)) return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &cancel_key);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

/* -- reasons -------------------------------------------------------------- */

struct cast_reason {
  cast_object object;
  cast_chars text; /* (i) NULL: none was given */
  bool fixed;      /* (i) one of those below: never freed, so not counted */
  char own[];      /* where `text` lies, unless it is a fixed one's */
};

static void reason_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, cast_reason, object));
}

static const cast_type reason_type = {"reason", reason_free, NULL};

static cast_reason *ref_reason(cast_reason *r) {
  cast_ref(&r->object);
  return r;
}

/* One reference for the caller. NULL: out of memory. */
static cast_reason *empty_reason(size_t room) {
  cast_reason *r = cast_calloc(sizeof *r + room);
  if (r != NULL) cast_object_init(&r->object, &reason_type);
  return r;
}

/* A reason with a copy of that text. As empty_reason. */
static cast_reason *new_reason(cast_chars text) {
  cast_reason *r = empty_reason(text.size);
  if (r == NULL || text.at == NULL) return r;
  memcpy(r->own, text.at, text.size);
  r->text = (cast_chars){r->own, text.size};
  return r;
}

#define FIXED(...) \
  { {.type = &reason_type, .refs = 1}, __VA_ARGS__, true }

#define FIXED_TEXT(s) FIXED({s, sizeof(s) - 1})

/* The reason of all tasks when their session closes. */
static cast_reason session_closes = FIXED_TEXT("the session closes");

/* The same when the host, whose session it is, ends. */
static cast_reason program_ends = FIXED_TEXT("the program ends");

/* Stands for a reason that was given, but for which there was no memory. */
static cast_reason unexplained = FIXED({NULL, 0});

/* Of tasks that have ended uncancelled (invariant 1). */
static cast_reason ended = FIXED({NULL, 0});

bool cast_cancel_is_requested(cast_ltask *t) {
  /* PAIR reason: acquire its text. */
  return atomic_load_explicit(&t->reason, memory_order_acquire) != NULL;
}

cast_chars cast_cancel_reason(cast_ltask *t) {
  /* PAIR reason: acquire. */
  cast_reason *r = atomic_load_explicit(&t->reason, memory_order_acquire);
  return r != NULL ? r->text : (cast_chars){NULL, 0};
}

size_t cast_cancel_bytes(const cast_ltask *t) {
  /* PAIR reason: acquire. */
  cast_reason *r = atomic_load_explicit(&t->reason, memory_order_acquire);
  return r != NULL && !r->fixed ? sizeof *r + r->text.size : 0;
}

void cast_cancel_forget(cast_ltask *t) {
  /* PAIR reason: acquire; nobody else has the task any more. */
  cast_reason *r = atomic_load_explicit(&t->reason, memory_order_acquire);
  if (r != NULL && !r->fixed) cast_unref(&r->object);
}

/* Makes r the reason of t, and returns true, if it has none (invariant 1). */
static bool put_reason(cast_ltask *t, cast_reason *r) {
  cast_reason *none = NULL;
  if (!r->fixed) cast_ref(&r->object);
  /* PAIR reason: release the text. */
  if (atomic_compare_exchange_strong_explicit(
        &t->reason, &none, r, memory_order_acq_rel, memory_order_acquire))
    return true;
  if (!r->fixed) cast_unref(&r->object);
  return false;
}

/* Asks that t ends: the caller sees to it that the owner is told. The watchdog
   is set as well, should t compute on. */
static void request_cancel(cast_ltask *t, cast_reason *r) {
  cast_state *S = cast_state_of(t->base.session);
  uint64_t now;
  if (!put_reason(t, r)) return;
  /* Relaxed: the watchdog, set after it, reads it under the timers' lock. */
  atomic_fetch_add_explicit(&S->cancel.ncancelling, 1, memory_order_relaxed);
  now = os_now();
  cast_watchdog_set(S, now + CAST_STOP_NS, now);
}

void cast_cancel_end(cast_ltask *t) {
  cast_state *S = cast_state_of(t->base.session);
  /* Relaxed: a count. The thread that has put the reason may count it only
     after this; until then the count is too low, by this task. */
  if (!put_reason(t, &ended))
    atomic_fetch_sub_explicit(&S->cancel.ncancelling, 1, memory_order_relaxed);
}

/* -- asking --------------------------------------------------------------- */

/* A request that one task ends, in its session's inbox; or (`task` is NULL)
   that all tasks end, in the list `cancel.all_requests`. */
typedef struct cast_request {
  cast_post post;        /* its link in either */
  cast_ltask *task;      /* one reference */
  cast_reason *reason;   /* one reference */
  cast_account *account; /* (i) of the sandbox that asks, one reference */
  size_t charged;        /* (i) to that */
} request;

static void free_request(request *q) {
  cast_unref(&q->reason->object);
  cast_account_release(q->account, q->charged);
  cast_free(q);
}

/* Asks for the end of all tasks, and observes that at once. */
static void cancel_all(cast_session *s, cast_reason *r) {
  cast_ltask *t = NULL;
  while ((t = cast_ltask_next(s, t)) != NULL) {
    request_cancel(t, r);
    cast_task_cancel(&t->base);
  }
}

/* Serves a request, and frees it. closed: there are no tasks any more. */
static void on_request(cast_session *s, cast_post *p, bool closed) {
  request *q = CAST_CONTAINER(p, request, post);
  CAST_UNUSED(s);
  if (!closed) cast_task_cancel(&q->task->base);
  cast_unref(&q->task->base.object);
  free_request(q);
}

/* Takes the reference to r over. The session that asks may be a sandbox, which
   is charged: requests pile up while the other one computes. NULL: out of
   memory, as is r == NULL. */
static request *new_request(cast_reason *r, const cast_session *self) {
  cast_account *a = self != NULL ? self->account : NULL;
  size_t bytes = sizeof(request) + sizeof *r + (r != NULL ? r->text.size : 0);
  request *q = NULL;
  if (r != NULL && cast_account_hold(a, bytes)) {
    q = cast_calloc(sizeof *q);
    if (q == NULL) cast_account_release(a, bytes);
  }
  if (q == NULL) {
    if (r != NULL) cast_unref(&r->object);
    return NULL;
  }
  q->reason = r;
  q->post.run = on_request;
  q->account = a;
  q->charged = bytes;
  return q;
}

/* A reason that a sandbox gives is cut: each task may have one. */
static cast_chars cut_reason(cast_chars reason, const cast_session *self) {
  if (self != NULL && self->account != NULL && reason.size > CAST_REASON_MAX)
    reason.size = CAST_REASON_MAX;
  return reason;
}

/* Has s serve the request q for t, at once if the caller runs s. */
static void send_request(
  cast_session *s, cast_session *self, cast_ltask *t, request *q) {
  q->task = cast_ref(&t->base.object);
  request_cancel(t, q->reason);
  if (s == self)
    on_request(s, &q->post, false);
  else if (!cast_session_push(s, self, &q->post))
    on_request(s, &q->post, true);
}

/* Owner: serves the requests that are for all tasks, oldest first. The hook of
   a task that computes calls this too, since such a task keeps the post that
   would serve them waiting. */
static void cancel_all_requests(cast_state *S, bool closed) {
  /* PAIR all_requests: acquire the requests. */
  cast_post *newest = atomic_exchange_explicit(
    &S->cancel.all_requests, NULL, memory_order_acquire);
  cast_post *p = NULL;
  while (newest != NULL) { /* the first reason counts */
    cast_post *older = newest->next;
    newest->next = p;
    p = newest;
    newest = older;
  }
  while (p != NULL) {
    request *q = CAST_CONTAINER(p, request, post);
    p = p->next;
    if (!closed) cancel_all(&S->session, q->reason);
    free_request(q);
  }
}

/* A session of the pool closes; a host closes because its program ends. */
static cast_reason *closing_reason(const cast_session *s) {
  return s->runner->worker != NULL ? &session_closes : &program_ends;
}

void cast_cancel_observe(cast_ltask *t) {
  cast_state *S = cast_state_of(t->base.session);
  if (cast_cancel_has_requests(S)) cancel_all_requests(S, false);
  if (t->base.cancelled) return;
  /* Relaxed: asked again. */
  if (atomic_load_explicit(&S->close.posted, memory_order_relaxed))
    request_cancel(t, closing_reason(&S->session));
  if (cast_cancel_is_requested(t)) cast_task_cancel(&t->base);
}

void cast_cancel_fini(cast_state *S) { cancel_all_requests(S, true); }

/* The owner looks at all its tasks, because there was no memory for a request,
   or because one is for all of them. */
static void scan_tasks(cast_session *s, cast_post *p, bool closed) {
  cast_ltask *t = NULL;
  CAST_UNUSED(p);
  /* PAIR posted: acquire the reasons to be found; release the post. */
  atomic_exchange_explicit(
    &cast_state_of(s)->cancel.posted, false, memory_order_acq_rel);
  cancel_all_requests(cast_state_of(s), closed);
  if (closed) return;
  while ((t = cast_ltask_next(s, t)) != NULL) cast_cancel_observe(t);
}

/* Has the owner look at all its tasks: never fails, the post is the
   session's. */
static void post_scan(cast_session *s, cast_session *self) {
  cast_state *S = cast_state_of(s);
  /* PAIR posted: release the reason; acquire: the owner is done with the
     post. */
  if (atomic_exchange_explicit(&S->cancel.posted, true, memory_order_acq_rel))
    return;
  S->cancel.post.run = scan_tasks;
  cast_session_push(s, self, &S->cancel.post);
}

void cast_cancel_look(cast_state *S, cast_session *self) {
  post_scan(&S->session, self);
}

/* A session that cancels its own tasks needs no request. */
void cast_ltask_cancel(cast_ltask *t, cast_session *self, cast_chars reason) {
  cast_reason *r = new_reason(cut_reason(reason, self));
  cast_session *s = t->base.session;
  request *q = NULL;
  if (r != NULL && s != self) q = new_request(ref_reason(r), self);
  if (q != NULL) {
    send_request(s, self, t, q);
  } else {
    request_cancel(t, r != NULL ? r : &unexplained);
    if (s == self)
      cast_task_cancel(&t->base);
    else
      post_scan(s, self);
  }
  if (r != NULL) cast_unref(&r->object);
}

/* The tasks that are meant are those that the session has when it serves the
   request, so no reason can be put into them before that. */
int cast_state_cancel(cast_state *S, cast_session *self, cast_chars reason) {
  request *q = new_request(new_reason(cut_reason(reason, self)), self);
  uint64_t now;
  if (q == NULL) return CASTING_ENOMEM;
  q->post.next =
    atomic_load_explicit(&S->cancel.all_requests, memory_order_relaxed);
  /* PAIR all_requests: release the request. */
  while (!atomic_compare_exchange_weak_explicit(&S->cancel.all_requests,
    &q->post.next, &q->post, memory_order_release, memory_order_relaxed))
    continue;
  if (&S->session == self) {
    cancel_all_requests(S, false);
    return 0;
  }
  post_scan(&S->session, self);
  now = os_now();
  cast_watchdog_set(S, now + CAST_STOP_NS, now);
  return 0;
}

/* -- asking later --------------------------------------------------------- */

cast_request *cast_cancel_prepare(void) {
  return new_request(empty_reason(CAST_REASON_MAX), NULL);
}

char *cast_cancel_text(cast_request *q) { return q->reason->own; }

void cast_cancel_send(cast_request *q, cast_ltask *t, cast_session *self) {
  q->reason->text = cast_chars_of(q->reason->own);
  send_request(t->base.session, self, t, q);
}

void cast_cancel_drop(cast_request *q) {
  if (q != NULL) free_request(q);
}

void cast_cancel_close(cast_session *s) {
  cast_reason *r = closing_reason(s);
  cast_ltask *t = NULL;
  cast_task_cancel_all(s);
  while ((t = cast_ltask_next(s, t)) != NULL) request_cancel(t, r);
}

/* Takes the wait of t off all queues without ending it: t never goes on. A wait
   that has fired is off its queue, but for the other cases of a select. */
static void abandon(cast_ltask *t) {
  bool claimed = cast_wait_claim_own(&t->base);
  if (t->selecting) cast_select_done(t->extra->cases, t->extra->ncases);
  t->selecting = false;
  if (claimed) cast_wait_done(&t->base);
}

void cast_cancel_abandon(cast_state *S) {
  cast_ltask *t = NULL;
  while ((t = cast_ltask_next(&S->session, t)) != NULL) abandon(t);
  abandon(S->main);
}
