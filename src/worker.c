/* worker.c - a worker's thread: find a session, run it, find the next.
   SPDX-License-Identifier: MIT

   The thread's own C stack is only used to start and to end: the loop runs on
   contexts from the pool, since a task may keep the one it blocks on, and
   another worker may go on with it (context.h). */
#include "worker.h"

#include "../include/casting.h"
#include "fork.h"
#include "mem.h"
#include "slice.h"

/* Which runner a thread is: found by the handler of a preempt signal, which
   must not touch thread-local data of a module that was loaded later. A slot is
   a worker's from before its loop until after it, and a host's. */
struct cast_slot {
  _Atomic uintptr_t thread;   /* (a) 0: free */
  _Atomic(cast_runner *) who; /* (a) valid for that thread only */
};

static cast_slot slots[CAST_WORKERS_MAX];

static struct {
  cast_lock lock;
  cast_list live;          /* (lock) whose thread may be signalled */
  bool can_preempt;        /* (lock) the platform can */
  cast_list ended;         /* (lock) to be joined */
  _Atomic uint32_t nended; /* (a) all that ever ended; joiner sleeps on it */
} workers;

/* Relaxed but for the hand-over: a slot is only read by its own thread. */
cast_slot *cast_slot_take(cast_runner *r) {
  for (size_t i = 0; i < CAST_WORKERS_MAX; i++) {
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

/* The session that the calling thread runs, as far as its slot tells. */
static cast_session *session_here(void) {
  uintptr_t self = os_thread_self();
  for (size_t i = 0; i < CAST_WORKERS_MAX; i++) {
    cast_runner *r;
    if (atomic_load_explicit(&slots[i].thread, memory_order_relaxed) != self)
      continue;
    r = atomic_load_explicit(&slots[i].who, memory_order_relaxed);
    return r != NULL ? cast_runner_session(r) : NULL;
  }
  return NULL;
}

/* In any thread: a signal may come from elsewhere, too. */
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
    /* A hint: it may have changed when the preempt signal arrives. */
    if (s == NULL || cast_runner_session(&w->runner) == s)
      os_preempt(&w->thread);
  }
  cast_lock_drop(&workers.lock);
}

cast_worker *cast_worker_of(const cast_session *self) {
  return self != NULL ? self->runner->worker : NULL;
}

/* Runs on a context; never returns, but jumps to the thread's own stack. */
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
  if (w->base == NULL) {
    cast_sched_quit(w);
  } else {
    r->at = w->base;
    cast_runner_fork(r, &r->at); /* returns when the worker is to end */
    cast_runner_arrived(r);
    cast_runner_fini(r);
    os_context_free(w->base);
  }
  join_ended(); /* those who retired before: never more than one is left */
  /* Into `ended` before it leaves the scheduler's list, so that the joiner
     never sees neither. The lock: w->thread was written (cast_worker_start). */
  cast_slot_give(mine);
  cast_lock_take(&workers.lock);
  cast_list_remove(&w->live);
  cast_sched_delist(w); /* within: afterwards it may be joined, and freed */
  cast_list_push(&workers.ended, &w->link);
  cast_lock_drop(&workers.lock);
  /* PAIR ended: release; the joiner reads the list after it. */
  atomic_fetch_add_explicit(&workers.nended, 1, memory_order_release);
  os_wake(&workers.nended, 1);
}

int cast_worker_start(cast_core *core) {
  cast_worker *w = cast_calloc(sizeof *w);
  int rc;
  if (w == NULL) return CASTING_ENOMEM;
  if (CAST_UNLIKELY(cast_forked)) goto free_worker;
  cast_list_init(&w->link);
  cast_list_init(&w->live);
  w->runner.loop = loop;
  w->runner.worker = w;
  w->core = core;
  w->spinning = true;
  w->seed = (uint32_t)os_entropy();
  if (cast_runner_reserve(&w->runner) != 0) goto free_worker;
  if (!cast_sched_enlist(w)) goto fini_runner;
  /* The thread may run, and end, before w->thread is written: the lock keeps
     it from being joined before. */
  cast_lock_take(&workers.lock);
  rc = os_thread_start(&w->thread, thread_main, w, "casting");
  if (rc == 0) cast_list_push(&workers.live, &w->live);
  cast_lock_drop(&workers.lock);
  if (rc != 0) goto delist;
  return 0;
delist:
  cast_sched_delist(w);
fini_runner:
  cast_runner_fini(&w->runner);
free_worker:
  cast_free(w);
  return CASTING_ENOMEM;
}

/* -- what sysmon sees ----------------------------------------------------- */

/* Has its thread stood still since the last look, and sleeps? */
static bool is_stuck(cast_worker *w, uint64_t now) {
  uint64_t cpu = os_thread_cpu(&w->thread);
  bool still = (cpu - w->cpu_ns) * 4 < now - w->cpu_at_ns;
  w->cpu_ns = cpu;
  w->cpu_at_ns = now;
  return still && os_thread_is_asleep(&w->thread);
}

/* w has been in one slice since the last look at least. True: something was
   done that others must be woken for. */
static bool check_slice(cast_worker *w, uint64_t now, uint64_t *next) {
  uint64_t age = now - w->since_ns, slice = (uint64_t)CAST_SLICE_MS * 1000000u;
  bool lost;
  cast_view view = cast_sched_view(w, &lost);
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
  /* Others wait, and nobody is free to take them: give way. What does not
     (LuaJIT, a long C function) goes on without a permit. */
  if (workers.can_preempt) os_preempt(&w->thread);
  if (age < (uint64_t)CAST_RETAKE_MS * 1000000u || lost) return false;
  return cast_sched_retake(w, w->seen_tick);
}

static bool check_worker(cast_worker *w, uint64_t now, uint64_t *next) {
  uint32_t tick = cast_sched_tick(w);
  bool runs = cast_runner_session(&w->runner) != NULL;
  if (runs && tick == w->seen_tick) return check_slice(w, now, next);
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
