/* budget.c - what a session may use, and what it has used.
   SPDX-License-Identifier: MIT

   The memory of a session is counted by its allocator (slab.h), its tasks by
   the core. Its processor time is that of the threads that run its slices, read
   at the beginning and the end of each slice. Reading it takes a system call,
   so only sessions that were made with a budget for it are measured
   (`metered`). A slice that computes is interrupted when the budget ends: the
   watchdog is set to the moment when that can be at the earliest, and the hook
   reads the time again (preempt.c). When the budget is used up, all tasks are
   treated as cancelled ones; but the error that they meet is an ordinary one,
   and so they have failed.
   Owner: the session's; the figures may be read by any thread. */
#include "budget.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../lock.h"
#include "../../os/os.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "watchdog.h"

/* -- processor time ------------------------------------------------------- */

/* Nanoseconds, up to the beginning of the slice that runs. Relaxed, here and
   below: figures that the owner alone writes. */
static uint64_t cpu_used(cast_state *S) {
  return atomic_load_explicit(&S->budget.cpu, memory_order_relaxed);
}

bool cast_budget_is_over(cast_state *S) {
  return atomic_load_explicit(&S->budget.over, memory_order_relaxed);
}

/* The budget is used up. No reason is put into the tasks, so each meets what
   cast_budget_push says (cast_cancel_push_of). */
static void end_all(cast_state *S) {
  cast_ltask *t = NULL;
  atomic_store_explicit(&S->budget.over, true, memory_order_relaxed);
  while ((t = cast_ltask_next(&S->session, t)) != NULL)
    cast_task_cancel(&t->base);
}

void cast_budget_meter(cast_session *s, bool begins) {
  cast_state *S = cast_state_of(s);
  uint64_t now = os_own_cpu(), clock;
  if (!begins) {
    atomic_store_explicit(&S->budget.cpu,
      cpu_used(S) + (now - S->budget.cpu_from), memory_order_relaxed);
    return;
  }
  S->budget.cpu_from = now;
  if (S->budget.cpu_max == OS_FOREVER || cast_budget_is_over(S)) return;
  if (cpu_used(S) >= S->budget.cpu_max) {
    end_all(S);
    return;
  }
  clock = os_now();
  cast_watchdog_set(S, clock + (S->budget.cpu_max - cpu_used(S)), clock);
}

bool cast_budget_is_spent(cast_state *S) {
  uint64_t now, sum;
  if (S->budget.cpu_max == 0 || S->budget.cpu_max == OS_FOREVER) return false;
  if (cast_budget_is_over(S)) return true;
  sum = cpu_used(S) + (os_own_cpu() - S->budget.cpu_from);
  if (sum >= S->budget.cpu_max) {
    end_all(S);
    return true;
  }
  now = os_now();
  cast_watchdog_set(S, now + (S->budget.cpu_max - sum), now);
  return false;
}

/* In pieces: the name may have zero bytes. */
void cast_budget_push(lua_State *L, cast_state *S) {
  lua_Number seconds = (lua_Number)((double)S->budget.cpu_max * 1e-9);
  luaL_checkstack(L, 4, NULL);
  lua_pushliteral(L, "session '");
  cast_state_push_name(L, S);
  lua_pushfstring(L, "' has used up its %f second%s of cpu", seconds,
    seconds == 1 ? "" : "s");
  lua_concat(L, 3);
}

/* -- errors --------------------------------------------------------------- */

void cast_state_refuse(
  lua_State *L, const cast_state *S, const char *what, const char *why) {
  luaL_checkstack(L, 6, NULL);
  cast_lua_where(L);
  lua_pushfstring(L, "%s: session '", what);
  cast_state_push_name(L, S);
  lua_pushfstring(L, "' %s", why);
  lua_concat(L, 4);
  lua_error(L);
  cast_panic(__FILE__, __LINE__, "lua_error returned");
}

void cast_budget_refuse(lua_State *L, cast_state *S, int rc) {
  if (rc == CASTING_EFULL)
    cast_state_refuse(L, S, "spawn",
      lua_pushfstring(L, "has its limit of %d task%s",
        (int)S->session.tasks_max, S->session.tasks_max == 1 ? "" : "s"));
  cast_state_refuse(L, S, "spawn", "is closed");
}

/* -- figures -------------------------------------------------------------- */

static void set_number(lua_State *L, const char *name, double n) {
  lua_pushnumber(L, (lua_Number)n);
  lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* Limits that were not set have no field. */
int cast_session_stats(lua_State *L, cast_state *S) {
  cast_session *s = &S->session;
  uint64_t tasks, started;
  cast_lock_take(&s->lock);
  tasks = s->ntasks;
  started = s->nstarted;
  cast_lock_drop(&s->lock);
  lua_createtable(L, 0, 9);
  cast_state_push_name(L, S);
  lua_setfield(L, -2, "name");
  if (s->keeper != NULL) lua_pushliteral(L, "own");
  if (s->keeper != NULL) lua_setfield(L, -2, "thread");
  set_count(L, "tasks", tasks);
  set_count(L, "started", started);
  if (s->tasks_max != 0) set_count(L, "tasks_max", s->tasks_max);
  if (S->host == NULL)
    set_count(L, "memory",
      atomic_load_explicit(&S->memory.slabs.bytes, memory_order_relaxed));
  if (S->memory.max != 0) set_count(L, "memory_max", S->memory.max);
  if (S->budget.cpu_max != 0) set_number(L, "cpu", (double)cpu_used(S) * 1e-9);
  if (S->budget.cpu_max != 0 && S->budget.cpu_max != OS_FOREVER)
    set_number(L, "cpu_max", (double)S->budget.cpu_max * 1e-9);
  return 1;
}
