/* signals.c - channels that are told of signals.
   SPDX-License-Identifier: MIT

   See signals.h. */
#include "signals.h"

#include "../../include/casting.h"
#include "../base.h"
#include "../deadlock.h"
#include "../fork.h"
#include "../mem.h"
#include "../sched.h"
#include "descriptor.h"

#include <string.h>

typedef struct subscription {
  cast_list link;  /* (lock) */
  cast_chan *chan; /* (i) valid while it is linked */
  uint32_t n;      /* (i) */
  cast_signal all[];
} subscription;

/* There is one object of it, which is never freed. */
static const cast_type signals_type = {"signals", NULL, NULL};

static struct {
  cast_lock lock;
  bool ready;       /* (lock) the list is initialised */
  bool sending;     /* (lock) a thread sends, see 3. */
  cast_list list;   /* (lock) */
  cast_list cursor; /* (lock) in the list, behind the one that is being sent to,
                       while a thread sends */
  _Atomic uint32_t count[OS_SIGNALS]; /* (a) channels that a signal is told to;
                                         set under the lock; relaxed */
  int from;              /* (lock) the pipe's end to read; -1: none yet */
  cast_descriptor *file; /* (lock) which borrows it; NULL: not watched */
  cast_object object;    /* the watch is a part of it; never freed */
  cast_watch watch;      /* (i) */
  _Atomic int pipe;      /* (a) the other end; -1: none yet */
  _Atomic uint32_t told; /* (a) bits of numbers: see 2. */
} signals = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF), .from = -1, .pipe = -1};

/* -- noting --------------------------------------------------------------- */

/* The signal handler. */
static void note(int number) {
  int fd;
  /* Code that has set the action for a while, as C's system does, may put this
     handler back after the last channel has gone. Relaxed: a channel that comes
     or goes at this moment may or may not be told. */
  if (atomic_load_explicit(&signals.count[number], memory_order_relaxed) == 0) {
    os_signal_decline(number);
    return;
  }
  /* PAIR told: noted before the pipe tells of it. */
  atomic_fetch_or_explicit(
    &signals.told, UINT32_C(1) << number, memory_order_release);
  fd = atomic_load_explicit(&signals.pipe, memory_order_relaxed);
  if (fd >= 0) os_signal_tell(fd);
}

/* -- sending -------------------------------------------------------------- */

/* Is a message like that in the channel? Both are inline, and alike. */
static bool holds(cast_chan *c, const cast_msg *m) {
  bool is = false;
  cast_lock_take(&c->lock);
  for (size_t i = 0; i < c->count && !is; i++) {
    const cast_msg *at = &c->ring[(c->head + i) & (c->room - 1)];
    is = at->size == m->size && at->nrefs == 0 &&
         memcmp(at->u.bytes, m->u.bytes, m->size) == 0;
  }
  cast_lock_drop(&c->lock);
  return is;
}

static void send(cast_chan *c, const cast_msg *name, cast_session *self) {
  cast_waiter w;
  if (holds(c, name)) return;
  memset(&w, 0, sizeof w);
  cast_msg_dup(&w.msg, name);
  if (cast_chan_send(c, self, NULL, &w) != 0) cast_msg_drop(&w.msg);
}

/* Moves the cursor over the next subscription: its channel, with a reference,
   and a copy of its signals that are in `told`. False: there is none. *c is
   NULL if that one ends. */
static bool take_locked(
  uint32_t told, cast_chan **c, cast_signal all[OS_SIGNALS], uint32_t *count) {
  cast_list *l = signals.cursor.next;
  const subscription *s;
  cast_list_remove(&signals.cursor);
  if (l == &signals.list) return false;
  cast_list_unshift(l, &signals.cursor);
  s = CAST_CONTAINER(l, subscription, link);
  *count = 0;
  *c = cast_ref_if_alive(&s->chan->object) ? s->chan : NULL;
  for (uint32_t i = 0; i < s->n; i++)
    if (told >> s->all[i].number & 1) all[(*count)++] = s->all[i];
  return true;
}

/* Sends what was told to all that are subscribed. (One that comes or goes
   meanwhile may be missed: it came at the same time.) */
static void send_all(uint32_t told, cast_session *self) {
  cast_signal all[OS_SIGNALS];
  cast_chan *c;
  uint32_t count;
  bool found;
  cast_lock_take(&signals.lock);
  cast_list_unshift(&signals.list, &signals.cursor);
  cast_lock_drop(&signals.lock);
  for (;;) {
    cast_lock_take(&signals.lock);
    found = take_locked(told, &c, all, &count);
    cast_lock_drop(&signals.lock);
    if (!found) return;
    if (c == NULL) continue;
    for (uint32_t i = 0; i < count; i++) send(c, &all[i].name, self);
    cast_unref(&c->object);
  }
}

static void on_told(cast_watch *w, cast_session *self) {
  int from;
  CAST_UNUSED(w);
  cast_lock_take(&signals.lock);
  from = signals.from;
  cast_lock_drop(&signals.lock);
  os_signal_take(from); /* open for good */
  cast_lock_take(&signals.lock);
  while (!signals.sending) {
    /* PAIR told: after the pipe was read. */
    uint32_t told =
      atomic_exchange_explicit(&signals.told, 0, memory_order_acquire);
    if (told == 0) break;
    signals.sending = true;
    cast_lock_drop(&signals.lock);
    send_all(told, self);
    cast_lock_take(&signals.lock);
    signals.sending = false;
  }
  cast_lock_drop(&signals.lock);
}

/* -- subscriptions -------------------------------------------------------- */

static void leave_locked(int number) {
  if (atomic_fetch_sub_explicit(
        &signals.count[number], 1, memory_order_relaxed) == 1)
    os_signal_release(number);
}

/* Takes a subscription out of the list. */
static void end_locked(subscription *s) {
  if (cast_list_is_empty(&s->link)) return;
  cast_list_remove(&s->link);
  for (uint32_t i = 0; i < s->n; i++) leave_locked(s->all[i].number);
  cast_deadlock_unexpect();
}

static void end(subscription *s) {
  cast_lock_take(&signals.lock);
  end_locked(s);
  cast_lock_drop(&signals.lock);
}

static void on_closed(cast_chan *c, cast_session *self) {
  CAST_UNUSED(self);
  end(c->owner);
}

static void on_freed(cast_chan *c, cast_object **more) {
  CAST_UNUSED(more);
  end(c->owner);
  cast_free(c->owner);
}

static const cast_chan_kind signal_chan = {
  .freed = on_freed, .closed = on_closed};

/* Under the lock. */
static void make_ready_locked(void) {
  if (signals.ready) return;
  cast_list_init(&signals.list);
  cast_list_init(&signals.cursor);
  cast_object_init(&signals.object, &signals_type);
  signals.watch = (cast_watch){&signals.object, on_told};
  signals.ready = true;
}

/* The pipe, once. Under the lock. */
static int open_pipe_locked(void) {
  int ends[2], rc;
  if (signals.from >= 0) return 0;
  if ((rc = os_child_pipe(ends, true, true)) != 0) return rc;
  signals.from = ends[0];
  /* PAIR told: relaxed, before the first handler is installed. */
  atomic_store_explicit(&signals.pipe, ends[1], memory_order_relaxed);
  return 0;
}

/* The pipe's end to read is in the poller's set until the runtime ends. */
static int watch_pipe(void) {
  cast_descriptor *d;
  bool watched;
  int rc = cast_poller_make(), from;
  if (rc != 0) return rc;
  cast_lock_take(&signals.lock);
  make_ready_locked();
  watched = signals.file != NULL;
  if (!watched) rc = open_pipe_locked();
  from = signals.from;
  cast_lock_drop(&signals.lock);
  if (watched || rc != 0) return rc;
  d = cast_descriptor_borrow(from); /* the same for all threads */
  if (d == NULL) return CASTING_ENOMEM;
  rc = cast_descriptor_watch(d, &signals.watch, true);
  cast_lock_take(&signals.lock);
  watched = signals.file != NULL; /* another thread was faster */
  if (rc == 0 && !watched) signals.file = d;
  cast_lock_drop(&signals.lock);
  if (rc != 0 || watched) cast_unref(&d->object);
  return rc;
}

static int begin_locked(subscription *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    int number = s->all[i].number, rc;
    atomic_fetch_add_explicit(&signals.count[number], 1, memory_order_relaxed);
    /* Each time: other code may have set the action since. */
    rc = os_signal_catch(number, note);
    if (rc == 0) continue;
    for (uint32_t k = 0; k <= i; k++) leave_locked(s->all[k].number);
    return rc;
  }
  cast_list_push(&signals.list, &s->link);
  return 0;
}

int cast_signals_subscribe(cast_chan *c, const cast_signal *all, uint32_t n) {
  subscription *s = cast_alloc(sizeof *s + n * sizeof *all);
  int rc;
  if (s == NULL) return CASTING_ENOMEM;
  cast_list_init(&s->link);
  s->chan = c;
  s->n = n;
  memcpy(s->all, all, n * sizeof *all);
  rc = watch_pipe();
  if (rc == 0) {
    cast_deadlock_expect();
    cast_lock_take(&signals.lock);
    rc = begin_locked(s);
    cast_lock_drop(&signals.lock);
    if (rc != 0) cast_deadlock_unexpect();
  }
  if (rc != 0) {
    cast_free(s);
    return rc;
  }
  c->owner = s;
  c->kind = &signal_chan;
  (void)cast_sched_cover(); /* for a program that looks without waiting */
  return 0;
}

bool cast_signals_describe(cast_buffer *b, const cast_chan *c) {
  const subscription *s = c->owner;
  if (c->kind != &signal_chan) return false;
  cast_buffer_add(b, s->n > 1 ? "signals " : "signal ");
  for (uint32_t i = 0; i < s->n; i++)
    cast_buffer_form(
      b, i > 0 ? ", %s" : "%s", os_signal_name(s->all[i].number));
  return true;
}

/* -- the end -------------------------------------------------------------- */

void cast_signals_forked(void) {
  int fd = atomic_load_explicit(&signals.pipe, memory_order_relaxed);
  /* Relaxed: there is one thread. */
  for (int i = 1; i < OS_SIGNALS && cast_forked; i++)
    if (atomic_load_explicit(&signals.count[i], memory_order_relaxed) > 0)
      os_signal_release(i);
  atomic_store_explicit(&signals.told, 0, memory_order_relaxed);
  if (fd < 0 || os_child_pipe_anew(signals.from, fd)) return;
  signals.from = -1;
  atomic_store_explicit(&signals.pipe, -1, memory_order_relaxed);
}

void cast_signals_fini(void) {
  cast_descriptor *d;
  cast_list *l;
  cast_lock_take(&signals.lock);
  while (signals.ready && (l = signals.list.next) != &signals.list)
    end_locked(CAST_CONTAINER(l, subscription, link));
  d = signals.file;
  signals.file = NULL;
  cast_lock_drop(&signals.lock);
  /* Relaxed: no signal is caught any more. */
  atomic_store_explicit(&signals.told, 0, memory_order_relaxed);
  if (d == NULL) return;
  cast_descriptor_close(d, NULL);
  cast_unref(&d->object);
}
