/* lib_monitor.c - the end of a task as a message.
   SPDX-License-Identifier: MIT

   A monitor stands among the watchers of a task's end. The message that it
   will send is made beforehand, and says no more than "how this task ended":
   values become of it where it is received, as those of a join there. So
   nothing is packed for it, a receiver in the task's own session gets the very
   values, and a failure counts as told once somebody has received it.

   A monitor's own channel owns it, as a ticker's does: dropping the channel
   ends it. One that sends into a channel of the user's, which many may share,
   holds a reference to that channel until the task ends.
   Race R72 (DESIGN): the end of the task against that of the channel. */
#include "lib_monitor.h"

#include "../../../include/casting.h"
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
#include "../task/newtask.h"
#include "../task/outcome.h"
#include "../transfer/wire.h"
#include "lib_chan.h"

typedef struct monitor {
  cast_watcher watcher; /* its msg is what is to be sent */
  cast_ltask *task;     /* (i) one reference */
  cast_chan *chan;      /* (i) its own: no reference; else one */
  bool own;             /* (i) */
} monitor;

/* -- its end -------------------------------------------------------------- */

static void monitor_free(monitor *m, cast_object **more) {
  cast_msg_drop_later(&m->watcher.waiter.msg, more);
  cast_unref_later(&m->task->base.object, more);
  cast_free(m);
}

/* The last handle of its channel went. If the task is just ending, its end
   finds no reference to take and does not touch the task's monitor any more: it
   holds the event's lock while it looks. */
static void monitor_stop(cast_chan *c, cast_object **more) {
  monitor *m = c->owner;
  if (m == NULL) return;
  cast_event_unwatch(&m->task->base.done, &m->watcher);
  monitor_free(m, more);
}

static bool monitor_claim(cast_watcher *w) {
  monitor *m = CAST_CONTAINER(w, monitor, watcher);
  return !m->own || cast_ref_if_alive(&m->chan->object);
}

static void monitor_fire(cast_watcher *w, cast_session *self) {
  monitor *m = CAST_CONTAINER(w, monitor, watcher);
  cast_chan *c = m->chan;
  cast_object *more = NULL;
  if (cast_chan_send_reserved(c, self, &w->waiter) != 0)
    cast_msg_drop(&w->waiter.msg);
  if (m->own)
    cast_chan_close(c, self); /* and the channel frees it */
  else
    monitor_free(m, &more);
  cast_unref_later(&c->object, &more);
  cast_object_end_all(more);
}

/* -- messages ------------------------------------------------------------- */

/* [the task's handle,] its outcome. */
static int write_message(cast_msg *m, cast_ltask *t, bool named) {
  uint32_t n = named ? 2 : 1;
  unsigned char *at;
  if (cast_msg_init(m, 1 + n, n) != 0) return CASTING_ENOMEM;
  for (uint32_t i = 0; i < n; i++)
    cast_msg_items(m)[i] = cast_ref(&t->base.object);
  at = cast_msg_data(m);
  *at++ = (unsigned char)n;
  if (named) *at++ = WIRE_HANDLE;
  *at = WIRE_OUTCOME;
  return 0;
}

/* internal.disown(task): a failure that was received is reported nevertheless,
   as one that nobody has. */
int cast_lib_disown(lua_State *L) {
  cast_ltask *t = cast_ltask_check(L, 1);
  /* Relaxed: read when the report is due, as in failure.c. */
  atomic_store_explicit(&t->joined, false, memory_order_relaxed);
  return 0;
}

/* -- task:monitor ([channel]) --------------------------------------------- */

static cast_chan *check_shared(lua_State *L, int i) {
  cast_chan *c = cast_chan_arg(L, i);
  cast_arg_check(L, c->capacity == CAST_UNBOUNDED, i,
    "the channel must be unbounded: casting.channel(math.huge)");
  return c;
}

int cast_lib_monitor(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_ltask_check(L, 1);
  bool own = lua_isnoneornil(L, 2);
  cast_chan *c;
  monitor *m;
  lua_settop(L, 2);
  c = own ? cast_chan_push(L, 1) : check_shared(L, 2);
  cast_ltask_cross(L, S, t); /* whoever receives may be elsewhere */
  m = cast_calloc(sizeof *m);
  if (m == NULL) cast_raise_memory(L);
  if (write_message(&m->watcher.waiter.msg, t, !own) != 0 ||
      cast_chan_reserve(c) != 0) {
    cast_msg_drop(&m->watcher.waiter.msg);
    cast_free(m);
    cast_raise_memory(L);
  }
  m->watcher.claim = monitor_claim;
  m->watcher.fire = monitor_fire;
  m->own = own;
  m->task = cast_ref(&t->base.object);
  m->chan = c;
  if (own) {
    c->owner = m;
    c->on_free = monitor_stop;
  } else {
    cast_ref(&c->object);
  }
  if (!cast_event_watch(&t->base.done, &m->watcher)) {
    if (own) cast_ref(&c->object); /* as monitor_claim */
    monitor_fire(&m->watcher, &S->session);
  }
  return 1;
}
