/* worker.c - a worker's thread: find a session, run it, find the next.
   SPDX-License-Identifier: MIT

   The thread's own C stack is used only to start and to end. The loop runs on
   contexts from the pool, since a task may keep the context on which it blocks,
   and another worker may go on with it (context.h). A keeper, the thread of a
   session that has one of its own, begins and ends like a worker, but has a
   loop for that session alone (keeper.h). Owner: a worker's struct belongs to
   its thread until that is in `ended`; who joins the thread frees it. */
#include "worker.h"

#include "../include/casting.h"
#include "fork.h"
#include "keeper.h"
#include "mem.h"
#include "slice.h"

/* Maps a thread to its runner, for the handler of a preempt signal. That
   handler must not use thread-local data, whose first use may allocate in a
   library that was loaded at run time. A worker has a slot from before its loop
   until after it; a host has one, too. */
struct cast_slot {
  _Atomic uintptr_t thread;   /* (a) os_thread_self of its owner; 0: free */
  _Atomic(cast_runner *) who; /* (a) the runner; only that thread reads it */
};

/* Hosts are few; one that finds no slot cannot be interrupted. */
#define SLOTS (CAST_WORKERS_MAX + CAST_KEEPERS_MAX)
static cast_slot slots[SLOTS];

static struct {
  cast_lock lock;
  cast_list live;          /* (lock) workers whose thread may be signalled */
  bool can_preempt;        /* (lock) the platform has preempt signals */
  cast_list ended;         /* (lock) workers whose thread is to be joined */
  _Atomic uint32_t nended; /* (a) how many ever ended; the joiner's futex */
} workers;

/* Relaxed but for the hand-over of a slot: its own thread alone reads it. */
cast_slot *cast_slot_take(cast_runner *r) {
  for (size_t i = 0; i < SLOTS; i++) {
    uintptr_t none = 0;
    /* PAIR slot: acquire; the last owner's writes come before this one's. */
    if (!atomic_compare_exchange_strong_explicit(&slots[i].thread, &none,
          os_thread_self(), memory_order_acquire, memory_order_relaxed))
      continue;
    atomic_store_explicit(&slots[i].who, r, memory_order_relaxed);
    return &slots[i];
  }
  return NULL;
}

void cast_slot_give(cast_slot *s) {
  if (s == NULL) return;
  atomic_store_explicit(&s->who, NULL, memory_order_relaxed);
  /* PAIR slot: release. */
  atomic_store_explicit(&s->thread, 0, memory_order_release);
}

/* The session that the calling thread runs; NULL if it has no slot. */
static cast_session *session_here(void) {
  uintptr_t self = os_thread_self();
  for (size_t i = 0; i < SLOTS; i++) {
    cast_runner *r;
    if (atomic_load_explicit(&slots[i].thread, memory_order_relaxed) != self)
      continue;
    r = atomic_load_explicit(&slots[i].who, memory_order_relaxed);
    return r != NULL ? cast_runner_session(r) : NULL;
  }
  return NULL;
}

/* The handler of the preempt signal. It may run in any thread, since other
   programs and libraries may send the same signal. */
static void on_preempt(void) {
  cast_session *s = session_here();
  if (s != NULL && s->ops->preempt != NULL) s->ops->preempt(s);
}

void cast_workers_forked(void) {
  cast_session *s = session_here();
  if (s != NULL && s->ops->signals != NULL)
    os_signals_adopt(s->ops->signals(s));
}

void cast_workers_init(void) {
  cast_lock_init(&workers.lock, CAST_RANK_WORKERS);
  cast_list_init(&workers.ended);
  cast_list_init(&workers.live);
  workers.can_preempt = os_preempt_install(on_preempt) == 0;
}

void cast_workers_preempt(const cast_session *s) {
  cast_lock_take(&workers.lock);
  for (cast_list *l = workers.live.next;
       workers.can_preempt && l != &workers.live; l = l->next) {
    cast_worker *w = CAST_CONTAINER(l, cast_worker, live);
    /* A hint: the worker may run another session when the signal arrives. */
    if (s == NULL || cast_runner_session(&w->runner) == s)
      os_preempt(&w->thread);
  }
  cast_lock_drop(&workers.lock);
}

cast_worker *cast_worker_of(const cast_session *self) {
  return self != NULL ? self->runner->worker : NULL;
}

/* The loop of a worker, on a context. It never returns, but jumps to the
   thread's own stack. The runner may be another one after each run. */
static void loop(cast_runner *r) {
  for (;;) {
    cast_worker *w = r->worker;
    cast_session *s = cast_runner_session(r);
    if (s == NULL) {
      cast_job *job = cast_sched_find(w);
      if (job == NULL) cast_runner_jump(r, w->base);
      s = CAST_CONTAINER(job, cast_session, job);
    }
    cast_run_end end = cast_session_run(s, r);
    r = end.runner;
    if (end.how == CAST_RUN_AGAIN)
      cast_sched_again(r->worker, &end.session->job);
  }
}

/* The loop of a keeper, likewise. Its runner never is another one. It begins on
   a fresh stack when the thread starts, and whenever a task of the session has
   blocked in place; then the session goes on at once. */
static void keep(cast_runner *r) {
  cast_worker *w = r->worker;
  cast_run how =
    cast_runner_session(r) == NULL ? CAST_RUN_IDLE : CAST_RUN_AGAIN;
  while (how != CAST_RUN_GONE) {
    if (how == CAST_RUN_IDLE && !cast_keeper_rest(w)) break;
    how = cast_session_run(w->session, r).how;
    if (how == CAST_RUN_AGAIN) cast_keeper_recount(w);
  }
  cast_runner_jump(r, w->base);
}

/* Joins and frees the workers in `ended`. */
static void join_ended(void) {
  for (;;) {
    cast_list *l;
    cast_worker *w;
    cast_lock_take(&workers.lock);
    l = cast_list_shift(&workers.ended);
    cast_lock_drop(&workers.lock);
    if (l == NULL) return;
    w = CAST_CONTAINER(l, cast_worker, link);
    os_thread_join(&w->thread);
    cast_free(w);
  }
}

static void thread_main(void *arg) {
  cast_worker *w = arg;
  cast_runner *r = &w->runner;
  cast_slot *mine = cast_slot_take(r);
  w->base = os_context_adopt();
  if (w->base == NULL && w->session != NULL) {
    (void)cast_keeper_rest(w); /* refuses all calls, until it is dismissed */
  } else if (w->base == NULL) {
    cast_sched_quit(w);
  } else {
    r->at = w->base;
    cast_runner_fork(r, &r->at); /* returns when the worker is to end */
    cast_runner_arrived(r);
    os_context_free(w->base);
  }
  cast_runner_fini(r);
  /* Joins the worker that retired before this one, so that at most one ended
     thread is ever left. */
  join_ended();
  /* The worker enters `ended` and leaves the scheduler's list under one lock,
     so that a joiner finds it in one of them. The same lock makes sure that
     cast_worker_start has written w->thread. */
  cast_slot_give(mine);
  cast_lock_take(&workers.lock);
  cast_list_remove(&w->live);
  /* Under the lock: then w may be joined and freed. */
  if (w->session != NULL)
    cast_keeper_delist(w);
  else
    cast_sched_delist(w);
  cast_list_push(&workers.ended, &w->link);
  cast_lock_drop(&workers.lock);
  /* PAIR ended: release; the joiner reads the list after it. */
  atomic_fetch_add_explicit(&workers.nended, 1, memory_order_release);
  os_wake(&workers.nended, 1);
}

/* NULL: out of memory, or this is the child of a fork. */
static cast_worker *make(void (*run)(cast_runner *r)) {
  cast_worker *w = cast_calloc(sizeof *w);
  if (w == NULL) return NULL;
  cast_list_init(&w->link);
  cast_list_init(&w->live);
  cast_list_init(&w->all);
  w->runner.loop = run;
  w->runner.worker = w;
  if (!cast_forked && cast_runner_reserve(&w->runner) == 0) return w;
  cast_free(w);
  return NULL;
}

static void discard(cast_worker *w) {
  cast_runner_fini(&w->runner);
  cast_free(w);
}

/* The thread may run, and even end, before w->thread is written. The lock keeps
   others from joining it before. */
static int start(cast_worker *w, const char *name) {
  int rc;
  cast_lock_take(&workers.lock);
  rc = os_thread_start(&w->thread, thread_main, w, name);
  if (rc == 0) cast_list_push(&workers.live, &w->live);
  cast_lock_drop(&workers.lock);
  return rc;
}

int cast_worker_start(cast_core *core) {
  cast_worker *w = make(loop);
  if (w == NULL) return CASTING_ENOMEM;
  w->core = core;
  w->spinning = true;
  w->seed = (uint32_t)os_entropy();
  if (!cast_sched_enlist(w)) goto discard;
  if (start(w, "casting") == 0) return 0;
  cast_sched_delist(w);
discard:
  discard(w);
  return CASTING_ENOMEM;
}

int cast_worker_keep(cast_session *s) {
  cast_worker *w = make(keep);
  int rc = CASTING_EFULL;
  if (w == NULL) return CASTING_ENOMEM;
  w->session = s;
  if (!cast_keeper_enlist(w)) goto discard;
  s->keeper = w;
  rc = start(w, "casting/own");
  if (rc == 0) return 0;
  s->keeper = NULL;
  cast_keeper_delist(w);
discard:
  discard(w);
  return rc;
}

/* -- what sysmon sees ----------------------------------------------------- */

/* Does w's thread sleep in the kernel, and has it used less than a quarter of
   the time since the last look? */
static bool is_stuck(cast_worker *w, uint64_t now) {
  uint64_t cpu = os_thread_cpu(&w->thread);
  bool still = (cpu - w->cpu_ns) * 4 < now - w->cpu_at_ns;
  w->cpu_ns = cpu;
  w->cpu_at_ns = now;
  return still && os_thread_is_asleep(&w->thread);
}

/* w is in the same slice as at the last look. True if a job or a permit was
   released, for which cast_sched_wake must be called. */
static bool check_slice(cast_worker *w, uint64_t now, uint64_t *next) {
  uint64_t age = now - w->since_ns, slice = (uint64_t)CAST_SLICE_MS * 1000000u;
  bool lost;
  cast_view view = cast_sched_view(w, &lost);
  atomic_store_explicit(&w->runner.look, true, memory_order_relaxed);
  if (!lost && is_stuck(w, now)) return cast_sched_retake(w, w->seen_tick);
  if (view == CAST_VIEW_CALM) return false;
  if (view == CAST_VIEW_SPARE && !lost) {
    cast_sched_release_next(w);
    return true;
  }
  if (age < slice) {
    if (w->since_ns + slice < *next) *next = w->since_ns + slice;
    return false;
  }
  /* Other sessions wait, and no worker is free: ask the task to let go. A task
     that does not (compiled code of LuaJIT, a long C function) goes on without
     a permit after a while. */
  if (workers.can_preempt) os_preempt(&w->thread);
  if (age < (uint64_t)CAST_RETAKE_MS * 1000000u || lost) return false;
  return cast_sched_retake(w, w->seen_tick);
}

/* The same of a keeper, for which nobody waits but its own session. */
static void check_keeper(cast_worker *w, uint64_t now) {
  if (is_stuck(w, now)) cast_keeper_discount(w, w->seen_tick);
}

/* Looks at one worker: notes a new slice, or deals with one that goes on. */
static bool check_worker(cast_worker *w, uint64_t now, uint64_t *next) {
  uint32_t tick = cast_sched_tick(w);
  bool runs = cast_runner_session(&w->runner) != NULL;
  if (runs && now >= w->again_ns && cast_runner_asks_again(&w->runner) &&
      workers.can_preempt) {
    w->again_ns = now + CAST_AGAIN_NS;
    os_preempt(&w->thread);
  }
  if (runs && tick == w->seen_tick) {
    if (w->session == NULL) return check_slice(w, now, next);
    check_keeper(w, now);
    return false;
  }
  w->seen_tick = tick;
  w->since_ns = w->cpu_at_ns = now;
  w->cpu_ns = runs ? os_thread_cpu(&w->thread) : 0;
  return false;
}

bool cast_workers_check(uint64_t now, uint64_t *next) {
  bool any = false;
  cast_lock_take(&workers.lock);
  for (cast_list *l = workers.live.next; l != &workers.live; l = l->next)
    any |= check_worker(CAST_CONTAINER(l, cast_worker, live), now, next);
  cast_lock_drop(&workers.lock);
  if (any || cast_sched_take_retry()) cast_sched_wake();
  return any;
}

bool cast_workers_join(uint64_t deadline_ns) {
  for (;;) {
    /* PAIR ended: acquire. */
    uint32_t seen = atomic_load_explicit(&workers.nended, memory_order_acquire);
    join_ended();
    if (cast_sched_workers() == 0) {
      join_ended();
      return true;
    }
    if (os_now() >= deadline_ns) return false;
    os_wait(&workers.nended, seen, deadline_ns);
  }
}
