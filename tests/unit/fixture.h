/* fixture.h - hosts, sessions and tasks without Lua, for tests of the runtime.
   SPDX-License-Identifier: MIT

   A test's task is a small machine: `run` is called each time the task goes
   on, and says whether it has ended. Operations that must wait either return
   CAST_PARKED, then `run` returns false and is called again when the wait is
   over (unit_over says so, once); or, if the task is `in_place`, or a main
   program, they block in place and return what came of it. So the same machine
   can wait in both ways:

     for (; t->n < 10; t->n++) {
       int rc = unit_over(t) ? t->result : unit_send(t, c, 1, t->n, FOREVER);
       if (rc == CAST_PARKED) return false;
       CAST_ALWAYS(rc == 0);
     }
     return true;

   What runs in tasks proves with CAST_ALWAYS; the test function itself is a
   host's main program and may use cmocka's assertions. */
#ifndef CAST_FIXTURE_H
#define CAST_FIXTURE_H

#include "unit.h"

#include <stdlib.h>

#include "../../include/casting.h"
#include "../../src/chan_inline.h"
#include "../../src/host.h"
#include "../../src/mem.h"
#include "../../src/runtime.h"
#include "../../src/sched.h"
#include "../../src/select.h"
#include "../../src/sysmon.h"
#include "../../src/worker.h"

#define FOREVER OS_FOREVER
#define PATIENCE_NS (UINT64_C(100) * 1000000000u) /* then something hangs */
#define MS UINT64_C(1000000)

/* Sanitizers and valgrind are an order of magnitude slower. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNIT_TSAN 1
#endif
#if __has_feature(address_sanitizer)
#define UNIT_SLOW 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define UNIT_TSAN 1
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(UNIT_TSAN)
#define UNIT_SLOW 1
#endif

/* How often to repeat something: as much as time allows. */
static inline uint32_t unit_times(uint32_t n) {
  const char *factor = getenv("CASTING_TIME_FACTOR");
  bool slow = factor != NULL && atoi(factor) > 1;
#if defined(UNIT_SLOW)
  slow = true;
#endif
  return slow ? n / 4 + 1 : n;
}

/* Memcheck, in a process that ends with threads on purpose, or without memory,
   has its own opinion. */
static inline bool unit_valgrind(void) {
  const char *preload = getenv("LD_PRELOAD");
  return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

/* -- counters: relaxed, they are read after something that orders --------- */

static inline uint32_t unit_count(_Atomic uint32_t *n) {
  return 1 + atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}
static inline uint32_t unit_read(_Atomic uint32_t *n) {
  return atomic_load_explicit(n, memory_order_relaxed);
}
static inline void unit_write(_Atomic uint32_t *n, uint32_t value) {
  atomic_store_explicit(n, value, memory_order_relaxed);
}

/* -- messages of two numbers ---------------------------------------------- */

static inline void unit_put(cast_msg *m, uint64_t a, uint64_t b) {
  uint64_t both[2] = {a, b};
  CAST_ALWAYS(cast_msg_is_empty(m) && cast_msg_init(m, sizeof both, 0) == 0);
  memcpy(cast_msg_data(m), both, sizeof both);
}

/* Reads and drops. */
static inline void unit_get(cast_msg *m, uint64_t *a, uint64_t *b) {
  uint64_t both[2];
  CAST_ALWAYS(m->size == sizeof both && m->nrefs == 0);
  memcpy(both, cast_msg_data(m), sizeof both);
  cast_msg_drop(m);
  *a = both[0];
  *b = both[1];
}

/* -- tasks ---------------------------------------------------------------- */

typedef struct unit_task unit_task;
struct unit_task {
  cast_task base;
  bool (*run)(unit_task *t); /* (i) true: it has ended */
  void *arg;                 /* (i) */
  bool in_place;             /* (i) */
  uint32_t at;               /* (w) for run */
  uint64_t n;                /* (w) for run */
  uint64_t seed;             /* (w) for run */
  int result;                /* (w) of the last wait */
  uint32_t which;            /* (w) the case of the last select */
  bool parked;               /* (w) */
  bool over;                 /* (w) */
  cast_case *cases;          /* (w) of a parked select */
  uint32_t ncases;           /* (w) */
};

static inline unit_task *unit_task_of(cast_task *t) {
  return CAST_CONTAINER(t, unit_task, base);
}

static inline void unit_task_free(cast_object *o) {
  unit_task *t = CAST_CONTAINER(o, unit_task, base.object);
  cast_session *s = t->base.session;
  CAST_ALWAYS(cast_list_is_empty(&t->base.link));
  cast_msg_drop(&t->base.waiter.msg);
  cast_free(t);
  cast_session_unref_weak(s);
}

static const cast_type unit_task_type = {
  .name = "task", .free = unit_task_free};

/* NULL when out of memory. Not started; one reference. */
static inline unit_task *unit_task_new(
  cast_session *s, bool (*run)(unit_task *), void *arg) {
  unit_task *t = cast_calloc(sizeof *t);
  if (t == NULL) return NULL;
  cast_task_init(&t->base, s, &unit_task_type);
  t->run = run;
  t->arg = arg;
  t->seed = t->base.id * UINT64_C(0x9e3779b97f4a7c15) | 1;
  return t;
}

/* -- sessions of the pool ------------------------------------------------- */

typedef struct unit_session {
  cast_session base;
  _Atomic(struct unit_task *) running; /* (a) for preempt signals */
  cast_post close_post;
  _Atomic bool close_posted; /* (a) */
  bool inside;               /* (w) not atomic on purpose: one at a time */
  uint32_t closes;           /* (w) times that ops->close was called */
  void *arg;
} unit_session;

static _Atomic uint32_t unit_nfreed; /* (a) sessions that were freed */

static inline unit_session *unit_session_of(cast_session *s) {
  return CAST_CONTAINER(s, unit_session, base);
}

/* A task enters its session, or comes back into it. */
static inline void unit_enter(unit_task *t) {
  unit_session *u = unit_session_of(t->base.session);
  CAST_ALWAYS(!u->inside);
  u->inside = true;
  atomic_store_explicit(&u->running, t, memory_order_relaxed);
}
static inline void unit_leave(unit_task *t) {
  unit_session *u = unit_session_of(t->base.session);
  CAST_ALWAYS(u->inside);
  u->inside = false;
  atomic_store_explicit(&u->running, NULL, memory_order_relaxed);
}

static inline void unit_wait_over(unit_task *t) {
  cast_wait_done(&t->base);
  if (t->cases != NULL) cast_select_done(t->cases, t->ncases);
  t->cases = NULL;
  t->result = t->base.wait.result;
  t->which = t->base.wait.index;
  atomic_store_explicit(&t->base.status, CAST_RUNNING, memory_order_relaxed);
}

static inline void unit_stretch(cast_session *s, cast_task *base) {
  unit_task *t = unit_task_of(base);
  unit_enter(t);
  CAST_ALWAYS(s->current == base && base->session == s);
  if (t->parked) {
    t->parked = false;
    unit_wait_over(t);
    t->over = true;
  }
  bool ended = t->run(t);
  unit_leave(t);
  if (ended) {
    cast_msg_drop(&base->waiter.msg);
    cast_task_finish(base, base->cancelled ? CAST_CANCELLED : CAST_DONE);
  }
}

static inline cast_runner *unit_resume(cast_task *t) {
  cast_next next;
  do {
    cast_session *s = t->session;
    unit_stretch(s, t);
    next = cast_session_turn(s);
    t = next.task;
  } while (t != NULL);
  return next.runner;
}

static inline void unit_wake(cast_session *s, cast_session *self) {
  cast_sched_ready(cast_worker_of(self), &s->job);
}

static inline void unit_on_close(cast_session *s) {
  CAST_ALWAYS(unit_session_of(s)->closes++ == 0);
}

static inline void unit_session_free(cast_session *s) {
  unit_count(&unit_nfreed);
  cast_free(unit_session_of(s));
}

static const cast_session_ops unit_pool_ops = {
  .wake = unit_wake,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_session_free,
};

static inline void unit_close_posted(
  cast_session *s, cast_post *p, bool closed) {
  CAST_UNUSED(p);
  if (!closed) cast_task_cancel_all(s);
}

/* NULL when out of memory. One handle. */
static inline unit_session *unit_session_with(
  const cast_session_ops *ops, bool running) {
  unit_session *s = cast_calloc(sizeof *s);
  if (s == NULL) return NULL;
  s->close_post.run = unit_close_posted;
  if (cast_session_init(&s->base, ops, running) == 0) return s;
  cast_free(s);
  return NULL;
}

static inline unit_session *unit_session_new(void) {
  CAST_ALWAYS(cast_sched_first() == 0);
  unit_session *s = unit_session_with(&unit_pool_ops, false);
  CAST_ALWAYS(s != NULL);
  return s;
}

/* Any thread; `self` is the session that it runs, or NULL. */
static inline void unit_ask_to_close(unit_session *s, cast_session *self) {
  if (!atomic_exchange_explicit(&s->close_posted, true, memory_order_relaxed))
    cast_session_push(&s->base, self, &s->close_post);
}

/* A new task, started; NULL if the session takes none any more. The caller
   has a reference. */
static inline unit_task *unit_spawn_as(cast_session *self, unit_session *s,
  bool (*run)(unit_task *), void *arg, bool in_place) {
  unit_task *t = unit_task_new(&s->base, run, arg);
  CAST_ALWAYS(t != NULL);
  t->in_place = in_place;
  if (cast_task_start(&t->base, self) == 0) return t;
  cast_unref(&t->base.object);
  return NULL;
}

static inline unit_task *unit_spawn(
  unit_session *s, bool (*run)(unit_task *), void *arg) {
  return unit_spawn_as(NULL, s, run, arg, false);
}

/* -- hosts ---------------------------------------------------------------- */

typedef struct unit_host {
  unit_session session;
  cast_host host;
  unit_task *main;
  _Atomic uint32_t stop; /* (a) 1: interrupt the main program's wait */
} unit_host;

static inline unit_host *unit_host_of(cast_session *s) {
  return CAST_CONTAINER(unit_session_of(s), unit_host, session);
}

static inline void unit_host_wake(cast_session *s, cast_session *self) {
  CAST_UNUSED(self);
  cast_host_wake(&unit_host_of(s)->host);
}

static inline bool unit_host_interrupted(cast_session *s) {
  unit_host *h = unit_host_of(s);
  if (unit_read(&h->stop) == 0) return false;
  return cast_wait_end(&h->main->base, CASTING_EINTR);
}

static inline void unit_host_free(cast_session *s) {
  cast_free(unit_host_of(s));
}

static const cast_session_ops unit_host_ops = {
  .wake = unit_host_wake,
  .resume = unit_resume,
  .close = unit_on_close,
  .free = unit_host_free,
  .interrupted = unit_host_interrupted,
};

/* 0 or CASTING_ENOMEM. The calling thread becomes a main program. */
static inline int unit_host_make(
  unit_host **made, const cast_session_ops *ops) {
  unit_host *h = cast_calloc(sizeof *h);
  *made = NULL;
  if (h == NULL) return CASTING_ENOMEM;
  h->session.close_post.run = unit_close_posted;
  int rc = cast_runtime_ref();
  if (rc != 0) goto free_host;
  rc = cast_sysmon_start();
  if (rc != 0) goto unref;
  rc = cast_session_init(&h->session.base, ops, true);
  if (rc != 0) goto unref;
  h->main = unit_task_new(&h->session.base, NULL, NULL);
  if (h->main == NULL) goto end_session;
  h->main->in_place = true;
  rc = cast_host_init(&h->host, &h->session.base, &h->main->base);
  if (rc != 0) goto free_main;
  rc = cast_host_prepare(&h->host);
  if (rc != 0) goto end_host;
  h->session.inside = true;
  *made = h;
  return 0;
end_host:
  cast_host_fini(&h->host);
free_main:
  cast_unref(&h->main->base.object);
end_session:
  rc = CASTING_ENOMEM;
  cast_timer_remove(&h->session.base.alarm);
unref:
  cast_runtime_unref(true);
free_host:
  cast_free(h);
  return rc;
}

/* A host, and the pool with `cores` of them (more than processors, if need
   be, since what is tested is how they get into each other's way). */
static inline unit_host *unit_open(uint32_t cores) {
  unit_host *h;
  CAST_ALWAYS(unit_host_make(&h, &unit_host_ops) == 0);
  cast_sched_limit(cores);
  return h;
}

/* All its sessions have closed. */
static inline void unit_shut(unit_host *h) {
  cast_session *s = &h->session.base;
  CAST_ALWAYS(s->current == &h->main->base);
  cast_session_end(s);
  cast_host_fini(&h->host);
  cast_unref(&h->main->base.object);
  cast_unref(&s->object);
  cast_session_unref_weak(s);
  cast_runtime_unref(true);
}

/* -- waiting, in tasks and in main programs ------------------------------- */

static inline int unit_reserve(unit_task *t, uint64_t deadline) {
  cast_session *s = t->base.session;
  int rc = deadline != FOREVER ? cast_wait_reserve(&t->base) : 0;
  if (rc != 0 || !t->in_place) return rc;
  if (s->runner->worker == NULL)
    return cast_host_reserve(&unit_host_of(s)->host);
  return cast_runner_reserve(s->runner);
}

/* The wait that unit_send and so on have begun is over: t->result. */
static inline bool unit_over(unit_task *t) {
  bool over = t->over;
  t->over = false;
  return over;
}

static inline int unit_wait(unit_task *t, int rc, uint64_t deadline) {
  if (rc != CAST_PARKED) return rc;
  cast_wait_until(&t->base, deadline);
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->base.status, CAST_WAITING, memory_order_relaxed);
  if (!t->in_place) {
    t->parked = true;
    return CAST_PARKED;
  }
  unit_leave(t);
  cast_task_block(&t->base);
  unit_enter(t);
  unit_wait_over(t);
  return t->result;
}

/* In all of these: the result, or CAST_PARKED. What was not sent is dropped. */
static inline int unit_send(
  unit_task *t, cast_chan *c, uint64_t a, uint64_t b, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  cast_msg_drop(&t->base.waiter.msg);
  unit_put(&t->base.waiter.msg, a, b);
  return unit_wait(
    t, cast_chan_send(c, t->base.session, &t->base, &t->base.waiter), deadline);
}

static inline int unit_receive(unit_task *t, cast_chan *c, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  cast_msg_drop(&t->base.waiter.msg);
  return unit_wait(t,
    cast_chan_receive(c, t->base.session, &t->base, &t->base.waiter), deadline);
}

static inline int unit_select(
  unit_task *t, cast_case *cases, uint32_t n, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  int rc = cast_select(t->base.session, &t->base, cases, n, &t->which);
  if (rc == CAST_PARKED) {
    t->cases = cases;
    t->ncases = n;
  }
  return unit_wait(t, rc, deadline);
}

static inline int unit_event(unit_task *t, cast_event *e, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  return unit_wait(t, cast_event_wait(e, &t->base), deadline);
}

static inline bool unit_awaited(cast_event *e) {
  bool awaited;
  cast_lock_take(&e->lock);
  awaited = !cast_list_is_empty(&e->waiters);
  cast_lock_drop(&e->lock);
  return awaited;
}

static inline int unit_sleep(unit_task *t, uint64_t deadline) {
  CAST_ALWAYS(unit_reserve(t, deadline) == 0);
  cast_wait_arm(&t->base, CAST_WAIT_ONE);
  return unit_wait(t, CAST_PARKED, deadline);
}

/* The main program waits; that it must is a bug. */
static inline void unit_await(unit_host *h, cast_event *e) {
  CAST_ALWAYS(unit_event(h->main, e, os_now() + PATIENCE_NS) == 0);
}

/* Waits for the end of t and drops the caller's reference. */
static inline void unit_join(unit_host *h, unit_task *t) {
  unit_await(h, &t->base.done);
  cast_unref(&t->base.object);
}

/* Cancels what runs there, waits for the close and drops the handle. */
static inline void unit_close(unit_host *h, unit_session *s) {
  unit_ask_to_close(s, &h->session.base);
  unit_await(h, &s->base.closed);
  cast_unref(&s->base.object);
}

/* -- a session that nobody runs: the test looks at its ready list --------- */

static inline unit_session *unit_still(void) {
  cast_timers_init();
  unit_session *s = unit_session_with(&unit_pool_ops, true);
  CAST_ALWAYS(s != NULL);
  return s;
}

/* The task that is ready first, taken out; NULL: none. */
static inline unit_task *unit_still_next(unit_session *s) {
  if (s->base.ready == NULL) return NULL;
  cast_post *p = cast_session_shift(&s->base);
  return unit_task_of(CAST_CONTAINER(p, cast_task, post));
}

static inline void unit_still_end(unit_session *s) {
  CAST_ALWAYS(s->base.ready == NULL);
  cast_session_end(&s->base);
  cast_unref(&s->base.object);
  cast_session_unref_weak(&s->base);
  cast_timers_fini();
}

/* -- nothing is left over ------------------------------------------------- */

/* The blocks that an earlier test has lost are that test's failure alone. */
static int64_t unit_lost;

static inline int unit_clean(void **state) {
  CAST_UNUSED(state);
  cast_mem_fail_at(0);
  int64_t lost = cast_mem_live() - unit_lost;
  unit_lost += lost;
  return lost == 0 ? 0 : -1;
}

#endif
