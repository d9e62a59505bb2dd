/* watchdog.c - a timer of a state that has its computing tasks looked at.
   SPDX-License-Identifier: MIT

   A blocking call looks by itself whether its task must stop. For a task that
   computes there is this timer: when it fires, the worker that runs the session
   gets a preempt request, whose hook looks (preempt.c). A host's tasks are
   looked at by another timer, which fires every now and then while they run
   (host.h), and asks cast_watchdog_is_due.
   Owner: anybody sets it; it fires on sysmon's thread, under the lock of
   its timers.
   Invariants:
   1. While a task that has a scope, or was asked to end, runs in a session of
      ours, the watchdog is set, to CAST_STOP_NS after its next time at most; or
      a preempt request is on its way, whose hook sets it anew.
      So it is, to budget.look_ns, while a slice runs that is measured, and
      CAST_WATCHDOG_NS after each time that it fires from then on.
   2. `watchdog.at_ns` is not before the time that it is set to, unless that has
      passed: a hint that saves taking the timers' lock. */
#include "watchdog.h"

#include "../../base.h"
#include "../../event.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../../session.h"
#include "../../timer.h"
#include "../../worker.h"
#include "../state/state.h"
#include "cancel.h"

void cast_watchdog_set(cast_state *S, uint64_t at_ns, uint64_t now_ns) {
  uint64_t set = atomic_load_explicit(&S->watchdog.at_ns, memory_order_relaxed);
  if (at_ns == OS_FOREVER || (set <= at_ns && set > now_ns)) return;
  /* Of a host nothing but the hint is used: see cast_watchdog_is_due. */
  if (S->host != NULL || cast_timer_set_sooner(&S->watchdog.timer, at_ns))
    atomic_store_explicit(&S->watchdog.at_ns, at_ns, memory_order_relaxed);
}

/* Was any task of S asked to end? */
static bool has_overdue(cast_state *S) {
  /* Relaxed: asked again when it changes (invariant 1). */
  return atomic_load_explicit(&S->cancel.ncancelling, memory_order_relaxed) >
           0 ||
         cast_cancel_has_requests(S) ||
         atomic_load_explicit(&S->close.posted, memory_order_relaxed);
}

/* When to fire next. While tasks are asked to end, or the budget is to be
   looked at, that is soon: the hook may have come at a moment when it could not
   raise, or not have been called, as when the coroutine that it was set on
   ends. */
static uint64_t next_time(cast_state *S) {
  uint64_t now = os_now(), soon = now + CAST_WATCHDOG_NS;
  /* Relaxed: as has_overdue. */
  uint64_t look =
    atomic_load_explicit(&S->budget.look_ns, memory_order_relaxed);
  if (look <= now || (look > soon && has_overdue(S))) return soon;
  return look;
}

/* The timer fires. */
static bool fire(cast_timer *t) {
  cast_state *S = CAST_CONTAINER(t, cast_state, watchdog.timer);
  uint64_t next;
  if (cast_event_is_set(&S->session.closed)) return false;
  next = next_time(S);
  atomic_store_explicit(&S->watchdog.at_ns, next, memory_order_relaxed);
  cast_timer_again(t, next);
  cast_session_ref_weak(&S->session);
  return true;
}

/* Without the timers' lock: the request takes others. */
static void preempt_worker(cast_timer *t) {
  cast_state *S = CAST_CONTAINER(t, cast_state, watchdog.timer);
  cast_workers_preempt(&S->session);
  cast_session_unref_weak(&S->session);
}

/* A time that has come is forgotten here; the hook sets the next one. */
bool cast_watchdog_is_due(cast_state *S) {
  uint64_t at = atomic_load_explicit(&S->watchdog.at_ns, memory_order_relaxed);
  if (at <= os_now())
    atomic_compare_exchange_strong_explicit(&S->watchdog.at_ns, &at, OS_FOREVER,
      memory_order_relaxed, memory_order_relaxed);
  return has_overdue(S) || at <= os_now();
}

int cast_watchdog_init(cast_state *S) {
  S->watchdog.timer.fire = fire;
  S->watchdog.timer.after = preempt_worker;
  S->watchdog.timer.passive = true;
  atomic_init(&S->budget.look_ns, OS_FOREVER);
  /* Its place in the heap is kept, so that setting it never fails. */
  return cast_timer_set(&S->watchdog.timer, OS_FOREVER);
}
