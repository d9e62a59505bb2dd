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

/* The task that is about to block, with what blocking needs reserved. Raises:
   where nothing can block, when cancelled, when out of memory. `deadline_ns`
   other than OS_FOREVER makes room for it. */
cast_ltask *cast_enter(lua_State *L, cast_state *S, uint64_t deadline_ns);
/* Once more what blocking needs, with a deadline, after Lua may have run
   anything in between (invariant 4): it runs nothing itself, and does not end a
   cancelled task. False: there was no memory. */
bool cast_enter_anew(lua_State *L, cast_state *S, cast_ltask *t);
/* The same for a task with something packed, which goes back then. Raises. */
void cast_enter_again(lua_State *L, cast_state *S, cast_ltask *t);
#if CAST_HAS_OURS
/* The same without a deadline, where most often nothing has to be done. */
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
/* LuaJIT: other coroutines ran while L waited in place, see enter.c. */
#if CAST_LUAJIT
void cast_enter_running(lua_State *L);
#else
static inline void cast_enter_running(lua_State *L) { CAST_UNUSED(L); }
#endif

#endif
