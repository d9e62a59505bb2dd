/* keeper.c - threads that run one session each: how they rest and are woken.
   SPDX-License-Identifier: MIT

   A host's thread is outside of the pool, too, but runs other code in between,
   so its session may be reclaimed by the thread itself, and waking it means an
   event with a descriptor (host.c). A keeper does nothing else. So it is woken
   as an idle worker is, by a word, and the thread that has replaced IDLE in the
   inbox owns the session until it has written that word, just as it would own
   it until it has queued it. Invariants (model keeper.pml):
   1. `signal` is GO_ON at most once for each time that the session goes idle:
      the pusher that has replaced IDLE writes it, and only the keeper takes it
      away. So the session is run by no two threads, and a keeper that comes
      late to its sleep finds the word (R210).
   2. Writing the word is the last that a waker does with keeper and session:
      the keeper may run the session to its end, and end, at once. So the waker
      counts the keeper as awake before (R211).
   3. `nawake` counts the keepers that are not at rest: from before the word is
      written until the session is idle again. It changes under the scheduler's
      lock, so it belongs to the moment at which a look for a deadlock finds the
      scheduler quiet (R212).
   4. `nkeeping` counts those of them for which sysmon stays awake: as a busy
      core, a running keeper relies on sysmon's looks at descriptors, and the
      look for a deadlock comes when sysmon falls asleep. One whose thread
      sleeps in foreign code is taken out. It wakes sysmon when it rests, and
      counts again when its slice is over (R213).
   5. A keeper does not look at descriptors itself: when it rests, it sees to it
      that a worker does (R214).
   Locks: CAST_RANK_SCHED. */
#include "keeper.h"

#include "fork.h"
#include "sched_in.h"

/* What a keeper has answered to a call. */
enum { CALLED = 1, REFUSED = 2 };

/* -- counting ------------------------------------------------------------- */

static void add_keeping_locked(uint32_t n) {
  /* PAIR wake_sysmon: sysmon reads it after it has announced its sleep.
     Relaxed: written under the lock. */
  atomic_store_explicit(&cast_sched.nkeeping,
    n + atomic_load_explicit(&cast_sched.nkeeping, memory_order_relaxed),
    memory_order_seq_cst);
}

/* Relaxed: written under the lock. Others only read it as a hint. */
static void count_locked(cast_worker *w, bool yes) {
  bool is = atomic_load_explicit(&w->counted, memory_order_relaxed) != 0;
  if (is == yes) return;
  atomic_store_explicit(&w->counted, yes, memory_order_relaxed);
  add_keeping_locked(yes ? 1 : UINT32_MAX);
}

/* A waker may come before the keeper, whose session is idle by now, has said
   that it rests: `awake` is 2 then. */
static void awaken_locked(cast_worker *w) {
  CAST_ASSERT(w->awake <= 1);
  w->awake++;
  cast_sched.nawake++;
  count_locked(w, true);
}

/* True: sysmon may have fallen asleep before, and must look again. */
static bool settle_locked(cast_worker *w) {
  bool unnoticed = atomic_load_explicit(&w->counted, memory_order_relaxed) == 0;
  CAST_ASSERT(w->awake > 0);
  w->awake--;
  cast_sched.nawake--;
  if (w->awake == 0) count_locked(w, false);
  return unnoticed;
}

bool cast_keeper_enlist(cast_worker *w) {
  bool room;
  cast_lock_take(&cast_sched.lock);
  room = !cast_sched.stopping && cast_sched.nkeepers < CAST_KEEPERS_MAX;
  if (room) {
    cast_sched.nkeepers++;
    awaken_locked(w);
  }
  cast_lock_drop(&cast_sched.lock);
  if (room) cast_sched.wake_sysmon();
  return room;
}

void cast_keeper_delist(cast_worker *w) {
  bool unnoticed = false;
  cast_lock_take(&cast_sched.lock);
  if (w->awake > 0) unnoticed = settle_locked(w);
  cast_sched.nkeepers--;
  cast_lock_drop(&cast_sched.lock);
  if (unnoticed) cast_sched.wake_sysmon();
}

void cast_keeper_recount(cast_worker *w) {
  atomic_store_explicit(&w->tick, cast_sched_tick(w) + 1, memory_order_relaxed);
  cast_lock_take(&cast_sched.lock);
  count_locked(w, true);
  cast_lock_drop(&cast_sched.lock);
  cast_sched.wake_sysmon();
}

void cast_keeper_discount(cast_worker *w, uint32_t tick) {
  cast_lock_take(&cast_sched.lock);
  if (w->awake > 0 && cast_sched_tick(w) == tick) count_locked(w, false);
  cast_lock_drop(&cast_sched.lock);
}

/* -- resting and waking --------------------------------------------------- */

/* The last access to w and its session by a waker: see invariant 2. */
static void tell(cast_worker *w, uint32_t what) {
  /* PAIR keeper: release the session, or the call, to the keeper. */
  atomic_store_explicit(&w->signal, what, memory_order_release);
  os_wake(&w->signal, 1);
}

void cast_keeper_wake(cast_worker *w) {
  cast_lock_take(&cast_sched.lock);
  awaken_locked(w);
  cast_lock_drop(&cast_sched.lock);
  cast_sched.wake_sysmon();
  tell(w, CAST_GO_ON);
}

/* Calls what the maker of the session has asked for. */
static void serve(cast_worker *w) {
  bool can = w->base != NULL; /* it has begun */
  if (can) w->call(w->call_arg);
  /* PAIR keeper: release what was done to the maker. */
  atomic_store_explicit(
    &w->answer, can ? CALLED : REFUSED, memory_order_release);
  os_wake(&w->answer, 1);
}

bool cast_keeper_rest(cast_worker *w) {
  bool unnoticed;
  cast_lock_take(&cast_sched.lock);
  unnoticed = settle_locked(w);
  cast_lock_drop(&cast_sched.lock);
  if (unnoticed) cast_sched.wake_sysmon();
  if (CAST_UNLIKELY(cast_poller_wanted())) (void)cast_sched_cover();
  for (;;) {
    /* PAIR keeper: acquire. The word is taken away only by this thread. */
    uint32_t what = atomic_load_explicit(&w->signal, memory_order_acquire);
    if (what == 0) {
      (void)os_wait(&w->signal, 0, OS_FOREVER);
      continue;
    }
    /* Relaxed: who writes it next has been told to by this thread. */
    atomic_store_explicit(&w->signal, 0, memory_order_relaxed);
    if (what == CAST_CALL) {
      serve(w);
      continue;
    }
    atomic_store_explicit(
      &w->tick, cast_sched_tick(w) + 1, memory_order_relaxed);
    return what == CAST_GO_ON;
  }
}

/* -- before there is a session -------------------------------------------- */

bool cast_keeper_call(cast_worker *w, void (*f)(void *arg), void *arg) {
  uint32_t answer;
  if (CAST_UNLIKELY(cast_forked)) return false;
  w->call = f;
  w->call_arg = arg;
  atomic_store_explicit(&w->answer, 0, memory_order_relaxed);
  tell(w, CAST_CALL);
  /* PAIR keeper: acquire what was done. */
  while ((answer = atomic_load_explicit(&w->answer, memory_order_acquire)) == 0)
    (void)os_wait(&w->answer, 0, OS_FOREVER);
  return answer == CALLED;
}

void cast_keeper_dismiss(cast_worker *w) {
  if (CAST_LIKELY(!cast_forked)) tell(w, CAST_QUIT);
}
