/* errand.c - the thread that runs errands.
   SPDX-License-Identifier: MIT

   Locks: `errands.lock` (CAST_RANK_LEAF) for the queue and the thread. It is
   held while the thread is started: the new thread takes it first, and then
   finds `before` and `join_before` written. The invariants are in errand.h.

   In the child of a fork (fork.h) there are no errands: the parent runs its
   own, and the child does not have the thread. */
#include "errand.h"

#include <stdlib.h>

#include "deadlock.h"
#include "fork.h"
#include "limits.h"
#include "lock.h"
#include "os/os.h"
#include "timer.h"

static struct {
  cast_lock lock;
  cast_errand *first;      /* (lock) the queue */
  cast_errand *last;       /* (lock) valid while there is a first one */
  cast_object *ended;      /* (lock) objects without references, to be ended */
  bool runs;               /* (lock) the thread runs, or has been started */
  uint32_t helpers;        /* (lock) waiting threads that run an errand */
  os_thread thread;        /* (lock) the one that runs, or the last that did */
  bool to_join;            /* (lock) `thread` has not been joined yet */
  os_thread before;        /* (lock) its predecessor, which it joins, ... */
  bool join_before;        /* (lock) ... if there was one */
  bool at_exit;            /* (lock) the function for exit is registered */
  bool late;               /* (lock) a wait has timed out: no thread waits any
                              more until no errand is left */
  _Atomic uint32_t pauses; /* (a) a futex: how often no errand was left */
} errands = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

/* -- the thread ----------------------------------------------------------- */

/* Is the queue empty, and does no thread run an errand? */
static bool is_idle_locked(void) {
  return errands.first == NULL && errands.ended == NULL && !errands.runs &&
         errands.helpers == 0;
}

/* Relaxed: a thread that wakes takes the lock and looks again. */
static void wake_waiters(void) {
  atomic_fetch_add_explicit(&errands.pauses, 1, memory_order_relaxed);
  os_wake(&errands.pauses, INT32_MAX);
}

/* A thread that waits has run an errand itself. */
static void finish_help(void) {
  cast_lock_take(&errands.lock);
  errands.helpers--;
  if (is_idle_locked()) errands.late = false;
  cast_lock_drop(&errands.lock);
  wake_waiters();
}

/* Runs one errand and ends all objects in the list; false if there was none.
   is_thread: by the errands' thread, not by a thread that waits. */
static bool do_some(bool is_thread) {
  cast_object *ended;
  cast_errand *e;
  cast_lock_take(&errands.lock);
  e = errands.first;
  if (e != NULL) errands.first = e->next;
  ended = errands.ended;
  errands.ended = NULL;
  if (is_thread && e == NULL && ended == NULL)
    errands.runs = errands.late = false;
  if (!is_thread && (e != NULL || ended != NULL)) errands.helpers++;
  cast_lock_drop(&errands.lock);
  if (e == NULL && ended == NULL) return false;
  if (e != NULL) e->run(e);
  cast_object_end_all(ended);
  if (e != NULL) cast_deadlock_unexpect();
  if (ended != NULL) cast_deadlock_unexpect();
  if (!is_thread && !cast_forked) finish_help();
  return true;
}

static void thread_main(void *arg) {
  os_thread before;
  bool join;
  CAST_UNUSED(arg);
  cast_lock_take(&errands.lock);
  before = errands.before;
  join = errands.join_before;
  errands.join_before = false;
  cast_lock_drop(&errands.lock);
  if (join) os_thread_join(&before);
  /* An errand may call a function of the host's that forks: then the child must
     not run the errands that are left, since they are the parent's. */
  while (do_some(true) && !cast_forked) {}
  wake_waiters();
}

/* Starts the thread if it is needed and does not run; false if it could not be
   started. */
static bool start_locked(void) {
  os_thread last = errands.thread;
  if (errands.runs || (errands.first == NULL && errands.ended == NULL))
    return true;
  cast_fork_threads(true);
  if (os_thread_start(&errands.thread, thread_main, NULL, "casting/err") != 0) {
    cast_fork_threads(false);
    return false;
  }
  errands.before = last;
  errands.join_before = errands.to_join;
  errands.to_join = errands.runs = true;
  return true;
}

/* -- when it could not be started ----------------------------------------- */

static bool try_again(cast_timer *t) {
  CAST_UNUSED(t);
  return true;
}

static void retry_start(cast_timer *t);

/* Makes the next attempt after CAST_ERRAND_RETRY_NS. If there is no memory for
   this timer, the next errand makes it. */
static cast_timer retry = {
  .fire = try_again, .after = retry_start, .passive = true};

static void try_start(void) {
  bool ok;
  cast_lock_take(&errands.lock);
  ok = start_locked();
  cast_lock_drop(&errands.lock);
  if (!ok) (void)cast_timer_set(&retry, os_now() + CAST_ERRAND_RETRY_NS);
}

static void retry_start(cast_timer *t) {
  CAST_UNUSED(t);
  try_start();
}

/* -- for others ----------------------------------------------------------- */

/* Gives errands (reports of failures, mostly) some time before the process
   ends. */
static void at_exit(void) {
  if (!cast_forked) (void)cast_errands_wait(os_now() + CAST_EXIT_NS);
}

/* Registers at_exit once: a program may call exit without closing its states.
   */
static void heed_exit(void) {
  bool first;
  cast_lock_take(&errands.lock);
  first = !errands.at_exit;
  errands.at_exit = true;
  cast_lock_drop(&errands.lock);
  if (first) (void)atexit(at_exit);
}

void cast_errand_send(cast_errand *e, void (*run)(cast_errand *e)) {
  if (CAST_UNLIKELY(cast_forked)) return;
  e->next = NULL;
  e->run = run;
  heed_exit();
  cast_deadlock_expect();
  cast_lock_take(&errands.lock);
  if (errands.first == NULL)
    errands.first = e;
  else
    errands.last->next = e;
  errands.last = e;
  cast_lock_drop(&errands.lock);
  try_start();
}

void cast_errand_end(cast_object *o) {
  bool first;
  if (CAST_UNLIKELY(cast_forked)) return; /* nothing ends there */
  cast_deadlock_expect();
  cast_lock_take(&errands.lock);
  first = errands.ended == NULL;
  o->next = errands.ended;
  errands.ended = o;
  cast_lock_drop(&errands.lock);
  if (!first) cast_deadlock_unexpect(); /* all of them count as one errand */
  try_start();
}

bool cast_errands_wait(uint64_t deadline_ns) {
  while (!cast_forked) {
    /* Relaxed: read before the state below, which the lock orders. */
    uint32_t seen = atomic_load_explicit(&errands.pauses, memory_order_relaxed);
    bool ok, idle, late;
    cast_lock_take(&errands.lock);
    ok = start_locked();
    idle = is_idle_locked();
    if (!idle && os_now() >= deadline_ns) errands.late = true;
    late = errands.late;
    cast_lock_drop(&errands.lock);
    if (idle) return true;
    if (late) return false;
    if (ok)
      (void)os_wait(&errands.pauses, seen, deadline_ns);
    else
      (void)do_some(false);
  }
  return true; /* an errand that was run here has forked */
}

bool cast_errands_stop(uint64_t deadline_ns) {
  os_thread thread;
  bool join;
  if (!cast_errands_wait(deadline_ns)) return false;
  if (CAST_UNLIKELY(cast_forked)) return true; /* there is no thread to join */
  cast_timer_remove(&retry);
  cast_lock_take(&errands.lock);
  thread = errands.thread;
  join = errands.to_join;
  errands.to_join = false;
  cast_lock_drop(&errands.lock);
  if (join) os_thread_join(&thread);
  return true;
}
