/* failure.c - failures that nobody joins.
   SPDX-License-Identifier: MIT

   Each failed task has a record with its error and its traceback. The failure
   is reported once: when a second has passed, when the task's last reference
   goes, or when the last host ends; unless a task has received it by joining
   before that. The report goes to the channel of casting.on_error, or else to
   stderr.

   What goes to stderr, or to a host's own function, may block, and what goes
   into a channel takes as long as it is large. So the timer, which fires under
   a lock, sends an errand to the thread of errand.c, and so does any thread
   that has to write to stderr.

   Owner: `holders` counts what keeps a record; its task is one of them.
   Locks: `failures.lock` (CAST_RANK_LEAF) for the list and the channel.
   Invariants:
   1. f->msg belongs to the thread that has set f->reported, and to the record's
      end.
   2. A handle of the task itself may be in its error, so `msg`, a message with
      that error, has a reference to the task whose record has it: a circle. It
      is broken when the failure is reported; and if no timer will see to that,
      `msg` is given up at once. */
#include "failure.h"

#include "../../account.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../cycle.h"
#include "../../errand.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../lock.h"
#include "../../log.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../session.h"
#include "../../timer.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../transfer/pack.h"
#include "../transfer/wire.h"
#include "outcome.h"

#include <stdio.h>

struct cast_failure {
  cast_failure_texts texts; /* (i) into text; first: see failure.h */
  cast_timer timer;         /* fires when nobody has joined in time */
  cast_errand due;          /* of the timer; it has a reference to the task */
  cast_errand printing;     /* writes the report to stderr */
  uint64_t since_ns;        /* when `printing` was sent */
  cast_session *session;    /* (i) of the task; held while `printing` is sent */
  unsigned id;              /* (i) the task's number */
  _Atomic uint32_t holders; /* (a) the task, `printing` while it is sent, tasks
                               that have awaited the task (origin.c) */
  cast_list link;           /* (lock) in failures.all */
  cast_ltask *task;         /* (i) whose record this is; no reference */
  bool reported;            /* (lock) reported, or never to be */
  cast_msg msg;             /* {error =, traceback =}, packed (invariants 1, 2);
                               empty: the texts will do */
  cast_account *account;    /* (i) of a sandbox, one reference; else NULL */
  _Atomic size_t charged;   /* (a) to it; relaxed */
  char text[];              /* (i) error, traceback */
};

/* Of the process. */
static struct {
  cast_lock lock;
  cast_list all;             /* (lock) */
  bool ready;                /* (lock) the list is initialised */
  cast_chan *channel;        /* (lock) one reference, or NULL */
  cast_state *root;          /* (lock) the host that named it: compared only */
  _Atomic uint32_t printing; /* (a) errands that print one */
} failures = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* -- the message for casting.on_error ------------------------------------- */

typedef struct failure_msg {
  cast_state *S;
  cast_msg *msg;
} failure_msg;

/* Called with a failure_msg, the error and the traceback: all of
   cast_failure_pack that may raise. */
static int pack_failure_msg(lua_State *L) {
  const failure_msg *t = lua_touserdata(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "error");
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "traceback");
  cast_pack_as(t->S->packer, L, 4, 1, NULL, 0, CAST_PACK_TELL, t->msg);
  return 0;
}

void cast_failure_pack(lua_State *L, cast_state *S, int value, const char *text,
  int traceback, cast_msg *msg) {
  failure_msg t = {S, msg};
  int at = lua_gettop(L);
  bool ok = false;
  if (value != 0) value = lua_absindex(L, value);
  traceback = lua_absindex(L, traceback);
  lua_pushcfunction(L, pack_failure_msg);
  lua_pushstring(L, text);
  /* The error may not cross; then its text does. Without memory, or if what
     runs meanwhile wants to wait, the caller may try again. */
  for (int way = value != 0 ? 0 : 1; way < 2 && !ok; way++) {
    cast_msg_drop(msg);
    lua_pushvalue(L, at + 1);
    lua_pushlightuserdata(L, &t);
    lua_pushvalue(L, way == 0 ? value : at + 2);
    lua_pushvalue(L, traceback);
    ok = lua_pcall(L, 3, 0, 0) == LUA_OK;
    if (!ok && (S->protect.refused || cast_is_memory_error(L, -1)))
      lua_error(L);
    if (!ok) lua_pop(L, 1);
  }
  lua_settop(L, at);
}

/* A string as wire.h has it. */
static unsigned char *put_text(unsigned char *at, const char *text) {
  size_t size = strlen(text);
  *at++ = WIRE_STR32;
  at = wire_put_u32(at, (uint32_t)size);
  return wire_put(at, text, size);
}

/* The same message, of the texts alone and made without Lua: that had no memory
   for it when the task failed, or its state is gone. */
static bool pack_texts(const cast_failure *f, cast_msg *m) {
  static const char error[] = "error", traceback[] = "traceback";
  size_t size = 1 + 9 + 4 * 5 + sizeof error - 1 + sizeof traceback - 1 +
                strlen(f->texts.error) + strlen(f->texts.traceback);
  unsigned char *at;
  cast_charge *charge = NULL;
  if (f->account != NULL) {
    charge = cast_charge_new(f->account, size + 2 * sizeof *m);
    if (charge == NULL) return false;
  }
  if (size > UINT32_MAX ||
      cast_msg_init(m, (uint32_t)size, charge != NULL ? 1 : 0) != 0) {
    if (charge != NULL) cast_unref(&charge->object);
    return false;
  }
  if (charge != NULL) cast_msg_items(m)[0] = &charge->object;
  at = cast_msg_data(m);
  *at++ = 1;
  *at++ = WIRE_TABLE;
  at = wire_put_u32(wire_put_u32(at, 0), 2);
  at = put_text(put_text(at, error), f->texts.error);
  at = put_text(put_text(at, traceback), f->texts.traceback);
  CAST_ALWAYS(at == cast_msg_data(m) + m->size);
  return true;
}

/* A pair of a table: a key, and the next handle of the message. */
static unsigned char *put_handle(unsigned char *at, const char *key) {
  size_t size = strlen(key);
  *at++ = (unsigned char)(WIRE_STR + size);
  at = wire_put(at, key, size);
  *at++ = WIRE_HANDLE;
  return at;
}

/* The message for the channel: f->msg, with handles of the session and of the
   task put in. Not of the task if its last reference is just going, or if it
   has kept its error for its own session (cast_failure_has_channel was false
   then). The handles are put before all other pairs of the table, because what
   comes after these may refer to them by number (wire.h, 1 and 3). False: out
   of memory. */
static bool make_message(cast_failure *f, cast_msg *m) {
  static const char session[] = "session", task[] = "task";
  cast_session *s = f->session;
  bool alive = cast_ref_if_alive(&f->task->base.object);
  bool shared = alive && cast_ltask_share(f->task, CAST_TOLD);
  uint32_t more = shared ? 2 : 1, nrefs = f->msg.nrefs;
  uint32_t room = sizeof session + 1 + (shared ? sizeof task + 1 : 0), head;
  const unsigned char *from = cast_msg_data(&f->msg);
  cast_object **items = cast_msg_items(&f->msg), **to;
  unsigned char *at;
  memset(m, 0, sizeof *m);
  if (f->msg.size > UINT32_MAX - room ||
      cast_msg_init(m, f->msg.size + room, nrefs + more) != 0) {
    if (alive) cast_unref(&f->task->base.object);
    return false;
  }
  to = cast_msg_items(m);
  cast_session_handle(s);
  *to++ = &s->object;
  if (shared)
    *to++ = &f->task->base.object;
  else if (alive)
    cast_unref(&f->task->base.object);
  for (uint32_t i = 0; i < nrefs; i++) *to++ = cast_ref(items[i]);
  CAST_ASSERT((*from & (WIRE_COUNT | WIRE_PLAIN)) == 1);
  head = 1 + ((*from & WIRE_REFS) != 0 ? 4 : 0);
  CAST_ASSERT((from[head] & ~(unsigned)WIRE_REG) == WIRE_TABLE);
  at = wire_put(cast_msg_data(m), from, head + 5); /* tag, narr */
  *cast_msg_data(m) &= (unsigned char)~WIRE_TREE;
  at = wire_put_u32(at, wire_get_u32(from + head + 5) + more);
  head += 9;
  at = put_handle(at, session);
  if (shared) at = put_handle(at, task);
  at = wire_put(at, from + head, f->msg.size - head);
  CAST_ALWAYS(at == cast_msg_data(m) + m->size);
  return true;
}

/* Sends the report into the channel. False: it is full or closed, or there is
   no memory. */
static bool send_to(cast_chan *c, cast_failure *f) {
  cast_waiter w;
  int rc;
  memset(&w, 0, sizeof w);
  if (cast_msg_is_empty(&f->msg) && !pack_texts(f, &f->msg)) return false;
  if (!make_message(f, &w.msg)) return false;
  rc = cast_chan_send(c, NULL, NULL, &w);
  cast_msg_drop(&w.msg);
  return rc == 0;
}

bool cast_failure_has_channel(void) {
  bool heard;
  cast_lock_take(&failures.lock);
  heard = failures.channel != NULL;
  cast_lock_drop(&failures.lock);
  return heard;
}

/* With the two texts, each of which ends with a zero. */
static size_t record_bytes(const cast_failure *f) {
  return sizeof *f + strlen(f->texts.error) + strlen(f->texts.traceback) + 2;
}

cast_failure *cast_failure_ref(cast_failure *f) {
  /* Relaxed: the caller knows a holder. */
  atomic_fetch_add_explicit(&f->holders, 1, memory_order_relaxed);
  return f;
}

void cast_failure_unref(cast_failure *f) {
  /* PAIR refs: as with objects. */
  if (atomic_fetch_sub_explicit(&f->holders, 1, memory_order_acq_rel) != 1)
    return;
  cast_failure_taken(f);
  cast_account_unref(f->account);
  cast_free(f);
}

void cast_failure_taken(cast_failure *f) {
  /* Relaxed: a figure. */
  size_t bytes = atomic_exchange_explicit(&f->charged, 0, memory_order_relaxed);
  cast_account_give(f->account, CAST_BYTES, bytes);
}

/* Writes the report to stderr; cut if there is no memory. */
static void print(
  cast_session *s, unsigned id, const char *traceback, uint64_t since_ns) {
  const char *form = "casting: task %u of session '%s' failed: %s";
  const char *name = cast_state_of(s)->name;
  char here[512], *text = here;
  int size = snprintf(here, sizeof here, form, id, name, traceback);
  if (size >= (int)sizeof here) {
    text = cast_alloc((size_t)size + 1);
    if (text == NULL) {
      text = here;
      size = (int)sizeof here - 1;
    } else {
      (void)snprintf(text, (size_t)size + 1, form, id, name, traceback);
    }
  }
  if (size > 0) cast_log(text, (size_t)size, since_ns);
  if (text != here) cast_free(text);
}

void cast_failure_print(const cast_ltask *t, const char *traceback) {
  print(t->base.session, (unsigned)t->base.id, traceback, os_now());
}

/* On the thread of errands. */
static void on_print(cast_errand *e) {
  cast_failure *f = CAST_CONTAINER(e, cast_failure, printing);
  print(f->session, f->id, f->texts.traceback, f->since_ns);
  atomic_fetch_sub_explicit(&failures.printing, 1, memory_order_relaxed);
  cast_session_unref_weak(f->session);
  cast_failure_unref(f);
}

/* Has the report written to stderr. When too many wait for that, it is dropped,
   and only counted. */
static void print_later(cast_failure *f) {
  /* Relaxed: a bound on what waits, no more. */
  if (atomic_fetch_add_explicit(&failures.printing, 1, memory_order_relaxed) >=
      CAST_PRINTS_MAX) {
    atomic_fetch_sub_explicit(&failures.printing, 1, memory_order_relaxed);
    cast_log_lost(1);
    return;
  }
  (void)cast_failure_ref(f);
  cast_session_ref_weak(f->session);
  f->since_ns = os_now();
  cast_errand_send(&f->printing, on_print);
}

/* Reports the failure, unless that was done. No lock is held. What ends with
   the message is put on the list `more` (object.h). */
static void report(cast_failure *f, cast_object **more) {
  cast_sandbox *b = cast_state_of(f->session)->sandbox;
  cast_chan *c = NULL;
  bool first, wanted;
  cast_lock_take(&failures.lock);
  first = !f->reported;
  f->reported = true;
  /* Relaxed: what a task joins at the same moment may be reported as well. */
  wanted =
    first && !atomic_load_explicit(&f->task->joined, memory_order_relaxed);
  if (wanted && failures.channel != NULL)
    c = CAST_CONTAINER(cast_ref(&failures.channel->object), cast_chan, object);
  cast_lock_drop(&failures.lock);
  if (!first) return;
  if (wanted && b != NULL && !cast_sandbox_may_tell(b)) {
    cast_log_lost(1);
    wanted = false;
  }
  if (wanted && (c == NULL || !send_to(c, f))) print_later(f);
  if (c != NULL) cast_unref(&c->object);
  cast_msg_drop_later(&f->msg, more);
}

static void report_now(cast_failure *f) {
  cast_object *more = NULL;
  report(f, &more);
  cast_object_end_all(more);
}

/* Nothing can be reported under the timers' lock: what a report lets go of may
   need that lock. So the timer only takes a reference to the task, for the
   errand; if that is ending, its end reports the failure. */
static bool on_timer(cast_timer *t) {
  cast_failure *f = CAST_CONTAINER(t, cast_failure, timer);
  return cast_ref_if_alive(&f->task->base.object);
}

static void on_due(cast_errand *e) {
  cast_failure *f = CAST_CONTAINER(e, cast_failure, due);
  cast_ltask *task = f->task;
  report_now(f);
  cast_unref(&task->base.object);
}

static void after_timer(cast_timer *t) {
  cast_errand_send(&CAST_CONTAINER(t, cast_failure, timer)->due, on_due);
}

/* -- life of a record ----------------------------------------------------- */

/* The record cannot be refused to a sandbox: it is charged for it anyway. */
cast_failure *cast_failure_new(
  cast_ltask *t, const char *error, const char *traceback, cast_msg *msg) {
  cast_account *a = t->base.session->account;
  size_t charged;
  size_t esize = strlen(error), tsize = strlen(traceback);
  cast_failure *f = cast_calloc(sizeof *f + esize + tsize + 2);
  if (f == NULL) return NULL;
  memcpy(f->text, error, esize);
  memcpy(f->text + esize + 1, traceback, tsize);
  f->texts.error = f->text;
  f->texts.traceback = f->text + esize + 1;
  f->account = cast_account_ref(a);
  charged = a != NULL ? record_bytes(f) : 0;
  atomic_init(&f->charged, charged);
  cast_account_add(a, CAST_BYTES, charged);
  f->task = t;
  f->session = t->base.session;
  f->id = (unsigned)t->base.id;
  atomic_init(&f->holders, 1);
  f->timer.lane = cast_timer_lane(f->session->id);
  f->timer.fire = on_timer;
  f->timer.after = after_timer;
  cast_msg_move(&f->msg, msg);
  cast_lock_take(&failures.lock);
  if (!failures.ready) cast_list_init(&failures.all);
  failures.ready = true;
  cast_list_push(&failures.all, &f->link);
  cast_lock_drop(&failures.lock);
  /* Without memory for the timer the failure is reported when the last handle
     goes, and as texts (invariant 2). */
  if (cast_timer_set(&f->timer, os_now() + CAST_FAILURE_WAIT_NS) != 0) {
    cast_lock_take(&failures.lock);
    if (!f->reported) cast_msg_move(msg, &f->msg);
    cast_lock_drop(&failures.lock);
  }
  return f;
}

void cast_failure_release(cast_failure *f, cast_object **more) {
  cast_timer_remove(&f->timer);
  report(f, more);
}

void cast_failure_free(cast_failure *f) {
  cast_lock_take(&failures.lock);
  cast_list_remove(&f->link);
  cast_lock_drop(&failures.lock);
  cast_failure_unref(f);
}

bool cast_failure_show(cast_failure *f, cast_visit *v) {
  cast_msg m = {0};
  bool waits;
  cast_lock_take(&failures.lock);
  waits = !f->reported;
  if (waits) cast_msg_dup(&m, &f->msg);
  cast_lock_drop(&failures.lock);
  cast_visit_msg(v, &m);
  cast_msg_drop(&m);
  return waits;
}

/* One that was reported since then may be on its way. */
bool cast_failure_waits(cast_failure *f) {
  bool waits;
  cast_lock_take(&failures.lock);
  /* Relaxed: it was set before the count of the task was read, by who had a
     reference; and under the lock who is going to report it sees the same. */
  waits = f->reported ||
          !atomic_load_explicit(&f->task->joined, memory_order_relaxed);
  cast_lock_drop(&failures.lock);
  return waits;
}

/* The first failure of root's sessions behind `last` (NULL: of all) that was
   not reported, with a reference to its task; NULL: there is none. */
static cast_failure *next_unreported(cast_state *root, cast_failure *last) {
  cast_failure *found = NULL;
  cast_lock_take(&failures.lock);
  if (failures.ready) {
    cast_list *l = last != NULL ? last->link.next : failures.all.next;
    for (; l != &failures.all && found == NULL; l = l->next) {
      cast_failure *f = CAST_CONTAINER(l, cast_failure, link);
      if (!f->reported && cast_state_of(f->task->base.session)->root == root &&
          cast_ref_if_alive(&f->task->base.object))
        found = f;
    }
  }
  cast_lock_drop(&failures.lock);
  return found;
}

bool cast_failures_flush(cast_state *root, uint64_t deadline_ns) {
  uint64_t least = os_now() + CAST_FLUSH_NS,
           most = os_now() + 2 * (uint64_t)CAST_SAY_NS;
  cast_failure *f = next_unreported(root, NULL), *next;
  if (deadline_ns < least) deadline_ns = least;
  if (deadline_ns > most) deadline_ns = most;
  /* A report takes other locks, so it is one record at a time. The record stays
     in the list meanwhile, since its task is kept. */
  for (; f != NULL; f = next) {
    bool late = os_now() >= deadline_ns;
    if (!late) report_now(f);
    next = late ? NULL : next_unreported(root, f);
    cast_unref(&f->task->base.object);
  }
  cast_failures_to(NULL, root);
  return cast_errands_wait(deadline_ns);
}

void cast_failures_to(cast_chan *c, cast_state *root) {
  cast_chan *old = NULL;
  cast_lock_take(&failures.lock);
  if (c != NULL || failures.root == root) {
    old = failures.channel;
    failures.channel = c;
    failures.root = root;
  }
  cast_lock_drop(&failures.lock);
  if (old != NULL) cast_unref(&old->object);
}
