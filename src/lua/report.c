/* report.c - failures that nobody joins.
   SPDX-License-Identifier: MIT

   Each failed task has a record with what there is to say. It is said once:
   when a second has passed, when the task's last reference goes, or when the
   last host ends; unless somebody has received the failure by joining. It
   goes to the channel of casting.on_error, else to stderr.
   Locks: `failures.lock` (CAST_RANK_LEAF) for the list and the channel. */
#include <stdio.h>

#include "../../include/casting.h"
#include "../log.h"
#include "../mem.h"
#include "state.h"
#include "wire.h"

#define PATIENCE_NS 1000000000u

struct cast_failure {
  cast_timer timer;
  cast_list link;        /* (lock) */
  cast_ltask *task;      /* (i) whose record this is; no reference */
  bool said;             /* (lock) */
  const char *error;     /* (i) into text */
  const char *traceback; /* (i) into text */
  char text[];           /* (i) error, traceback */
};

static struct {
  cast_lock lock;
  cast_list all;      /* (lock) */
  bool ready;         /* (lock) the list is initialised */
  cast_chan *channel; /* (lock) one reference, or NULL */
  cast_state *root;   /* (lock) the host that named it: compared only */
} failures = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

const char *cast_failure_traceback(const cast_failure *f) {
  return f->traceback;
}
const char *cast_failure_error(const cast_failure *f) { return f->error; }

/* Relaxed: the reference lets nothing be read that was not fixed before. */
static bool ref_if_alive(cast_object *o) {
  uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
  while (refs != 0)
    if (atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs + 1,
          memory_order_relaxed, memory_order_relaxed))
      return true;
  return false;
}

/* -- the message for casting.on_error ------------------------------------- */

static unsigned char *put_string(
  unsigned char *at, const char *s, size_t size) {
  *at++ = WIRE_STR32;
  at = wire_put_u32(at, (uint32_t)size);
  return wire_put(at, s, size);
}

/* {task =, session =, error =, traceback =}; without the task when its last
   reference is just going. */
static bool make_message(const cast_failure *f, cast_msg *m) {
  cast_session *s = f->task->core.session;
  bool alive = ref_if_alive(&f->task->core.object);
  size_t esize = strlen(f->error), tsize = strlen(f->traceback);
  size_t keys = strlen("session") + strlen("error") + strlen("traceback") +
                (alive ? strlen("task") : 0);
  uint32_t items = alive ? 2 : 1;
  /* count, table; a head of 5 for each string; a byte for each handle */
  uint32_t size =
    (uint32_t)(1 + 9 + 5 * (items + 4) + items + keys + esize + tsize);
  unsigned char *at, *data;
  memset(m, 0, sizeof *m);
  if (cast_msg_init(m, size, items) != 0) {
    if (alive) cast_unref(&f->task->core.object);
    return false;
  }
  cast_session_handle(s);
  cast_msg_items(m)[0] = &s->object;
  if (alive) cast_msg_items(m)[1] = &f->task->core.object;
  data = at = cast_msg_data(m);
  *at++ = 1; /* one value */
  *at++ = WIRE_TABLE;
  at = wire_put_u32(at, 0);
  at = wire_put_u32(at, alive ? 4 : 3);
  at = put_string(at, "session", 7);
  *at++ = WIRE_HANDLE;
  if (alive) {
    at = put_string(at, "task", 4);
    *at++ = WIRE_HANDLE;
  }
  at = put_string(at, "error", 5);
  at = put_string(at, f->error, esize);
  at = put_string(at, "traceback", 9);
  at = put_string(at, f->traceback, tsize);
  CAST_ALWAYS((size_t)(at - data) == size);
  return true;
}

static bool say_to(cast_chan *c, const cast_failure *f) {
  cast_waiter w;
  int rc;
  memset(&w, 0, sizeof w);
  if (!make_message(f, &w.msg)) return false;
  rc = cast_chan_send(c, NULL, NULL, &w);
  cast_msg_drop(&w.msg);
  return rc == 0;
}

static void say_aloud(const cast_failure *f) {
  cast_state *S = cast_state_of(f->task->core.session);
  const char *form = "casting: task %u of session '%s' failed: %s";
  unsigned id = (unsigned)f->task->core.id;
  char here[512], *text = here;
  int size = snprintf(here, sizeof here, form, id, S->name, f->traceback);
  if (size >= (int)sizeof here) {
    text = cast_alloc((size_t)size + 1);
    if (text == NULL) { /* cut */
      text = here;
      size = (int)sizeof here - 1;
    } else {
      (void)snprintf(text, (size_t)size + 1, form, id, S->name, f->traceback);
    }
  }
  if (size > 0) cast_log(text, (size_t)size);
  if (text != here) cast_free(text);
}

/* Says it, once. No lock is held. */
static void say(cast_failure *f) {
  cast_chan *c = NULL;
  bool first;
  cast_lock_take(&failures.lock);
  /* Relaxed: a joiner that comes at the same moment is told as well. */
  first =
    !f->said && !atomic_load_explicit(&f->task->joined, memory_order_relaxed);
  f->said = true;
  if (first && failures.channel != NULL)
    c = CAST_CONTAINER(cast_ref(&failures.channel->object), cast_chan, object);
  cast_lock_drop(&failures.lock);
  if (!first) return;
  if (c == NULL || !say_to(c, f)) {
    say_aloud(f);
  }
  if (c != NULL) cast_unref(&c->object);
}

/* Under the timer's lock nothing can be said: what that lets go of may need
   the lock. The task is kept for the moment after. */
static bool on_timer(cast_timer *t) {
  cast_failure *f = CAST_CONTAINER(t, cast_failure, timer);
  return ref_if_alive(&f->task->core.object); /* else its end says it */
}

static void after_timer(cast_timer *t) {
  cast_failure *f = CAST_CONTAINER(t, cast_failure, timer);
  cast_ltask *task = f->task;
  say(f);
  cast_unref(&task->core.object);
}

/* -- life of a record ----------------------------------------------------- */

cast_failure *cast_failure_new(
  cast_ltask *t, cast_state *S, const char *error, const char *traceback) {
  size_t esize = strlen(error) + 1, tsize = strlen(traceback) + 1;
  cast_failure *f = cast_calloc(sizeof *f + esize + tsize);
  CAST_UNUSED(S);
  if (f == NULL) return NULL;
  memcpy(f->text, error, esize);
  memcpy(f->text + esize, traceback, tsize);
  f->error = f->text;
  f->traceback = f->text + esize;
  f->task = t;
  f->timer.fire = on_timer;
  f->timer.after = after_timer;
  cast_lock_take(&failures.lock);
  if (!failures.ready) cast_list_init(&failures.all);
  failures.ready = true;
  cast_list_push(&failures.all, &f->link);
  cast_lock_drop(&failures.lock);
  /* Without memory for the timer it is said when the last handle goes. */
  (void)cast_timer_set(&f->timer, os_now() + PATIENCE_NS);
  return f;
}

void cast_failure_free(cast_failure *f) {
  cast_timer_remove(&f->timer);
  say(f);
  cast_lock_take(&failures.lock);
  cast_list_remove(&f->link);
  cast_lock_drop(&failures.lock);
  cast_free(f);
}

void cast_failures_flush(cast_state *root) {
  /* Saying takes other locks, so one record at a time; a record cannot go
     meanwhile, since its task is held. */
  for (;;) {
    cast_failure *f = NULL;
    cast_lock_take(&failures.lock);
    for (cast_list *l = failures.all.next; failures.ready && l != &failures.all;
         l = l->next) {
      cast_failure *i = CAST_CONTAINER(l, cast_failure, link);
      if (i->said || cast_state_of(i->task->core.session)->root != root ||
          !ref_if_alive(&i->task->core.object))
        continue;
      f = i;
      break;
    }
    cast_lock_drop(&failures.lock);
    if (f == NULL) break;
    say(f);
    cast_unref(&f->task->core.object);
  }
  cast_failures_to(NULL, root);
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
