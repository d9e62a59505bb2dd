/* budget.c - what a session may use, and what it has used.
   SPDX-License-Identifier: MIT

   The memory of a session is counted by its allocator (slab.h), its tasks by
   the core. Its processor time is that of the threads that run its slices, read
   at the beginning and the end of each slice. Reading it takes a system call,
   so only sessions that were made with a budget for it are measured
   (`metered`). A slice that computes is interrupted when the budget ends: the
   watchdog is set to the moment when that can be at the earliest, and the hook
   reads the time again (preempt.c). A request for that may be lost, so it is
   repeated for as long as the slice runs and nobody has looked (`look_ns`,
   watchdog.c). When the budget is used up, all tasks are treated as cancelled
   ones; but the error that they meet is an ordinary one, and so they have
   failed. A task that begins later is one of them (`begin` in run.c).

   A sandbox shares what it may use with all that it makes: there the account
   has the limits (account.h), and sums up what its sessions use. Several of
   them may run at once, so each adds what it has used every CAST_CPU_LOOK_NS,
   and not only when its slice ends. The one that finds the limit reached has
   the others look.
   Owner: the session's; the figures may be read by any thread. */
#include "budget.h"

#include "../../../include/casting.h"
#include "../../account.h"
#include "../../base.h"
#include "../../limits.h"
#include "../../lock.h"
#include "../../os/os.h"
#include "../../slab.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/memory.h"
#include "../state/state.h"
#include "watchdog.h"

/* -- processor time ------------------------------------------------------- */

/* Nanoseconds, up to the beginning of the slice that runs. Relaxed, here and
   below: figures that the owner alone writes. */
static uint64_t cpu_used(cast_state *S) {
  return atomic_load_explicit(&S->budget.cpu, memory_order_relaxed);
}

/* Have the tasks of this session been told? */
static bool is_noted(cast_state *S) {
  return atomic_load_explicit(&S->budget.over, memory_order_relaxed);
}

bool cast_budget_is_over(cast_state *S) {
  return is_noted(S) ||
         (S->session.account != NULL &&
           cast_account_full(S->session.account, CAST_CPU) != NULL);
}

/* What S may still use, not counting the slice that runs; UINT64_MAX: there is
   no limit. */
static uint64_t cpu_left(cast_state *S) {
  uint64_t max = S->budget.cpu_max, used = cpu_used(S);
  if (S->session.account != NULL)
    return cast_account_left(S->session.account, CAST_CPU);
  if (max == 0 || max == OS_FOREVER) return UINT64_MAX;
  return used < max ? max - used : 0;
}

/* Counts what the slice that runs has used up to now. */
static void count_cpu(cast_state *S, uint64_t now) {
  uint64_t more = now - S->budget.cpu_from;
  S->budget.cpu_from = now;
  atomic_store_explicit(
    &S->budget.cpu, cpu_used(S) + more, memory_order_relaxed);
  cast_account_add(S->session.account, CAST_CPU, more);
}

/* Has the slice that runs looked at from at_ns on. (The watchdog's hint is
   compared with a time that is taken after `look_ns` is there to be read.) */
static void look_at(cast_state *S, uint64_t at_ns) {
  atomic_store_explicit(&S->budget.look_ns, at_ns, memory_order_relaxed);
  cast_watchdog_set(S, at_ns, os_now());
}

/* The tasks have been told, and may compute on. */
static void repeat(cast_state *S) { look_at(S, os_now() + CAST_WATCHDOG_NS); }

/* The budget is used up. No reason is put into the tasks, so each meets what
   cast_budget_push says (cast_cancel_push_of). */
static void end_all(cast_state *S) {
  cast_ltask *t = NULL;
  atomic_store_explicit(&S->budget.over, true, memory_order_relaxed);
  while ((t = cast_ltask_next(&S->session, t)) != NULL)
    cast_task_cancel(&t->base);
  repeat(S);
  if (S->session.account != NULL) S->binding->cpu_over(S);
}

/* Has the task that runs looked at when the rest may be used up. */
static void watch(cast_state *S, uint64_t left) {
  uint64_t now = os_now();
  if (S->session.account != NULL && left > CAST_CPU_LOOK_NS)
    left = CAST_CPU_LOOK_NS;
  look_at(S, left < OS_FOREVER - now ? now + left : OS_FOREVER);
}

void cast_budget_meter(cast_session *s, bool begins) {
  cast_state *S = cast_state_of(s);
  uint64_t now = os_own_cpu(), left;
  if (!begins) {
    atomic_store_explicit(&S->budget.look_ns, OS_FOREVER, memory_order_relaxed);
    count_cpu(S, now);
    return;
  }
  S->budget.cpu_from = now;
  left = cpu_left(S);
  if (left == UINT64_MAX) return;
  if (is_noted(S))
    repeat(S);
  else if (left == 0)
    end_all(S);
  else
    watch(S, left);
}

bool cast_budget_is_spent(cast_state *S) {
  uint64_t left = cpu_left(S);
  cast_task *t = S->session.current;
  if (left == UINT64_MAX) return false;
  if (is_noted(S)) {
    if (t != NULL && !t->cancelled) cast_task_cancel(t);
    repeat(S);
    return true;
  }
  count_cpu(S, os_own_cpu());
  left = cpu_left(S);
  if (left == 0) {
    end_all(S);
    return true;
  }
  watch(S, left);
  return false;
}

bool cast_budget_has_passed(cast_state *S) {
  uint64_t left = S->session.metered ? cpu_left(S) : UINT64_MAX;
  return left != UINT64_MAX &&
         (is_noted(S) || os_own_cpu() - S->budget.cpu_from >= left);
}

/* In pieces: the name may have zero bytes. */
void cast_budget_push(lua_State *L, cast_state *S) {
  const cast_account *a = cast_account_full(S->session.account, CAST_CPU);
  uint64_t max = a != NULL ? a->max[CAST_CPU] : S->budget.cpu_max;
  lua_Number seconds = (lua_Number)((double)max / 1e9);
  luaL_checkstack(L, 4, NULL);
  lua_pushliteral(L, "session '");
  cast_state_push_name(L, S);
  lua_pushfstring(L, "' has used up its %f second%s of cpu", seconds,
    seconds == 1 ? "" : "s");
  lua_concat(L, 3);
}

/* -- errors --------------------------------------------------------------- */

void cast_budget_check(lua_State *L, cast_state *S) {
  if (CAST_LIKELY(!S->session.metered) || !cast_budget_is_over(S)) return;
  luaL_checkstack(L, 4, NULL);
  lua_pushliteral(L, "spawn: ");
  cast_budget_push(L, S);
  lua_concat(L, 2);
  lua_error(L);
}

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

/* The limit may be that of a sandbox around the session. */
static _Noreturn void refuse_shared(lua_State *L, cast_state *S) {
  const cast_account *own = S->session.account;
  const cast_account *a = cast_account_full(own, CAST_TASKS);
  int max =
    (int)(a != NULL ? a->max[CAST_TASKS] : cast_account_max(own, CAST_TASKS));
  cast_state_refuse(L, S, "spawn",
    lua_pushfstring(L, "%s limit of %d task%s",
      a == own || a == NULL ? "has its" : "shares the", max,
      max == 1 ? "" : "s"));
}

void cast_budget_refuse(lua_State *L, cast_state *S, int rc) {
  if (rc == CASTING_EFULL && S->session.account != NULL) refuse_shared(L, S);
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

static void set_seconds(lua_State *L, const char *name, uint64_t ns) {
  set_number(L, name, (double)ns / 1e9);
}

/* What a sandbox and all that it has made use together, and the lowest limits
   that hold for it. Its Lua states count as far as their memory is a grant;
   that is where memory is limited. */
static void add_shared(lua_State *L, cast_state *S) {
  const cast_account *a = S->session.account;
  uint64_t bytes = cast_account_used(a, CAST_BYTES);
  uint64_t tasks = cast_account_max(a, CAST_TASKS);
  uint64_t cpu = cast_account_max(a, CAST_CPU);
  if (cast_memory_granted(S) == 0) bytes += cast_slabs_bytes(&S->memory.slabs);
  set_count(L, "memory", bytes);
  set_count(L, "tasks", cast_account_used(a, CAST_TASKS));
  if (tasks != 0) set_count(L, "tasks_max", tasks);
  if (S->session.metered) set_seconds(L, "cpu", cast_account_used(a, CAST_CPU));
  if (cpu != 0) set_seconds(L, "cpu_max", cpu);
}

static void add_own(lua_State *L, cast_state *S) {
  const cast_session *s = &S->session;
  if (s->tasks_max != 0) set_count(L, "tasks_max", s->tasks_max);
  if (S->host == NULL)
    set_count(L, "memory", cast_slabs_bytes(&S->memory.slabs));
  if (S->budget.cpu_max != 0) set_seconds(L, "cpu", cpu_used(S));
  if (S->budget.cpu_max != 0 && S->budget.cpu_max != OS_FOREVER)
    set_seconds(L, "cpu_max", S->budget.cpu_max);
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
  if (S->memory.max != 0) set_count(L, "memory_max", S->memory.max);
  if (s->account != NULL)
    add_shared(L, S);
  else
    add_own(L, S);
  return 1;
}
