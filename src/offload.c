/* offload.c - the threads that make calls which block.
   SPDX-License-Identifier: MIT

   Locks: each offload's own (CAST_RANK_LEAF) for its queue and its numbers.
   `helpers.lock` (CAST_RANK_LEAF) for the threads, as they are started and
   joined: it is held while a thread is started, so that its handle is written
   before anybody can join it. The invariants are in offload.h.

   In the child of a fork (fork.h) there are no helpers and no calls: nothing is
   waited for there, and nothing ends. */
#include "offload.h"

#include "../include/casting.h"
#include "deadlock.h"
#include "fork.h"
#include "limits.h"
#include "mem.h"
#include "os/os.h"

/* A thread. Its own until it is in `ended`; then of who joins it. */
typedef struct helper {
  struct helper *next;   /* (helpers' lock) in `ended` */
  cast_offload *offload; /* (i) */
  os_thread thread;      /* (i) */
} helper;

static struct {
  cast_lock lock;
  helper *ended;         /* (lock) threads to be joined */
  uint32_t nlive;        /* (lock) threads started, and not in `ended` yet */
  cast_offload *first;   /* (lock) all offloads that were used */
  _Atomic uint32_t ends; /* (a) a futex: how many have ended */
} helpers = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* -- the queue ------------------------------------------------------------ */

/* Takes the first call out for which somebody waits, with a reference; NULL:
   there is none. */
static cast_call *take_locked(cast_offload *o) {
  cast_list *l;
  while ((l = cast_list_shift(&o->queue)) != NULL) {
    cast_call *c = CAST_CONTAINER(l, cast_call, link);
    o->nqueued--;
    c->taken = cast_ref_if_alive(&c->object);
    if (c->taken) return c;
    /* Its end, which waits for the lock, finds it out of the queue. */
  }
  return NULL;
}

/* Is one more helper needed, and allowed? Then it is counted already. */
static bool reserve_locked(cast_offload *o) {
  if (o->nqueued <= o->nfree || o->nhelpers >= o->limit) return false;
  o->nhelpers++;
  o->nfree++;
  return true;
}

/* The call was made, or never will be: those who wait go on. */
static void finish(cast_call *c, int result) {
  c->result = result;
  cast_event_set(&c->done, NULL);
  cast_deadlock_unexpect();
  cast_unref(&c->object);
}

static void end_call(cast_object *object) {
  cast_call *c = CAST_CONTAINER(object, cast_call, object);
  cast_offload *o = c->offload;
  bool taken = true;
  if (o != NULL) {
    cast_lock_take(&o->lock);
    taken = c->taken;
    if (!cast_list_is_empty(&c->link)) o->nqueued--;
    cast_list_remove(&c->link);
    cast_lock_drop(&o->lock);
  }
  if (!taken) cast_deadlock_unexpect();
  c->kind->free(c);
}

static const cast_type call_type = {"call", end_call, NULL};

void cast_call_init(cast_call *c, const cast_call_kind *kind) {
  cast_object_init(&c->object, &call_type);
  c->kind = kind;
  c->offload = NULL;
  cast_list_init(&c->link);
  c->taken = false;
  c->result = 0;
  cast_event_init(&c->done);
}

/* -- helpers -------------------------------------------------------------- */

/* Joins the threads that have ended. */
static void join_ended(void) {
  for (;;) {
    helper *h;
    cast_lock_take(&helpers.lock);
    h = helpers.ended;
    if (h != NULL) helpers.ended = h->next;
    cast_lock_drop(&helpers.lock);
    if (h == NULL) return;
    os_thread_join(&h->thread);
    cast_free(h);
  }
}

static void start_helper(cast_offload *o);

/* The next call for a helper, which is not free from then on; it sleeps until
   there is one. NULL: it ends, and does not count any more. */
static cast_call *next_call(cast_offload *o) {
  uint64_t deadline = os_now() + CAST_OFFLOAD_IDLE_NS;
  bool late = false;
  for (;;) {
    cast_call *c;
    uint32_t seen;
    bool more = false, end;
    cast_lock_take(&o->lock);
    c = take_locked(o);
    if (c != NULL) {
      o->nfree--;
      more = reserve_locked(o); /* an earlier one could not be started */
    }
    end = c == NULL && (late || o->stopping);
    if (end) {
      o->nfree--;
      o->nhelpers--;
    }
    /* Relaxed: it changes under the lock. */
    seen = atomic_load_explicit(&o->word, memory_order_relaxed);
    cast_lock_drop(&o->lock);
    if (more) start_helper(o);
    if (c != NULL || end) return c;
    late = os_wait(&o->word, seen, deadline) == OS_ETIMEOUT;
  }
}

static void helper_main(void *arg) {
  helper *h = arg;
  cast_offload *o = h->offload;
  cast_call *c;
  while ((c = next_call(o)) != NULL) {
    c->kind->run(c);
    if (CAST_UNLIKELY(cast_forked)) return; /* it has forked: all is lost */
    cast_lock_take(&o->lock);
    o->nfree++;
    cast_lock_drop(&o->lock);
    finish(c, 0);
  }
  /* At most one thread that has ended is ever left. */
  join_ended();
  cast_lock_take(&helpers.lock);
  helpers.nlive--;
  h->next = helpers.ended;
  helpers.ended = h;
  cast_lock_drop(&helpers.lock);
  /* Relaxed: who wakes takes the lock and looks again. */
  atomic_fetch_add_explicit(&helpers.ends, 1, memory_order_relaxed);
  os_wake(&helpers.ends, INT32_MAX);
}

/* A reserved helper could not be started. */
static void give_up_helper(cast_offload *o) {
  cast_list lost;
  cast_list *l;
  cast_call *c;
  cast_list_init(&lost);
  cast_lock_take(&o->lock);
  o->nhelpers--;
  o->nfree--;
  while (o->nhelpers == 0 && (c = take_locked(o)) != NULL)
    cast_list_push(&lost, &c->link);
  cast_lock_drop(&o->lock);
  while ((l = cast_list_shift(&lost)) != NULL) {
    c = CAST_CONTAINER(l, cast_call, link);
    if (c->kind->lost != NULL) c->kind->lost(c);
    finish(c, CASTING_ENOMEM);
  }
}

static void start_helper(cast_offload *o) {
  helper *h = cast_alloc(sizeof *h);
  int rc = OS_ENOMEM;
  if (h != NULL) {
    h->offload = o;
    cast_fork_threads(true);
    cast_lock_take(&helpers.lock);
    rc = os_thread_start(&h->thread, helper_main, h, o->title);
    if (rc == 0) helpers.nlive++;
    cast_lock_drop(&helpers.lock);
  }
  if (rc == 0) return;
  if (h != NULL) cast_fork_threads(false);
  cast_free(h);
  give_up_helper(o);
}

/* -- for others ----------------------------------------------------------- */

/* Enters the offload into the list of all. */
static void list_offload(cast_offload *o) {
  cast_lock_take(&helpers.lock);
  if (!o->listed) {
    o->next = helpers.first;
    helpers.first = o;
  }
  o->listed = true;
  cast_lock_drop(&helpers.lock);
}

void cast_offload_send(cast_offload *o, cast_call *c) {
  bool more;
  CAST_ASSERT(c->offload == NULL);
  if (CAST_UNLIKELY(cast_forked)) {
    c->result = CASTING_ENOMEM;
    cast_event_set(&c->done, NULL);
    return;
  }
  list_offload(o);
  cast_deadlock_expect();
  cast_lock_take(&o->lock);
  c->offload = o;
  cast_list_push(&o->queue, &c->link);
  o->nqueued++;
  more = reserve_locked(o);
  atomic_fetch_add_explicit(&o->word, 1, memory_order_relaxed);
  cast_lock_drop(&o->lock);
  if (more)
    start_helper(o);
  else
    os_wake(&o->word, 1);
}

/* Tells all helpers to end when they are free, or that they need not; true if
   one is in a call, and nobody is owed any. */
static bool tell_all(bool stop) {
  bool busy = false, owed = false;
  cast_offload *o;
  cast_lock_take(&helpers.lock);
  o = helpers.first;
  cast_lock_drop(&helpers.lock);
  /* The list only grows, at its front. */
  for (; o != NULL; o = o->next) {
    cast_lock_take(&o->lock);
    o->stopping = stop;
    busy |= o->nhelpers > o->nfree;
    owed |= atomic_load_explicit(&o->owed, memory_order_relaxed) > 0;
    atomic_fetch_add_explicit(&o->word, 1, memory_order_relaxed);
    cast_lock_drop(&o->lock);
    os_wake(&o->word, INT32_MAX);
  }
  return busy && !owed;
}

bool cast_offloads_stop(uint64_t soon_ns, uint64_t deadline_ns) {
  bool gone = false;
  if (CAST_UNLIKELY(cast_forked)) return true;
  for (;;) {
    /* Relaxed: read before the state below, which the lock orders. */
    uint32_t seen = atomic_load_explicit(&helpers.ends, memory_order_relaxed);
    uint64_t until;
    cast_lock_take(&helpers.lock);
    gone = helpers.nlive == 0;
    cast_lock_drop(&helpers.lock);
    if (gone) break;
    until = tell_all(true) ? soon_ns : deadline_ns;
    if (os_now() >= until) break;
    (void)os_wait(&helpers.ends, seen, until);
  }
  (void)tell_all(false);
  join_ended();
  return gone;
}
