/* session.c - the session state machine, its inbox, its slices.
   SPDX-License-Identifier: MIT

   See session.h for states and invariants. The inbox is a chain of posts with
   the newest first; the owner takes the whole chain and reverses it, so posts
   of one pusher are served in order. */
#include "session.h"

#include "../include/casting.h"
#include "sched.h"

#define IDLE ((uintptr_t)1)
#define EMPTY ((uintptr_t)0) /* as a post, NULL */
#define CLOSED ((uintptr_t)2)

static _Atomic uint64_t last_id;

static void orphan(cast_object *o);
const cast_type cast_session_type = {"session", orphan, NULL};

/* -- memory --------------------------------------------------------------- */

void cast_session_hold(cast_session *s) {
  /* Relaxed: the caller has a hold already. */
  atomic_fetch_add_explicit(&s->holds, 1, memory_order_relaxed);
}

void cast_session_drop(cast_session *s) {
  /* PAIR holds: each holder releases what it did, the last one acquires all
     before it frees. */
  if (atomic_fetch_sub_explicit(&s->holds, 1, memory_order_acq_rel) == 1)
    s->ops->free(s);
}

/* The last handle went: the session may close by itself once it is empty.
   All handles together are one hold. */
static void orphan(cast_object *o) {
  cast_session *s = CAST_CONTAINER(o, cast_session, object);
  /* PAIR posted: release; an owner that clears the flag sees that the last
     handle has gone. Acquire: the owner is done with the post. */
  if (!atomic_exchange_explicit(&s->orphan_posted, true, memory_order_acq_rel))
    cast_session_push(s, NULL, &s->orphan_post);
  cast_session_drop(s);
}

void cast_session_handle(cast_session *s) {
  cast_lock_take(&s->lock);
  /* Relaxed: the lock orders this with the decision to close. */
  if (atomic_fetch_add_explicit(&s->object.refs, 1, memory_order_relaxed) == 0)
    cast_session_hold(s);
  cast_lock_drop(&s->lock);
}

static void on_orphan(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  CAST_UNUSED(closed);
  /* PAIR posted: acquire the end of the last handle; release the post. */
  atomic_exchange_explicit(&s->orphan_posted, false, memory_order_acq_rel);
  s->orphaned = true;
}

/* -- deadlines of its tasks ----------------------------------------------- */

static void expire(cast_session *s) {
  uint64_t now;
  if (s->deadlines.count == 0) return;
  now = os_now();
  while (cast_heap_next(&s->deadlines) <= now) {
    cast_heap_node *n = cast_heap_top(&s->deadlines);
    cast_heap_remove(&s->deadlines, n);
    cast_wait_interrupt(
      CAST_CONTAINER(n, cast_task, wait.deadline), CASTING_ETIMEOUT, now);
  }
}

static void on_alarm(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  /* PAIR posted: release the post, to be pushed again. */
  atomic_store_explicit(&s->alarm_posted, false, memory_order_release);
  s->alarm_ns = OS_FOREVER;
  if (!closed) expire(s);
}

/* Monitor thread, timer lock held, so the session has not closed. */
static bool ring(cast_timer *t) {
  cast_session *s = CAST_CONTAINER(t, cast_session, alarm);
  cast_timer_again(t, OS_FOREVER);
  /* PAIR posted: acquire; the owner is done with the post. */
  if (!atomic_exchange_explicit(&s->alarm_posted, true, memory_order_acquire))
    cast_session_push(s, NULL, &s->alarm_post);
  return false;
}

/* Going idle: the alarm must not be later than the earliest deadline. It may
   be earlier (its wait has ended meanwhile): that costs one idle run, which
   is cheaper than telling the timers at each wait that ends in time. */
static void set_alarm(cast_session *s) {
  uint64_t next = cast_heap_next(&s->deadlines);
  if (next >= s->alarm_ns) return;
  s->alarm_ns = next;
  /* Cannot fail: its entry has been in the heap since cast_session_init. */
  if (cast_timer_set(&s->alarm, next) != 0)
    cast_panic(__FILE__, __LINE__, "an alarm was lost");
}

/* -- life ----------------------------------------------------------------- */

/* For select's choices: other ones in each session and each run. */
static uint32_t new_seed(uint64_t id) {
  static _Atomic uint64_t base; /* 0: the system was not asked yet */
  /* Relaxed: should two ask, either answer does. */
  uint64_t x = atomic_load_explicit(&base, memory_order_relaxed);
  if (x == 0) {
    x = os_entropy() | 1;
    atomic_store_explicit(&base, x, memory_order_relaxed);
  }
  x = (x + id) * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(x >> 32) | 1;
}

int cast_session_init(
  cast_session *s, const cast_session_ops *ops, bool running) {
  cast_object_init(&s->object, &cast_session_type);
  atomic_init(&s->inbox, running ? EMPTY : IDLE);
  atomic_init(&s->holds, 2); /* being open; the handles */
  s->ops = ops;
  s->hosted = running;
  s->ready_tail = &s->ready;
  cast_heap_init(&s->deadlines);
  s->alarm.fire = ring;
  s->alarm_ns = OS_FOREVER;
  s->alarm_post.run = on_alarm;
  s->orphan_post.run = on_orphan;
  cast_lock_init(&s->lock, CAST_RANK_SESSION);
  cast_list_init(&s->tasks);
  cast_event_init(&s->empty);
  s->empty.set = true;
  cast_event_init(&s->closed);
  s->id = 1 + atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed);
  s->seed = new_seed(s->id);
  return cast_timer_set(&s->alarm, OS_FOREVER);
}

void cast_session_cancel_all(cast_session *s) {
  cast_list *l;
  cast_lock_take(&s->lock);
  s->closing = true;
  cast_lock_drop(&s->lock);
  s->close_wanted = true;
  /* Nobody adds any more, and only the owner removes: no lock. */
  for (l = s->tasks.next; l != &s->tasks; l = l->next)
    cast_task_cancel(CAST_CONTAINER(l, cast_task, link));
}

static void run_posts(cast_session *s, cast_post *p, bool closed) {
  while (p != NULL) {
    cast_post *next = p->next;
    CAST_ASSERT(p->run != NULL); /* tasks keep a session open */
    p->run(s, p, closed);
    p = next;
  }
}

static cast_post *reversed(uintptr_t word) {
  cast_post *list = NULL, *p = (cast_post *)word;
  while (p != NULL) {
    cast_post *next = p->next;
    p->next = list;
    list = p;
    p = next;
  }
  return list;
}

/* No task is left, and none will start. */
void cast_session_end(cast_session *s) {
  uintptr_t word;
  cast_timer_remove(&s->alarm);
  s->ops->close(s);
  /* PAIR inbox: acquire the last posts; release nothing in particular. */
  word = atomic_exchange_explicit(&s->inbox, CLOSED, memory_order_acq_rel);
  run_posts(s, s->ready, true); /* a host's: what its last slice has left */
  s->ready = NULL;
  run_posts(s, reversed(word), true);
  CAST_ASSERT(s->deadlines.count == 0);
  cast_heap_fini(&s->deadlines);
  cast_event_set(&s->closed, NULL);
}

/* Should the session close now? Then it takes no more tasks. */
static bool must_close(cast_session *s) {
  bool yes;
  if (!s->close_wanted && !s->orphaned) return false;
  if (s->runner->worker == NULL) return false; /* a host's */
  cast_lock_take(&s->lock);
  /* Relaxed: handles come back only under this lock. */
  if (atomic_load_explicit(&s->object.refs, memory_order_relaxed) > 0)
    s->orphaned = false;
  yes = s->ntasks == 0 && (s->close_wanted || s->orphaned);
  if (yes) s->closing = true;
  cast_lock_drop(&s->lock);
  return yes;
}

/* -- inbox ---------------------------------------------------------------- */

/* Who wakes an idle session of the pool owns it until it has queued it: the
   post goes where its runner will look first, and that need not exchange the
   inbox. A host's thread is not gone while its session is idle. */
static bool wake_idle(
  cast_session *s, cast_session *self, cast_post *p, uintptr_t *old) {
  uintptr_t word = s->hosted ? (uintptr_t)p : EMPTY;
  p->next = NULL;
  /* PAIR inbox: acquire what the last owner wrote, for the next one. */
  if (!atomic_compare_exchange_strong_explicit(
        &s->inbox, old, word, memory_order_acq_rel, memory_order_relaxed))
    return false;
  if (word == EMPTY) cast_session_ready(s, p);
  s->ops->wake(s, self);
  return true;
}

bool cast_session_push(cast_session *s, cast_session *self, cast_post *p) {
  uintptr_t old = atomic_load_explicit(&s->inbox, memory_order_relaxed);
  for (;;) {
    if (old == IDLE) {
      if (wake_idle(s, self, p, &old)) return true;
      continue;
    }
    if (old == CLOSED) return false;
    p->next = (cast_post *)old; /* NULL for EMPTY */
    /* PAIR inbox: release what the post means; the owner acquires it. */
    if (atomic_compare_exchange_weak_explicit(&s->inbox, &old, (uintptr_t)p,
          memory_order_release, memory_order_relaxed))
      return true;
  }
}

static void take_inbox(cast_session *s) {
  uintptr_t word = atomic_load_explicit(&s->inbox, memory_order_relaxed);
  cast_post *p;
  if (word == EMPTY) return;
  /* PAIR inbox: acquire what the pushers released. */
  word = atomic_exchange_explicit(&s->inbox, EMPTY, memory_order_acquire);
  CAST_ASSERT(word != IDLE && word != CLOSED);
  p = reversed(word);
  if (p == NULL) return;
  *s->ready_tail = p;
  s->ready_tail = &((cast_post *)word)->next;
}

static bool go_idle(cast_session *s) {
  uintptr_t empty = EMPTY;
  /* Relaxed: ordered by what follows, a hint for who finds the session idle. */
  if (s->alarm_ns != OS_FOREVER)
    atomic_store_explicit(
      &s->alarm.passive, s->deadlines.count == 0, memory_order_relaxed);
  /* PAIR inbox: release the session's state to the pusher that wakes it. */
  return atomic_compare_exchange_strong_explicit(
    &s->inbox, &empty, IDLE, memory_order_release, memory_order_relaxed);
}

bool cast_session_reclaim(cast_session *s) {
  uintptr_t idle = IDLE;
  /* Relaxed: the host's thread reads back what it wrote itself. */
  return atomic_compare_exchange_strong_explicit(
    &s->inbox, &idle, EMPTY, memory_order_relaxed, memory_order_relaxed);
}

void cast_session_release(cast_session *s, cast_session *self) {
  /* A pusher that saw EMPTY has woken nobody. */
  if (!go_idle(s)) s->ops->wake(s, self);
}

bool cast_session_look(cast_session *s) {
  take_inbox(s);
  expire(s);
  return s->ready != NULL;
}

bool cast_session_rest(cast_session *s) {
  CAST_ASSERT(s->ready == NULL);
  return go_idle(s);
}

void cast_session_depart(cast_session *s) {
  /* A pusher that saw EMPTY has not woken the host: its post is made ready,
     and pushed again below, when the session is idle. */
  do {
    cast_session_look(s);
    set_alarm(s);
  } while (!go_idle(s));
  s->away = true;
  while (s->ready != NULL) cast_session_push(s, NULL, cast_session_shift(s));
}

bool cast_session_is_idle(cast_session *s) {
  /* PAIR inbox: acquire; no later look sees it as it was before. */
  return atomic_load_explicit(&s->inbox, memory_order_acquire) == IDLE;
}

bool cast_session_notified(cast_session *s) {
  uintptr_t word = atomic_load_explicit(&s->inbox, memory_order_relaxed);
  return word != IDLE && word != EMPTY;
}

/* -- slices --------------------------------------------------------------- */

/* Does the first ready thing, and perhaps more. The session that the runner is
   in afterwards, as ops->resume returns it. */
static cast_session *step(cast_session *s, cast_runner **r) {
  cast_task *t = cast_session_take(s);
  cast_post *p = s->ready;
  if (CAST_LIKELY(t != NULL)) {
    s = s->ops->resume(s, t, r);
    if (s != NULL) s->current = NULL;
    return s;
  }
  cast_session_shift(s);
  s->budget--; /* here: a step may not come back to this frame */
  if (p->run != NULL) {
    p->run(s, p, false);
  } else {
    os_context *to;
    t = CAST_CONTAINER(p, cast_task, post);
    to = t->object.held;
    t->object.held = NULL;
    cast_runner_jump(s->runner, to);
  }
  return s;
}

static void leave(cast_session *s, cast_runner **r) {
  *r = s->runner;
  if (CAST_UNLIKELY(s->metered)) s->ops->meter(s, false);
  cast_runner_serve(*r, NULL);
  /* A host's session keeps its runner: its main program is one as well. */
  if ((*r)->worker != NULL) s->runner = NULL;
}

static void enter(cast_session *s, cast_runner *r) {
  s->runner = r;
  if (CAST_UNLIKELY(s->metered) && cast_runner_session(r) != s)
    s->ops->meter(s, true);
  cast_runner_serve(r, s);
  take_inbox(s);
  expire(s);
}

cast_task *cast_session_follow(cast_session **at, cast_runner **to) {
  cast_session *s = *at, *next;
  const cast_session_ops *ops = s->ops;
  cast_runner *r = s->runner;
  cast_job *job;
  s->current = NULL;
  if (s->ready != NULL || s->close_wanted || s->orphaned || s->metered ||
      r->worker == NULL || !cast_sched_ahead(r->worker))
    return NULL;
  set_alarm(s);
  cast_runner_serve(r, NULL);
  s->runner = NULL;
  if (CAST_UNLIKELY(!go_idle(s))) {
    enter(s, r);
    return NULL;
  }
  *at = NULL;
  *to = r;
  job = cast_sched_follow(r->worker);
  if (CAST_UNLIKELY(job == NULL)) return NULL; /* the monitor was quicker */
  *at = next = CAST_CONTAINER(job, cast_session, job);
  next->budget = CAST_SLICE_TASKS;
  enter(next, r);
  return next->ops == ops ? cast_session_take(next) : NULL;
}

cast_run cast_session_run(cast_session **at, cast_runner **r) {
  cast_session *s = *at;
  /* A runner that goes on with s on a fresh stack continues the slice. */
  if (cast_runner_session(*r) != s) s->budget = CAST_SLICE_TASKS;
  enter(s, *r);
  for (;;) {
    if (s->ops->interrupted != NULL) s->ops->interrupted(s);
    while (s->ready != NULL && s->budget > 0)
      if ((*at = s = step(s, r)) == NULL) return CAST_RUN_IDLE;
    if (s->ready != NULL) {
      cast_worker *w = s->runner->worker;
      s->budget = CAST_SLICE_TASKS;
      if (w == NULL || !cast_sched_backlog(w)) {
        enter(s, s->runner);
        continue;
      }
      leave(s, r);
      return CAST_RUN_AGAIN;
    }
    if (must_close(s)) {
      cast_session_end(s);
      leave(s, r);
      cast_session_drop(s);
      return CAST_RUN_GONE;
    }
    if (s->runner->worker != NULL) set_alarm(s);
    leave(s, r);
    if (go_idle(s)) return CAST_RUN_IDLE;
    enter(s, *r);
  }
}
