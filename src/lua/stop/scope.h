/* scope.h - stretches of a task's run with a deadline, or shielded.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SCOPE_H
#define CAST_SCOPE_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

typedef struct cast_guard cast_guard;

struct cast_guard {
  cast_guard *outer; /* in the task's list */
  cast_ltask *task;  /* NULL: not in a list */
  lua_State *L;      /* where it was made */
  uint64_t deadline_ns;
  uint64_t looked_ns; /* when the task was first found to compute after that */
  uint64_t grace_ns;  /* how long a shield holds */
  bool shield;
  bool met;    /* the task has had a turn since deadline_ns */
  bool raised; /* its timeout has been, at least once */
};

/* Is t past its time at now_ns, or a guard that t->at is in? Since when? */
bool cast_guard_past(cast_ltask *t, uint64_t now_ns, uint64_t *since_ns);
/* The same for a task that computes (preempt.c): returns when to look again, or
   0: it is to be raised, as it is known since *late_ns to compute anyway. */
uint64_t cast_guard_late(cast_ltask *t, uint64_t now_ns, uint64_t *late_ns);
/* Raises it. */
void cast_guard_raise(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* When a wait that begins now must end for that reason; OS_FOREVER. */
uint64_t cast_guard_next(cast_ltask *t, uint64_t now_ns);
/* t is about to go on in L: what has come meanwhile counts from now on. Returns
   the earliest of these and of its deadlines, in force or not. */
uint64_t cast_guard_meet(cast_ltask *t, lua_State *L, uint64_t now_ns);
/* ops->spared: see types.h. */
uint64_t cast_guard_spared(cast_task *t, uint64_t now_ns);
/* The task ends: its guards, if there are still some, forget it. */
void cast_guard_leave(cast_ltask *t);
/* Has t anything to check? */
static inline bool cast_guarded(const cast_ltask *t) {
#if CAST_LUAJIT
  /* No hook tells a loop of calls that never wait. Relaxed: or the next one
     sees it. */
  const cast_state *S = cast_state_of(t->core.session);
  if (atomic_load_explicit(&t->reason, memory_order_relaxed) != NULL ||
      atomic_load_explicit(&S->close_posted, memory_order_relaxed) ||
      atomic_load_explicit(&S->sweeps, memory_order_relaxed) != NULL)
    return true;
#endif
  return t->core.cancelled || cast_guards(t) != NULL;
}
/* Where the functions written in Lua are said to be, among the library's own
   (CAST_OWN_SOURCE). */
#define CAST_GUARD_SOURCE "=casting/guard.lua"
/* Pushes a guard around what its task, the one that calls, does from now on;
   `what` is the function that does so. Raises. */
cast_guard *cast_guard_push(lua_State *L, const char *what);
/* Takes it off; does nothing the second time. */
void cast_guard_unlink(cast_guard *g);
/* The guard at i; NULL: there is something else. */
cast_guard *cast_guard_at(lua_State *L, int i);
/* Is the value at i the error of g's timeout? */
bool cast_guard_is_own(lua_State *L, int i, const cast_guard *g);

#endif
