/* lib_monitor.c - the end of a task as a message.
   SPDX-License-Identifier: MIT

   A monitor is a watcher of a task's end, which sends a message then. The
   message is made beforehand, for the end of a task cannot fail, and says no
   more than "how this task has ended": the values are made of it where it is
   received, as by a join there (receive.c). So nothing is packed for a monitor,
   a receiver in the task's own session gets the very results, and a failure
   counts as joined once somebody has received it. The channel of a monitor
   anchors the handle of the task, which has these results: else they would go
   with the handle, and receivers get copies, which what moves has none of.
   What is written in Lua mostly wants to know that a task has ended, and no
   more: it gets a number (cast_lib_notice).

   Owner: a monitor with a channel of its own belongs to that channel, as a
   ticker does; it ends with the last handle of the channel. A monitor that
   sends into a channel of the program's, which many may share, belongs to the
   task, and has a strong reference to that channel until the task ends; or, if
   a sandbox has made it, until its session has closed: the task may be
   somebody else's, and go on for ever.
   Race R72 (DESIGN): the task and the channel end at once. */
#include "lib_monitor.h"

#include "../../../include/casting.h"
#include "../../account.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../event.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/crossing.h"
#include "../task/failure.h"
#include "../task/newtask.h"
#include "../task/outcome.h"
#include "../transfer/number.h"
#include "../transfer/wire.h"
#include "chanuse.h"
#include "lib_chan.h"

typedef struct monitor {
  cast_watcher watcher;  /* of the end; its waiter has the message to send */
  cast_ltask *task;      /* (i) one strong reference */
  cast_chan *chan;       /* (i) a strong reference only if it is not its own */
  bool own;              /* (i) the channel was made for it */
  cast_account *account; /* (i) a sandbox's, one reference; else NULL */
  cast_dependent
    dependent; /* of a sandbox's, with a channel of the program's */
} monitor;

/* -- its end -------------------------------------------------------------- */

/* With its message, where that is going to lie. */
#define MONITOR_BYTES (sizeof(monitor) + 2 * sizeof(cast_msg))

static void monitor_free(monitor *m, cast_object **more) {
  cast_account_release(m->account, MONITOR_BYTES);
  cast_msg_drop_later(&m->watcher.waiter.msg, more);
  cast_unref_later(&m->task->base.object, more);
  cast_free(m);
}

/* The last reference to its own channel is gone. If the task is just ending,
   monitor_claim finds that the channel has no reference left, and the monitor
   is not fired. It looks under the event's lock, which unwatch takes: when that
   returns, nobody uses the monitor. */
static void monitor_stop(cast_chan *c, cast_object **more) {
  monitor *m = c->owner;
  if (m == NULL) return;
  cast_event_unwatch(&m->task->base.done, &m->watcher);
  monitor_free(m, more);
}

static const cast_chan_kind monitor_chan = {.freed = monitor_stop};

/* Under the event's lock: takes a strong reference to the channel, unless that
   is ending. */
static bool monitor_claim(cast_watcher *w) {
  monitor *m = CAST_CONTAINER(w, monitor, watcher);
  return !m->own || cast_ref_if_alive(&m->chan->object);
}

/* The task has ended: sends the message. A channel of its own is closed then,
   as nothing else will come. */
static void monitor_fire(cast_watcher *w, cast_session *self) {
  monitor *m = CAST_CONTAINER(w, monitor, watcher);
  cast_chan *c = m->chan;
  cast_object *more = NULL;
  if (cast_chan_send_reserved(c, self, &w->waiter) != 0)
    cast_msg_drop(&w->waiter.msg);
  if (m->own)
    cast_chan_close(c, self); /* the channel frees m at its end */
  else if (m->account == NULL || cast_dependent_drop(&m->dependent))
    monitor_free(m, &more);
  cast_unref_later(&c->object, &more);
  cast_object_end_all(more);
}

/* The sandbox's session that has made it has closed. If the task is just
   ending, either this or monitor_fire is the last one to use the monitor. */
static void monitor_end(cast_dependent *d) {
  monitor *m = CAST_CONTAINER(d, monitor, dependent);
  cast_object *more = NULL;
  if (cast_event_unwatch(&m->task->base.done, &m->watcher)) {
    cast_chan_unreserve(m->chan);
    cast_unref_later(&m->chan->object, &more);
    monitor_free(m, &more);
  } else if (cast_dependent_drop(d)) {
    monitor_free(m, &more);
  }
  cast_object_end_all(more);
}

/* -- messages ------------------------------------------------------------- */

/* *m = a message of the task's outcome; before it the task's handle if `named`,
   for who receives of several tasks. */
static int write_message(cast_msg *m, cast_ltask *t, bool named) {
  uint32_t n = named ? 2 : 1;
  unsigned char *at;
  if (cast_msg_init(m, 1 + n, n) != 0) return CASTING_ENOMEM;
  for (uint32_t i = 0; i < n; i++)
    cast_msg_items(m)[i] = cast_ref(&t->base.object);
  at = cast_msg_data(m);
  *at++ = (unsigned char)(WIRE_MONITOR | n);
  if (named) *at++ = WIRE_HANDLE;
  *at = WIRE_OUTCOME;
  return 0;
}

bool cast_monitor_message(cast_msg *m, cast_ltask *t) {
  return write_message(m, t, true) == 0;
}

/* internal.disown(task): has a failure that was received reported nevertheless,
   like one that nobody joins: the receiver does not pass it on. */
int cast_lib_disown(lua_State *L) {
  cast_ltask *t = cast_ltask_check(L, 1);
  /* Relaxed: read when the report is due, as in failure.c. */
  atomic_store_explicit(&t->joined, false, memory_order_relaxed);
  return 0;
}

/* internal.own(task): a failure counts as joined, though nobody has received
   it: the caller passes it on in a way of its own. */
int cast_lib_own(lua_State *L) {
  cast_ltask *t = cast_ltask_check(L, 1);
  /* Relaxed: as above. */
  atomic_store_explicit(&t->joined, true, memory_order_relaxed);
  return 0;
}

/* internal.failure_text(task): the text of the error with which a task has
   failed; nil if it has not, or if there was no memory for the text. Nothing is
   rebuilt for that, and the failure does not count as joined. */
int cast_lib_failure_text(lua_State *L) {
  cast_ltask *t = cast_ltask_check(L, 1);
  if (!cast_event_is_set(&t->base.done) || cast_failed(t) == NULL) return 0;
  lua_pushstring(L, cast_failure_error(cast_failed(t)));
  return 1;
}

/* -- task:monitor ([channel]) --------------------------------------------- */

/* A channel that many monitors may send into: the end of a task cannot wait for
   a free place. */
static cast_chan *check_shared(lua_State *L, int i) {
  cast_chan *c = cast_chan_arg(L, i);
  cast_arg_check(L, c->capacity == CAST_UNBOUNDED, i,
    "the channel must be unbounded: casting.channel(math.huge)");
  return c;
}

/* The message of a monitor leads to its task. If a sandbox makes it, or has the
   task, that may lead to a channel of the program's in which the message is
   going to lie: see cast_chan_note_sent. False: out of memory. */
static bool note_sandbox(
  const cast_state *S, const cast_ltask *t, cast_chan *c) {
  cast_account *a = S->session.account;
  if (a == NULL) a = t->base.session->account;
  return a == NULL || cast_chan_adopt(c, a) == 0;
}

/* Makes the monitor of t that sends *msg, which it takes, into c: its `own`
   channel or the program's. Room for the message is reserved now, so that
   sending it takes no memory. */
static void monitor_make(lua_State *L, cast_state *S, cast_ltask *t,
  cast_chan *c, cast_msg *msg, bool own) {
  bool held = cast_account_hold(S->session.account, MONITOR_BYTES);
  monitor *m = held ? cast_calloc(sizeof *m) : NULL;
  if (m == NULL || cast_chan_reserve(c, &S->session) != 0) {
    cast_msg_drop(msg);
    cast_free(m);
    if (held) cast_account_release(S->session.account, MONITOR_BYTES);
    cast_raise_memory(L);
  }
  cast_msg_move(&m->watcher.waiter.msg, msg);
  m->account = S->session.account;
  m->watcher.claim = monitor_claim;
  m->watcher.fire = monitor_fire;
  m->own = own;
  m->task = cast_ref(&t->base.object);
  m->chan = c;
  if (own) {
    c->owner = m;
    c->kind = &monitor_chan;
    if (c->member != NULL) c->member->held = &t->base.object;
  } else {
    cast_ref(&c->object);
    m->dependent.end = monitor_end;
    if (m->account != NULL) cast_dependent_add(m->account, &m->dependent);
  }
  if (!cast_event_watch(&t->base.done, &m->watcher)) {
    if (own) cast_ref(&c->object); /* as monitor_claim */
    monitor_fire(&m->watcher, &S->session);
  }
}

/* task:monitor([channel]): returns the channel. */
int cast_lib_monitor(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_ltask_check(L, 1);
  bool own = lua_isnoneornil(L, 2);
  cast_chan *c;
  cast_msg m;
  lua_settop(L, 2);
  c = own ? cast_chan_push(L, 1) : check_shared(L, 2);
  if (own && t->base.session == &S->session) cast_ltask_anchor(L, 3, 1);
  /* The receiver may be in another session. */
  cast_ltask_cross(L, S, t, CAST_TOLD);
  if ((!own && !note_sandbox(S, t, c)) || write_message(&m, t, !own) != 0)
    cast_raise_memory(L);
  monitor_make(L, S, t, c, &m, own);
  return 1;
}

/* internal.notice(task [, channel, number]): the same for who wants to know
   that the task has ended, and no more. The message is the number, or 1 in a
   channel of its own: it can always be received, the results stay where they
   are, and a failure that nobody asks for is reported. */
int cast_lib_notice(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_ltask_check(L, 1);
  bool own = lua_isnoneornil(L, 2);
  cast_chan *c;
  cast_msg m;
  lua_settop(L, 3);
  if (own) {
    lua_pushinteger(L, 1);
    lua_replace(L, 3);
    c = cast_chan_push(L, 1);
  } else {
    c = check_shared(L, 2);
    lua_pushvalue(L, 2);
  }
  cast_arg_check(L, cast_number_pack(L, 3, &m), 3, "not a number");
  monitor_make(L, S, t, c, &m, own);
  return 1;
}
