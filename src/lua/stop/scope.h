/* scope.h - cancel scopes: calls with a deadline, or shielded.
   SPDX-License-Identifier: MIT

   scope.c decides whether a task must stop, and has the diagram of how a task
   is stopped: asked, observed, raised, forced. */
#ifndef CAST_SCOPE_H
#define CAST_SCOPE_H

#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"

typedef struct cast_scope cast_scope;

/* A cancel scope: a userdata that lies on the stack of the function that made
   it. All fields belong to the owner of the task's session. */
struct cast_scope {
  cast_scope *outer;    /* the next one in the task's list, around this one */
  cast_ltask *task;     /* in whose list it is; NULL: in none */
  lua_State *L;         /* the coroutine that made it */
  uint64_t deadline_ns; /* OS_FOREVER of a shield without a deadline */
  uint64_t looked_ns;   /* when the task was first found to compute after its
                           deadline; 0: not yet */
  uint64_t grace_ns;    /* of a shield: how long it holds */
  bool shield;          /* it grants grace_ns, and has no deadline of its own */
  bool observed;        /* the task has had a turn since deadline_ns */
  bool raised;          /* its timeout was raised at least once */
};

/* Must t stop at now_ns, because it is cancelled or because a scope around the
   call in t->at is past its deadline? *since_ns: since when. */
bool cast_scope_is_past(cast_ltask *t, uint64_t now_ns, uint64_t *since_ns);
/* The same for a task that computes (preempt.c): returns when to look again; or
   0: the error has to be raised now, and the task is known to have gone on
   computing for *late_ns. *cancel: because it is cancelled, so that all of it
   has to end. */
uint64_t cast_scope_look_again(
  cast_ltask *t, uint64_t now_ns, uint64_t *late_ns, bool *cancel);
/* Is that for long? Each task has a time for clean-up, which begins when it
   runs again, so many tasks have many times that; but those of a sandbox that
   are cancelled together have to share it. */
bool cast_scope_is_overdue(const cast_ltask *t, uint64_t now_ns);
/* Pushes the error of what t must stop for; false: there is nothing. Raises. */
bool cast_scope_push_error(lua_State *L, cast_ltask *t, uint64_t now_ns);
/* When a wait that begins now must end because of a cancellation or a scope;
   OS_FOREVER: never. */
uint64_t cast_scope_deadline(cast_ltask *t, uint64_t now_ns);
/* t is about to go on in L: what came while it waited for its turn counts from
   now on. Returns the earliest time among its cancellation and the deadlines of
   all its scopes, whether in force or not; OS_FOREVER: there are none. */
uint64_t cast_scope_observe(cast_ltask *t, lua_State *L, uint64_t now_ns);
/* ops->extended_until: see types.h. */
uint64_t cast_scope_extended_until(cast_task *t, uint64_t now_ns);
/* The task ends: the scopes that it has not left forget it. */
void cast_scope_leave_all(cast_ltask *t);
/* Has t a scope, or was it cancelled? If not, `check_scopes` would find
   nothing, and need not be asked: so it is with most calls. */
static inline bool cast_scope_is_needed(const cast_ltask *t) {
#if CAST_LUAJIT
  /* No hook tells a compiled loop of calls that never wait. Relaxed: or the
     next one sees it. */
  const cast_state *S = cast_state_of(t->base.session);
  if (atomic_load_explicit(&t->reason, memory_order_relaxed) != NULL ||
      atomic_load_explicit(&S->close.posted, memory_order_relaxed) ||
      atomic_load_explicit(&S->cancel.all_requests, memory_order_relaxed) !=
        NULL)
    return true;
#endif
  return t->base.cancelled || cast_scopes(t) != NULL;
}
/* Keys of the registry, where with_timeout and shield are functions in Lua
   (5.1, LuaJIT): these two. */
extern const char cast_scope_makers[2];
/* Pushes a scope around what the calling task does from now on. `what` names
   the function for errors. Raises where no task runs, and when out of
   memory. */
cast_scope *cast_scope_push(lua_State *L, const char *what);
/* Leaves the scope; does nothing the second time. */
void cast_scope_unlink(cast_scope *g);
/* The scope at index i; NULL: there is something else. */
cast_scope *cast_scope_at(lua_State *L, int i);
/* Is the value at i the error of g's timeout? */
bool cast_scope_is_own_error(lua_State *L, int i, const cast_scope *g);

#endif
