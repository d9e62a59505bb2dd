/* scope.h - cancel scopes: calls with a deadline, or shielded.
   SPDX-License-Identifier: MIT */
#ifndef CAST_SCOPE_H
#define CAST_SCOPE_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

typedef struct cast_scope cast_scope;

struct cast_scope {
  cast_scope *outer; /* in the task's list */
  cast_ltask *task;  /* NULL: not in a list */
  lua_State *L;      /* where it was made */
  uint64_t deadline_ns;
  uint64_t looked_ns; /* when the task was first found to compute after that */
  uint64_t grace_ns;  /* how long a shield holds */
  bool shield;
  bool observed; /* the task has had a turn since deadline_ns */
  bool raised;   /* its timeout has been, at least once */
};

/* Is t past its time at now_ns, or a cancel scope that t->at is in? Since
   when? */
bool cast_scope_is_past(cast_ltask *t, uint64_t now_ns, uint64_t *since_ns);
/* The same for a task that computes (preempt.c): returns when to look again, or
   0: it is to be raised, as it is known since *late_ns to compute anyway. */
uint64_t cast_scope_look_again(
  cast_ltask *t, uint64_t now_ns, uint64_t *late_ns);
/* Raises it. */
void cast_scope_raise(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* When a wait that begins now must end for that reason; OS_FOREVER. */
uint64_t cast_scope_deadline(cast_ltask *t, uint64_t now_ns);
/* t is about to go on in L: what has come meanwhile counts from now on. Returns
   the earliest of these and of its deadlines, in force or not. */
uint64_t cast_scope_observe(cast_ltask *t, lua_State *L, uint64_t now_ns);
/* ops->extended_until: see types.h. */
uint64_t cast_scope_extended_until(cast_task *t, uint64_t now_ns);
/* The task ends: its scopes, if there are still some, forget it. */
void cast_scope_leave_all(cast_ltask *t);
/* Has t anything to check? */
static inline bool cast_scope_is_needed(const cast_ltask *t) {
#if CAST_LUAJIT
  /* No hook tells a loop of calls that never wait. Relaxed: or the next one
     sees it. */
  const cast_state *S = cast_state_of(t->base.session);
  if (atomic_load_explicit(&t->reason, memory_order_relaxed) != NULL ||
      atomic_load_explicit(&S->close.posted, memory_order_relaxed) ||
      atomic_load_explicit(&S->cancel.all_requests, memory_order_relaxed) !=
        NULL)
    return true;
#endif
  return t->base.cancelled || cast_scopes(t) != NULL;
}
/* Where the functions written in Lua are said to be, among the library's own
   (CAST_OWN_SOURCE). */
#define CAST_SCOPE_SOURCE "=casting/guard.lua"
/* Pushes a cancel scope around what its task, the one that calls, does from now
   on; `what` is the function that does so. Raises. */
cast_scope *cast_scope_push(lua_State *L, const char *what);
/* Takes it off; does nothing the second time. */
void cast_scope_unlink(cast_scope *g);
/* The scope at i; NULL: there is something else. */
cast_scope *cast_scope_at(lua_State *L, int i);
/* Is the value at i the error of g's timeout? */
bool cast_scope_is_own_error(lua_State *L, int i, const cast_scope *g);

#endif
