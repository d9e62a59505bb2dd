/* watchdog.c - a timer of a state that has its computing tasks looked at.
   SPDX-License-Identifier: MIT

   When it fires, the worker that runs the session is poked, and the hook that
   this sets looks whether the task has to stop (preempt.c). Invariants:
   1. While a task that is guarded or to be cancelled runs in a session of
      ours, the watchdog is set, to CAST_STOP_NS after its next time at most; or
      a poke is on its way, whose hook sets it anew.
   2. `nag_ns` is not before the time that it is set to, unless that has passed:
      a hint that saves taking the timers' lock. */
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

void cast_nag_at(cast_state *S, uint64_t at_ns, uint64_t now_ns) {
  uint64_t set = atomic_load_explicit(&S->nag_ns, memory_order_relaxed);
  if (at_ns == OS_FOREVER || (set <= at_ns && set > now_ns)) return;
  /* A host's tasks are looked at every now and then, while they run. */
  if (S->host != NULL || cast_timer_sooner(&S->nag, at_ns))
    atomic_store_explicit(&S->nag_ns, at_ns, memory_order_relaxed);
}

/* Are there tasks that should have ended? */
static bool is_wanted(cast_state *S) {
  /* Relaxed: asked again when it changes (invariant 1). */
  return atomic_load_explicit(&S->wanted, memory_order_relaxed) > 0 ||
         cast_cancel_sweeps(S) ||
         atomic_load_explicit(&S->close_posted, memory_order_relaxed);
}

static bool nag(cast_timer *t) {
  cast_state *S = CAST_CONTAINER(t, cast_state, nag);
  uint64_t next = OS_FOREVER;
  if (cast_event_is_set(&S->session.closed)) return false;
  if (is_wanted(S)) next = os_now() + CAST_NAG_NS;
  atomic_store_explicit(&S->nag_ns, next, memory_order_relaxed);
  cast_timer_again(t, next);
  cast_session_hold(&S->session);
  return true;
}

static void after_nag(cast_timer *t) {
  cast_state *S = CAST_CONTAINER(t, cast_state, nag);
  cast_workers_poke(&S->session);
  cast_session_drop(&S->session);
}

bool cast_stop_due(cast_state *S) {
  uint64_t at = atomic_load_explicit(&S->nag_ns, memory_order_relaxed);
  if (at <= os_now())
    atomic_compare_exchange_strong_explicit(
      &S->nag_ns, &at, OS_FOREVER, memory_order_relaxed, memory_order_relaxed);
  return is_wanted(S) || at <= os_now();
}

int cast_nag_init(cast_state *S) {
  S->nag.fire = nag;
  S->nag.after = after_nag;
  S->nag.passive = true;
  /* Its place in the heap is kept, so that setting it never fails. */
  return cast_timer_set(&S->nag, OS_FOREVER);
}
