/* slice.c - running a session: slices, deadlines, its beginning and end.
   SPDX-License-Identifier: MIT

   See slice.h. Everything here is called by the owner of the session, except
   the alarm, which sysmon fires. */
#include "slice.h"

#include "../include/casting.h"
#include "sched.h"

static _Atomic uint64_t last_id;

/* -- deadlines of its tasks ----------------------------------------------- */

/* Ends the waits whose deadline has passed. One that something else has ended
   may go on (the `again` of its kind) when its task runs: then it has to find
   that the deadline has passed. */
static void expire(cast_session *s) {
  uint64_t now;
  if (s->deadlines.count == 0) return;
  now = os_now();
  while (cast_heap_next(&s->deadlines) <= now) {
    cast_heap_node *n = cast_heap_top(&s->deadlines);
    cast_task *t = CAST_CONTAINER(n, cast_task, wait.deadline);
    cast_heap_remove(&s->deadlines, n);
    if (cast_wait_is_armed(&t->wait))
      cast_wait_interrupt(t, CASTING_ETIMEOUT, now);
    else
      cast_heap_push(&s->deadlines, n, CAST_DEADLINE_PASSED);
  }
}

/* The post that the alarm pushes. */
static void on_alarm(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  /* PAIR posted: release the post, which may be pushed again. */
  atomic_store_explicit(&s->alarm_posted, false, memory_order_release);
  s->alarm_ns = OS_FOREVER;
  if (!closed) expire(s);
}

/* The `fire` of the alarm. The timer lock is held, so the session has not
   closed yet; a weak reference keeps it valid until `push_alarm` has pushed the
   post. */
static bool fire_alarm(cast_timer *t) {
  cast_session *s = CAST_CONTAINER(t, cast_session, alarm);
  cast_timer_again(t, OS_FOREVER);
  /* PAIR posted: acquire; the owner is done with the post. */
  if (atomic_exchange_explicit(&s->alarm_posted, true, memory_order_acquire))
    return false;
  cast_session_ref_weak(s);
  return true;
}

/* The `after` of the alarm, without the lock. */
static void push_alarm(cast_timer *t) {
  cast_session *s = CAST_CONTAINER(t, cast_session, alarm);
  cast_session_push(s, NULL, &s->alarm_post); /* unless it has closed since */
  cast_session_unref_weak(s);
}

/* Before the session goes idle: makes sure that the alarm is not later than the
   earliest deadline. It may be earlier, if its wait has ended meanwhile. That
   costs one run for nothing, which is cheaper than setting the timer at each
   wait that ends in time. */
static void set_alarm(cast_session *s) {
  uint64_t next = cast_heap_next(&s->deadlines);
  if (next >= s->alarm_ns || next == CAST_DEADLINE_PASSED) return;
  s->alarm_ns = next;
  /* Cannot fail: its entry has been in the heap since cast_session_init. */
  if (cast_timer_set(&s->alarm, next) != 0)
    cast_panic(__FILE__, __LINE__, "an alarm was lost");
}

/* -- life ----------------------------------------------------------------- */

/* The seed for select's choices, another one in each session and process. */
static uint32_t new_seed(uint64_t id) {
  static _Atomic uint64_t base; /* 0: the system was not asked yet */
  /* Relaxed: if two threads ask the system, either answer will do. */
  uint64_t x = atomic_load_explicit(&base, memory_order_relaxed);
  if (x == 0) {
    x = os_entropy() | 1;
    atomic_store_explicit(&base, x, memory_order_relaxed);
  }
  x = (x + id) * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(x >> 32) | 1;
}

/* The post that is pushed when the last handle was dropped. */
static void on_orphan(cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  CAST_UNUSED(closed);
  /* PAIR posted: acquire the drop of the last handle; release the post. */
  atomic_exchange_explicit(&s->orphan_posted, false, memory_order_acq_rel);
  s->orphaned = true;
}

int cast_session_init(
  cast_session *s, const cast_session_ops *ops, bool running) {
  cast_object_init(&s->object, &cast_session_type);
  atomic_init(&s->inbox, running ? CAST_INBOX_EMPTY : CAST_INBOX_IDLE);
  atomic_init(&s->weak_refs, 2); /* being open; the handles */
  s->ops = ops;
  s->hosted = running;
  s->ready_tail = &s->ready;
  cast_heap_init(&s->deadlines);
  s->alarm.fire = fire_alarm;
  s->alarm.after = push_alarm;
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

/* Runs the posts that are left when a session closes. */
static void run_posts(cast_session *s, cast_post *p, bool closed) {
  while (p != NULL) {
    cast_post *next = p->next;
    CAST_ASSERT(p->run != NULL); /* tasks keep a session open */
    p->run(s, p, closed);
    p = next;
  }
}

/* s has closed. The event of a sandbox tells that all which it has made has
   closed, too; so it is set by the last of these. The accounts above that of s
   stay as long as s does, which its caller sees to. */
static void tell_closed(cast_session *s) {
  if (CAST_LIKELY(s->account == NULL)) cast_event_set(&s->closed, NULL);
  for (cast_account *a = s->account; a != NULL; a = a->parent) {
    if (!cast_account_leave(a)) continue;
    cast_event_set(&a->session->closed, NULL);
    cast_session_unref_weak(a->session);
  }
}

void cast_session_end(cast_session *s) {
  cast_post *last;
  cast_timer_remove(&s->alarm);
  s->ops->close(s);
  last = cast_session_shut(s);
  run_posts(s, s->ready, true); /* of a host: left by its last slice */
  s->ready = NULL;
  run_posts(s, last, true);
  CAST_ASSERT(s->deadlines.count == 0);
  cast_heap_fini(&s->deadlines);
  tell_closed(s);
}

/* Must the session close now, as it was asked to or has no handle, and no task
   is left? Then it takes no more tasks. */
static bool must_close(cast_session *s) {
  bool yes;
  if (!s->close_wanted && !s->orphaned) return false;
  if (s->runner->worker == NULL) return false; /* a host's never does */
  cast_lock_take(&s->lock);
  /* Relaxed: a session without handles gets new ones only under this lock. */
  if (atomic_load_explicit(&s->object.refs, memory_order_relaxed) > 0)
    s->orphaned = false;
  yes = s->ntasks == 0 && (s->close_wanted || s->orphaned);
  if (yes) s->closing = true;
  cast_lock_drop(&s->lock);
  return yes;
}

void cast_session_hurry(cast_session *s) {
  atomic_store_explicit(&s->runner->look, false, memory_order_relaxed);
  s->budget = 0;
}

/* -- a host outside of its loop ------------------------------------------- */

bool cast_session_look(cast_session *s) {
  cast_session_take_inbox(s);
  expire(s);
  return s->ready != NULL;
}

void cast_session_depart(cast_session *s) {
  /* A pusher that saw EMPTY has not set the host's event. Its post goes to the
     ready list first, and is pushed again below, when the session is idle. */
  do {
    cast_session_look(s);
    set_alarm(s);
  } while (!cast_session_go_idle(s));
  s->away = true;
  while (s->ready != NULL) cast_session_push(s, NULL, cast_session_shift(s));
}

/* -- slices --------------------------------------------------------------- */

/* Serves the first ready post, and, if that is a task, those that ops->resume
   goes on with. Returns the runner afterwards, whose session may be another
   one than s, or NULL. */
static cast_runner *step(cast_session *s) {
  cast_task *t = cast_session_take(s);
  cast_post *p = s->ready;
  if (CAST_LIKELY(t != NULL)) return s->ops->resume(t);
  cast_session_shift(s);
  s->budget--; /* before the jump, which does not come back to this frame */
  if (p->run != NULL) {
    p->run(s, p, false);
  } else {
    os_context *to;
    t = CAST_CONTAINER(p, cast_task, post);
    to = t->stack;
    t->stack = NULL;
    cast_runner_jump(s->runner, to);
  }
  return s->runner;
}

/* The runner stops running s. */
static cast_run_end leave(cast_session *s, cast_run how) {
  cast_runner *r = s->runner;
  if (CAST_UNLIKELY(s->metered)) s->ops->meter(s, false);
  cast_runner_serve(r, NULL);
  /* A host's session keeps its runner, which its main program uses, too. */
  if (r->worker != NULL) s->runner = NULL;
  return (cast_run_end){how, s, r};
}

/* The runner begins to run s, or goes on after a look at the inbox. */
static void enter(cast_session *s, cast_runner *r) {
  s->runner = r;
  if (CAST_UNLIKELY(s->metered) && cast_runner_session(r) != s)
    s->ops->meter(s, true);
  cast_runner_serve(r, s);
  cast_session_take_inbox(s);
  expire(s);
}

cast_next cast_session_follow(cast_session *s) {
  const cast_session_ops *ops = s->ops;
  cast_runner *r = s->runner;
  cast_next none = {NULL, r};
  cast_job *job;
  s->current = NULL;
  if (s->ready != NULL || s->close_wanted || s->orphaned || s->metered ||
      r->worker == NULL || !cast_sched_can_follow(r->worker))
    return none;
  set_alarm(s);
  cast_runner_serve(r, NULL);
  s->runner = NULL;
  if (CAST_UNLIKELY(!cast_session_go_idle(s))) {
    enter(s, r);
    return none;
  }
  job = cast_sched_follow(r->worker);
  /* Sysmon may have emptied the slot; then the runner has no session. */
  if (CAST_UNLIKELY(job == NULL)) return none;
  s = CAST_CONTAINER(job, cast_session, job);
  s->budget = CAST_SLICE_TASKS;
  enter(s, r);
  if (CAST_UNLIKELY(s->ops != ops)) return none;
  return (cast_next){cast_session_take(s), r};
}

cast_run_end cast_session_run(cast_session *s, cast_runner *r) {
  /* A runner that goes on with s on a fresh C stack, since a task has blocked
     in place, continues the slice. */
  if (cast_runner_session(r) != s) s->budget = CAST_SLICE_TASKS;
  enter(s, r);
  for (;;) {
    if (s->ops->interrupted != NULL) s->ops->interrupted(s);
    while (s->ready != NULL && s->budget > 0) {
      r = step(s);
      s = cast_runner_session(r);
      if (s == NULL) return (cast_run_end){CAST_RUN_IDLE, NULL, r};
    }
    if (s->ready != NULL) {
      cast_worker *w = s->runner->worker;
      s->budget = CAST_SLICE_TASKS;
      if (w == NULL || !cast_sched_has_backlog(w)) {
        if (w == NULL) cast_sched_look_as_host(s);
        if (CAST_UNLIKELY(s->metered)) {
          s->ops->meter(s, false);
          s->ops->meter(s, true);
        }
        enter(s, s->runner);
        continue;
      }
      return leave(s, CAST_RUN_AGAIN);
    }
    if (must_close(s)) {
      cast_run_end gone;
      cast_session_end(s);
      gone = leave(s, CAST_RUN_GONE);
      cast_session_unref_weak(s);
      return gone;
    }
    if (s->runner->worker != NULL) set_alarm(s);
    cast_run_end idle = leave(s, CAST_RUN_IDLE);
    if (cast_session_go_idle(s)) return idle;
    enter(s, idle.runner);
  }
}
