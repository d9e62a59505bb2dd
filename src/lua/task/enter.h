/* enter.h - what a library function that may wait does first.
   SPDX-License-Identifier: MIT */
#ifndef CAST_ENTER_H
#define CAST_ENTER_H

#include "../../base.h"
#include "../../msg.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/scope.h"

/* The task that is about to block, with what blocking needs reserved: room for
   a deadline if deadline_ns is not OS_FOREVER, a C stack. Raises where nothing
   can block, when the task must stop, when out of memory. */
cast_ltask *cast_enter(lua_State *L, cast_state *S, uint64_t deadline_ns);
/* Once more what blocking needs, with a deadline, after Lua may have run
   anything since cast_enter (invariant 4 of state.h): runs no Lua code itself,
   and does not end a cancelled task. False: out of memory. */
bool cast_enter_anew(lua_State *L, cast_state *S, cast_ltask *t);
/* The same for a task that has packed something to send. Raises when out of
   memory; then what was packed goes back (cast_unsend). */
void cast_enter_again(lua_State *L, cast_state *S, cast_ltask *t);
/* After cast_enter: the next wait of t is in place, also if it could yield.
   False: there is no memory for its C stack. */
bool cast_enter_in_place(cast_state *S, cast_ltask *t);
#if CAST_HAS_OURS
/* cast_enter without a deadline, inlined for calls of a task that most often
   can yield and has nothing to look at. */
static inline cast_ltask *cast_enter_quick(lua_State *L, cast_state *S) {
  cast_task *base = S->session.current;
  cast_ltask *t;
  if (CAST_UNLIKELY(base == NULL)) return cast_enter(L, S, OS_FOREVER);
  t = cast_ltask_of(base);
  if (CAST_UNLIKELY(L != t->co || cast_scope_is_needed(t) ||
                    !cast_msg_is_empty(&base->waiter.msg) ||
                    S->rebuilds.first != NULL || t->loading || t->owns_arg ||
                    !lua_isyieldable(L)))
    return cast_enter(L, S, OS_FOREVER);
  t->at = L;
  t->in_place = false;
  return t;
}
#else
#define cast_enter_quick(L, S) cast_enter(L, S, OS_FOREVER)
#endif

#endif
