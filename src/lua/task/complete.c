/* complete.c - what a blocking call does when its wait is over.
   SPDX-License-Identifier: MIT

   It raises what the task has to meet, a cancellation for example, or pushes
   what the call returns. Where the VM has continuations, that happens in the
   call itself, as the coroutine is resumed. On 5.1 and LuaJIT the call has gone
   when the coroutine is resumed, so it happens before that (deliver.c). A call
   that has waited in place does it on return.
   Owner: the task's session.
   Invariant: before anything is raised or pushed the wait is over
   (cast_wait_over), since both may run a finalizer, which may wait in the name
   of the same task. */
#include "complete.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../msg.h"
#include "../../os/os.h"
#include "../../select.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/compat.h"
#include "../state/interrupt.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../stop/last.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../transfer/number.h"
#include "scratch.h"

void cast_wait_over(cast_ltask *t) {
  cast_wait_done(&t->base);
  if (t->selecting) cast_select_done(t->extra->cases, t->extra->ncases);
  t->selecting = false;
}

bool cast_wait_again(cast_ltask *t) {
  cast_task *base = &t->base;
  cast_session *s = base->session;
  const cast_heap_node *n = &base->wait.deadline;
  uint64_t deadline =
    n->index != 0 ? cast_heap_deadline(&s->deadlines, n) : OS_FOREVER;
  bool late = deadline == CAST_DEADLINE_PASSED;
  int rc;
  if (CAST_UNLIKELY(late)) deadline = 1; /* in the past */
  cast_wait_over(t); /* its place in the heap is free, for the same deadline */
  rc = t->kind->again(cast_state_of(s), t);
  if (rc != CAST_PARKED && rc != CAST_MORE) {
    base->wait.result = rc;
    return false;
  }
  if (CAST_UNLIKELY(rc == CAST_MORE)) cast_wait_arm(base, CAST_WAIT_ONE);
  cast_wait_until(base, deadline);
  /* Relaxed: only reported. */
  atomic_store_explicit(&base->status, CAST_WAITING, memory_order_relaxed);
  /* The cancellation has come when it did not wait. */
  if (CAST_UNLIKELY(base->cancelled))
    cast_wait_interrupt(base, CASTING_ECANCELLED, os_now());
  /* It has had this try; events that come faster than its session looks at its
     deadlines would put off the end for ever. */
  if (CAST_UNLIKELY(late))
    cast_wait_interrupt(base, CASTING_ETIMEOUT, os_now());
  /* It goes on in its next turn, unless its time is up. */
  if (CAST_UNLIKELY(rc == CAST_MORE) && cast_wait_is_armed(&base->wait)) {
    uint64_t now = os_now();
    if (deadline <= now) cast_wait_interrupt(base, CASTING_ETIMEOUT, now);
    (void)cast_wait_end(base, 0);
  }
  return true;
}

/* Raises what has ended the wait other than what was waited for; returns if the
   call has an outcome for that, such as a timeout. A wait that has brought
   something does not come here: a message that was taken must not be lost
   because a cancellation came just after it. */
static void raise_interrupt(
  lua_State *L, cast_state *S, cast_ltask *t, int result, bool is_past) {
  if (result == CASTING_EINTR) cast_call_hook(L, S);
  if (t == S->main && cast_last_is_waiting(S)) cast_last_over(L, S);
  if (is_past) cast_stop_check(L, t, os_now());
  if (result == CAST_DEADLOCK) S->binding->raise_deadlock(L, S);
  if (result != CASTING_ECANCELLED) return;
  if (t->loading) cast_load_stop(t);
  cast_cancel_push_of(L, t);
  lua_error(L);
}

/* Was the task stopped before its wait has ended? It is asked once, so that
   what cleans up does so for the error that is raised, and for no other. */
static bool is_past_its_time(cast_ltask *t, int result) {
  uint64_t since;
  if (result != CASTING_ETIMEOUT && result != CASTING_ECANCELLED) return false;
  if (CAST_LIKELY(!cast_scope_is_needed(t))) return false;
  cast_cancel_observe(t);
  return cast_scope_is_past(t, os_now(), &since);
}

/* The wait of a cancelled task ends with CASTING_ECANCELLED also when a shield
   has kept it (cast_scope_extended_until) until the deadline of the call: then
   nothing must be raised yet, and it is a timeout. */
static int timeout_or_cancel(cast_ltask *t) {
  uint64_t now = os_now();
  return cast_scope_deadline(t, now) > now ? CASTING_ETIMEOUT
                                           : CASTING_ECANCELLED;
}

/* `kind` and `arg` are read first: whatever runs in between may begin another
   wait of t, which overwrites them. */
int cast_complete(lua_State *L, cast_state *S, cast_ltask *t) {
  const cast_wait_kind *kind = t->kind;
  void *arg = t->arg;
  int result = t->base.wait.result;
  if (CAST_UNLIKELY(result == CAST_DEADLOCK)) S->binding->find_deadlock(L, S);
  if (CAST_UNLIKELY(result == CASTING_ECANCELLED))
    result = timeout_or_cancel(t);
  if (t == S->main && cast_last_is_waiting(S))
    result = cast_last_result(S, result);
  cast_wait_over(t);
  if (CAST_UNLIKELY(result != 0) && kind->has_come != NULL && kind->has_come(t))
    result = 0;
  if (CAST_UNLIKELY(result != 0)) {
    cast_unsend(L, S, t);
    bool is_past = is_past_its_time(t, result);
    S->raises =
      is_past || result == CASTING_ECANCELLED || result == CAST_DEADLOCK;
    int n = kind->cleans_up ? kind->finish(L, S, t, result) : -1;
    raise_interrupt(L, S, t, result, is_past);
    if (n >= 0) return cast_release_arg(t), n;
    t->arg = arg; /* a hook may have waited */
  }
  /* If finish raises, the reference to arg stays until the task waits again, or
     ends. */
  int n = kind->finish(L, S, t, result);
  cast_release_arg(t);
  return n;
}

/* The continuation of a call that has yielded in cast_park. */
#if CAST_LUA >= 503
int cast_resumed(lua_State *L, int status, lua_KContext ctx) {
  cast_ltask *t = (cast_ltask *)ctx;
  cast_task *base = &t->base;
  CAST_UNUSED(status);
  /* The short cuts, where there is neither an argument nor a deadline to see
     to: a message of one number has come, or a message was sent. */
  if (CAST_LIKELY(base->wait.result == 0 && t->arg == NULL &&
                  base->wait.deadline.index == 0)) {
    if (cast_msg_is_empty(&base->waiter.msg)) {
      if (CAST_LIKELY(t->kind->sends)) {
        cast_wait_done(base);
        lua_pushboolean(L, 1);
        return 1;
      }
    } else if (CAST_LIKELY(cast_number_unpack(L, &base->waiter.msg))) {
      cast_wait_done(base);
      return 1;
    }
    if (CAST_LIKELY(!t->selecting)) {
      cast_wait_done(base);
      return t->kind->finish(L, cast_state_of(base->session), t, 0);
    }
  }
  return cast_complete(L, cast_state_of(base->session), t);
}
#elif CAST_LUA == 502
int cast_resumed(lua_State *L) {
  cast_state *S = cast_state_find(L); /* a module's function has no box */
  return cast_complete(L, S, cast_ltask_of(S->session.current));
}
#endif
