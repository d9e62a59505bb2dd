/* enter.c - what a library function that may wait does first.
   SPDX-License-Identifier: MIT

   It finds the task that calls, raises what that has to meet, and reserves what
   waiting may need: room for a deadline, and a C stack if the task has to wait
   in place. Once the task is in a queue, another thread may have ended its
   wait, so nothing may fail any more: that is why all this comes before. What
   may still fail is packing a message, which is done in between; and that may
   run Lua code, so the function enters again after it (cast_enter_again).
   Owner: the task's session. */
#include "enter.h"

#include "../../base.h"
#include "../../context.h"
#include "../../fork.h"
#include "../../host.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/yieldable.h"
#include "../state/argument.h"
#include "../state/interrupt.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/last.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../stop/verdict.h"
#include "deliver.h"
#include "rebuild.h"
#include "scratch.h"

/* Makes room for a deadline, if `timed`, and finds a C stack for t if it has to
   wait in place. Without continuations that is found out only in cast_park, so
   the stack is reserved for every wait. False: out of memory. */
static bool reserve(cast_state *S, cast_ltask *t, bool timed) {
  if (timed && cast_wait_reserve(&t->base) != 0) return false;
  if (CAST_HAS_YIELDK && !t->in_place) return true;
  return (S->host != NULL ? cast_host_reserve(S->host)
                          : cast_runner_reserve(S->session.runner)) == 0;
}

bool cast_enter_anew(lua_State *L, cast_state *S, cast_ltask *t) {
  t->at = L;
  t->in_place = L != t->co || !cast_is_yieldable(L);
  return reserve(S, t, true);
}

bool cast_enter_in_place(cast_state *S, cast_ltask *t) {
  t->in_place = true;
  return reserve(S, t, false);
}

void cast_enter_again(lua_State *L, cast_state *S, cast_ltask *t) {
  bool room = cast_enter_anew(L, S, t);
  if (CAST_LIKELY(room && !cast_forked)) return;
  cast_unsend(L, S, t);
  if (cast_forked) cast_raise_closed(L);
  cast_raise_memory(L);
}

/* The part of cast_enter that may run Lua code, and so finalizers that wait:
   first of all, since they may leave anything in t. */
static void get_ready(lua_State *L, cast_state *S, cast_ltask *t) {
  /* For plain results. */
  if (!CAST_HAS_YIELDK) luaL_checkstack(L, CAST_MSG_INLINE, NULL);
  cast_deliver_ready(L, S);
  if (!CAST_LUAJIT) return;
  if (CAST_UNLIKELY(t->raising)) cast_hook_raise_late(L);
  if (L != t->co || !cast_is_yieldable(L)) {
    cast_stop_allow(S); /* should this be a finalizer */
    cast_lua_running(L);
  }
}

cast_ltask *cast_enter(lua_State *L, cast_state *S, uint64_t deadline_ns) {
  cast_task *base = S->session.current;
  bool timed = deadline_ns != OS_FOREVER, last = false;
  cast_ltask *t;
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  if (S->host != NULL && CAST_UNLIKELY(!S->host->prepared))
    cast_state_prepare(L, S);
  /* A finalizer in a protected call between tasks (protect.c) must not wait:
     other tasks would run in the middle of that call. */
  if (CAST_UNLIKELY(base == NULL || S->protect.active > 0)) {
    S->protect.refused = true;
    if (S->closing) cast_raise_closed(L);
    cast_misuse(L, "cannot block here: this is not in a task (a finalizer?)");
  }
  t = cast_ltask_of(base);
  if (t == S->main) {
    if (S->L == NULL) S->L = cast_main_thread(L);
    /* Not in a finalizer, which might keep the hook's error to itself: a hook
       that came before it is called when the finalizer is over. */
    if (CAST_UNLIKELY(cast_hook_is_due(S, L)) && cast_last_has_hooks(L, S))
      cast_call_hook(L, S);
    cast_hook_note(S, L);
  }
  if (S->host != NULL && L != t->co) last = cast_last_is_wait(L, S, t);
  get_ready(L, S, t);
  cast_release_arg(t);
  t->at = L;
  t->in_place = L != t->co || !cast_is_yieldable(L);
  if (CAST_UNLIKELY(cast_scope_is_needed(t))) {
    cast_stop_check(L, t, os_now());
    timed = true; /* a scope may end the wait */
  }
  if (CAST_UNLIKELY(!cast_msg_is_empty(&base->waiter.msg)))
    cast_msg_drop(&base->waiter.msg); /* what a failed operation left */
  if (CAST_UNLIKELY(S->rebuilds.first != NULL)) {
    if (t->in_place)
      cast_rebuild_drop_stale(L, S, t);
    else
      cast_rebuild_drop(S, t, NULL);
  }
  if (CAST_UNLIKELY(t->loading)) cast_load_settle(L, S, t);
  if (t == S->main) cast_last_begin(L, S, last);
  if (!reserve(S, t, timed || last)) cast_raise_memory(L);
  return t;
}
