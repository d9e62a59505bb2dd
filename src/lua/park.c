/* park.c - how a library function waits.
   SPDX-License-Identifier: MIT

   A task that runs in its own coroutine, with nothing but Lua in between,
   yields: to the session's loop, which resumes it when its wait is over (by a
   continuation where the version has them, else with the results as values).
   Everywhere else it blocks in place: it keeps its C stack, and its session
   goes on upon another one (context.h). The main program always does that. */
#include "../../include/casting.h"
#include "../mem.h"
#include "argument.h"
#include "deliver.h"
#include "last.h"
#include "load.h"
#include "quick.h"
#include "survey.h"

#include <math.h>

_Noreturn void cast_raise_memory(lua_State *L) {
  cast_lua_error(L, "not enough memory");
  cast_panic(__FILE__, __LINE__, "cast_lua_error returned");
}

int cast_push_failure(lua_State *L, int result) {
  lua_pushnil(L);
  switch (result) {
  case CASTING_ECLOSED: lua_pushliteral(L, "closed"); break;
  case CASTING_ETIMEOUT: lua_pushliteral(L, "timeout"); break;
  case CASTING_EFULL: lua_pushliteral(L, "full"); break;
  case CASTING_EEMPTY: lua_pushliteral(L, "empty"); break;
  case CASTING_EINTR: lua_pushliteral(L, "interrupted"); break;
  case CASTING_ENOMEM: cast_raise_memory(L);
  default: cast_panic(__FILE__, __LINE__, "outcome without a word");
  }
  return 2;
}

int cast_push_interrupt(lua_State *L, int result) {
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  return cast_push_failure(L, result);
}

/* -- deadlines ------------------------------------------------------------ */

uint64_t cast_period(double seconds) {
  double ns = seconds * 1e9;
  return ns < 9e18 ? (uint64_t)ns : OS_FOREVER; /* more than 285 years */
}

uint64_t cast_deadline_in(double seconds) {
  uint64_t ns = cast_period(seconds);
  return ns == OS_FOREVER ? OS_FOREVER : cast_timer_end(os_now(), ns);
}

uint64_t cast_deadline(lua_State *L, int i) {
  double seconds;
  if (lua_isnoneornil(L, i)) return OS_FOREVER;
  seconds = cast_arg_number(L, i);
  cast_arg_check(
    L, seconds >= 0, i, "timeout must be a number of seconds, zero or more");
  return cast_deadline_in(seconds);
}

/* -- where can one yield -------------------------------------------------- */

#if CAST_LUA >= 503 || CAST_LUAJIT
bool cast_yieldable(lua_State *L) { return lua_isyieldable(L) != 0; }
void cast_probe(lua_State *L) { CAST_UNUSED(L); }
#else
/* 5.1 and 5.2 know whether a coroutine can yield but do not tell. The answer
   is a 16-bit counter in lua_State: nCcalls (yieldable while it equals the
   next one, baseCcalls) in 5.1, nny (yieldable while 0) in 5.2. The probe finds
   its place by watching which counter follows the depth of C calls; should
   none, or more than one do so, the state is taken as not yieldable, and tasks
   block in place, which is always right. */
#define PROBE_SPAN (20 * sizeof(void *)) /* all within lua_State */
#define PROBE_DEPTH 4
static struct {
  uint16_t at[PROBE_DEPTH][PROBE_SPAN / 2];
  int depth;
  size_t found; /* index of the counter + 1; 0: unknown */
} probe;

static int probe_step(lua_State *L) {
  memcpy(probe.at[probe.depth], (const void *)L, PROBE_SPAN);
  if (++probe.depth == PROBE_DEPTH) return 0;
  lua_pushcfunction(L, probe_step);
  lua_call(L, 0, 0);
  return 0;
}

static bool probe_matches(size_t i) {
  for (int d = 0; d < PROBE_DEPTH; d++) {
#if CAST_LUA == 501
    if (probe.at[d][i] != probe.at[0][i] + d) return false;
    if (probe.at[d][i + 1] != probe.at[0][i]) return false;
#else
    if (probe.at[d][i] != d) return false;
#endif
  }
  return CAST_LUA != 501 || probe.at[0][i] > 0;
}

void cast_probe(lua_State *L) {
  lua_State *co;
  int nres, matches = 0;
  if (probe.depth != 0) return;
  co = lua_newthread(L);
  lua_pushcfunction(co, probe_step);
  if (cast_lua_resume(co, 0, &nres) == LUA_OK)
    for (size_t i = 0; i + 1 < PROBE_SPAN / 2; i++)
      if (probe_matches(i)) {
        probe.found = i + 1;
        matches++;
      }
  if (matches != 1) probe.found = 0;
  lua_pop(L, 1);
}

bool cast_yieldable(lua_State *L) {
  uint16_t now[2];
  if (probe.found == 0) return false;
  memcpy(now, (const char *)L + (probe.found - 1) * 2, sizeof now);
#if CAST_LUA == 501
  return now[0] == now[1];
#else
  return now[0] == 0;
#endif
}
#endif

#if !CAST_HAS_YIELDK
/* Without continuations an error can only be raised in the Lua function that
   has called. Where pcall has, t waits in place. Where nobody has, the task
   ends with what its wait brings (deliver.c). */
static bool can_go_on(lua_State *L, cast_ltask *t) {
  lua_Debug ar;
  bool yes;
  if (!lua_getstack(L, 1, &ar)) return t->last = true;
  if (!lua_getinfo(L, "f", &ar)) return false;
  yes = !lua_iscfunction(L, -1);
  lua_pop(L, 1);
  return yes;
}
#endif

/* -- rebuilding values ---------------------------------------------------- */

/* A message whose values are being rebuilt. That may run Lua code (require,
   a constructor of __save), which may receive in turn, so the message does not
   stay in the task's waiter. One that an error has left behind is found by
   its place in the call stack, or when the task can yield: then nothing is
   being rebuilt in it. There are few at a time, so all of a session are in
   one list. */
struct cast_rebuild {
  cast_rebuild *outer;
  cast_ltask *task;
  lua_State *L;
  int depth; /* calls on L; 0: unknown */
  cast_msg msg;
};

void cast_rebuild_drop(cast_state *S, cast_ltask *t, const cast_rebuild *last) {
  cast_rebuild **link = &S->rebuilds, *b;
  while ((b = *link) != NULL && b != last) {
    if (t != NULL && b->task != t) {
      link = &b->outer;
      continue;
    }
    *link = b->outer;
    cast_msg_drop(&b->msg);
    cast_free(b);
  }
}

/* Each look takes as many steps as it goes down: so there are few. */
static int call_depth(lua_State *L) {
  lua_Debug ar;
  int below = 0, beyond = 1; /* the depth is above the one, up to the other */
  if (!lua_getstack(L, 0, &ar)) return 0;
  while (lua_getstack(L, beyond, &ar)) {
    below = beyond;
    beyond *= 2;
  }
  while (beyond - below > 1) {
    int middle = below + (beyond - below) / 2;
    if (lua_getstack(L, middle, &ar))
      below = middle;
    else
      beyond = middle;
  }
  return beyond;
}

/* Is L no deeper than that? */
static bool is_within(lua_State *L, int depth) {
  lua_Debug ar;
  return !lua_getstack(L, depth, &ar);
}

/* In a place that cannot yield: which rebuilds have been left by an error? */
static void drop_stale(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_rebuild *b = S->rebuilds;
  while (b != NULL && (b->task != t || (b->L == L && is_within(L, b->depth))))
    b = b->outer;
  cast_rebuild_drop(S, t, b);
}

int cast_rebuild_values(
  lua_State *L, cast_state *S, cast_ltask *t, cast_msg *m) {
  cast_rebuild *b, **link;
  int n;
  if (CAST_LIKELY(cast_quick_unpack(L, m))) return 1;
  /* A value takes a byte at least. Where a C function's own slots will do,
     the stack is not made larger: it would stay so while the task waits. */
  if (m->size > LUA_MINSTACK / 2 && m->size <= CAST_MSG_INLINE && m->nrefs == 0)
    luaL_checkstack(L, CAST_MSG_INLINE, NULL);
  n = cast_unpack_simple(L, m);
  if (CAST_LIKELY(n >= 0)) return n;
  b = S->rebuild != NULL ? S->rebuild : cast_alloc(sizeof *b);
  if (b == NULL) cast_raise_memory(L);
  S->rebuild = NULL;
  b->outer = S->rebuilds;
  b->task = t;
  b->L = L;
  b->depth = L == t->co ? 0 : call_depth(L);
  cast_msg_move(&b->msg, m);
  S->rebuilds = b;
  n = cast_monitor_unpack(L, S, t, &b->msg);
  if (n > 0)
    cast_msg_drop(&b->msg);
  else
    n = cast_unpack(S->packer, L, &b->msg);
  cast_rebuild_drop(S, t, b);
  for (link = &S->rebuilds; *link != b; link = &(*link)->outer) continue;
  *link = b->outer;
  cast_free(S->rebuild); /* of another one meanwhile */
  S->rebuild = b;
  return n;
}

/* -- waiting -------------------------------------------------------------- */

#if CAST_LUAJIT
static int nothing(lua_State *L) {
  CAST_UNUSED(L);
  return 0;
}

/* Other coroutines ran while L waited in place. LuaJIT notes which one runs,
   for its compiled code, and sets that right when a C function is called or
   returns, but not when it raises an error (its issue 1066), as may follow.
   A hook that a signal has set fires in that call: too soon, for the wait is
   not over yet, so it is set again. */
static void runs_again(lua_State *L) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (lua_cpcall(L, nothing, NULL) == LUA_OK) return;
  lua_pop(L, 1);
  lua_sethook(L, hook, mask, count);
}
#else
#define runs_again(L) ((void)(L))
#endif

/* Makes room for a deadline, if `timed`, and finds a C stack for t if it has to
   wait in place: what others may use up while a finalizer waits. False: there
   was no memory. */
static bool reserve(cast_state *S, cast_ltask *t, bool timed) {
  if (timed && cast_wait_reserve(&t->core) != 0) return false;
  if (CAST_HAS_YIELDK && !t->in_place) return true;
  return (S->host != NULL ? cast_host_reserve(S->host)
                          : cast_runner_reserve(S->session.runner)) == 0;
}

bool cast_enter_anew(lua_State *L, cast_state *S, cast_ltask *t) {
  t->at = L;
  t->in_place = L != t->co || !cast_yieldable(L);
  return reserve(S, t, true);
}

void cast_enter_again(lua_State *L, cast_state *S, cast_ltask *t) {
  bool room = cast_enter_anew(L, S, t);
  if (CAST_LIKELY(room && !cast_forked)) return;
  cast_unsend(L, S, t);
  if (cast_forked) cast_raise_closed(L);
  cast_raise_memory(L);
}

/* What may run Lua code, and so finalizers that wait. */
static void get_ready(lua_State *L, cast_state *S, cast_ltask *t) {
#if !CAST_HAS_YIELDK
  luaL_checkstack(L, CAST_MSG_INLINE, NULL); /* for plain results */
  cast_deliver_ready(L, S);
#endif
#if CAST_LUAJIT
  if (CAST_UNLIKELY(t->raising)) cast_deliver_late(L);
  if (L != t->co || !cast_yieldable(L)) {
    cast_stop_allow(S); /* should this be a finalizer */
    runs_again(L);
  }
#endif
  CAST_UNUSED(L);
  CAST_UNUSED(S);
  CAST_UNUSED(t);
}

cast_ltask *cast_enter(lua_State *L, cast_state *S, uint64_t deadline_ns) {
  cast_task *core = S->session.current;
  bool timed = deadline_ns != OS_FOREVER, last = false;
  cast_ltask *t;
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  if (S->host != NULL && CAST_UNLIKELY(!S->host->prepared))
    cast_state_prepare(L, S);
  /* While one waited that runs between tasks, others would run there. */
  if (CAST_UNLIKELY(core == NULL || S->between > 0)) {
    S->refused = true;
    if (S->closing) cast_raise_closed(L);
    cast_misuse(L, "cannot block here: this is not in a task (a finalizer?)");
  }
  t = cast_ltask_of(core);
  if (t == S->main) {
    if (S->L == NULL) S->L = cast_main_thread(L);
    cast_call_hook(L, S);
    cast_hook_note(S, L);
  }
  if (S->host != NULL && L != t->co) last = cast_last_is(L, S, t);
  get_ready(L, S, t);
  cast_let_go(t);
  t->at = L;
  t->in_place = L != t->co || !cast_yieldable(L);
  if (CAST_UNLIKELY(cast_guarded(t))) {
    cast_guard_check(L, t, os_now());
    timed = true; /* by one of the guards */
  }
  if (CAST_UNLIKELY(!cast_msg_empty(&core->waiter.msg)))
    cast_msg_drop(&core->waiter.msg); /* what a failed operation left */
  if (CAST_UNLIKELY(S->rebuilds != NULL)) {
    if (t->in_place)
      drop_stale(L, S, t);
    else
      cast_rebuild_drop(S, t, NULL);
  }
  if (CAST_UNLIKELY(t->loading)) cast_load_settle(L, S, t);
  if (t == S->main) cast_last_begin(L, S, last);
  if (!reserve(S, t, timed || last)) cast_raise_memory(L);
  return t;
}

typedef struct hook_call {
  lua_Hook hook;
  lua_Debug ar;
} hook_call;

static int run_hook(lua_State *L) {
  hook_call *h = lua_touserdata(L, 1);
  if (lua_getstack(L, 0, &h->ar)) h->hook(L, &h->ar);
  return 0;
}

/* A signal handler has set a hook while the main program waited, or just before
   that: it is called here, as the interpreter would at the next instruction.
   lua.c's raises "interrupted!", and its place is the program's, not one in
   what of the library is written in Lua. */
void cast_call_hook(lua_State *L, cast_state *S) {
  lua_State *main = S->L != NULL ? S->L : L;
  lua_Hook hook = lua_gethook(main);
  hook_call call = {.hook = hook};
  if (S->struck) {
    S->struck = false;
    cast_lua_error(L, "interrupted!");
  }
  if (!cast_hook_is_news(S, hook)) return;
  call.ar.event = LUA_HOOKCOUNT;
  call.ar.currentline = -1;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushcfunction(L, run_hook);
  lua_pushlightuserdata(L, &call);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  if (L != main) cast_hook_clear(main); /* it has cleared that of L */
  if (lua_type(L, -1) == LUA_TSTRING) {
    cast_lua_where(L);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  lua_error(L);
}

void cast_wait_over(cast_ltask *t) {
  cast_wait_done(&t->core);
  if (t->selecting) cast_select_done(t->extra->cases, t->extra->ncases);
  t->selecting = false;
}

/* What happened is told in any case: a message that was taken must not be lost
   because a cancellation came just after. What did not happen may be one. */
static void interrupted(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  bool ended = result == CASTING_ETIMEOUT || result == CASTING_ECANCELLED;
  if (result == CASTING_EINTR) cast_call_hook(L, S);
  if (t == S->main && cast_last_waits(S)) cast_last_over(L, S);
  if (ended && cast_guarded(t)) cast_guard_check(L, t, os_now());
  if (result == CAST_DEADLOCK) cast_deadlock_raise(L, S);
  if (result != CASTING_ECANCELLED) return;
  if (t->loading) cast_load_stop(t);
  cast_cancel_push_of(L, t);
  lua_error(L);
}

/* The wait of a cancelled task that was to go on, in a shield, ends as well if
   the call's own time is up: as a timeout then. */
static int spared(cast_ltask *t) {
  uint64_t now = os_now();
  return cast_guard_next(t, now) > now ? CASTING_ETIMEOUT : CASTING_ECANCELLED;
}

int cast_complete(lua_State *L, cast_state *S, cast_ltask *t) {
  const cast_wait_kind *kind = t->kind;
  void *arg = t->arg;
  int result = t->core.wait.result;
  if (CAST_UNLIKELY(result == CAST_DEADLOCK)) cast_deadlock_find(L, S);
  if (CAST_UNLIKELY(result == CASTING_ECANCELLED)) result = spared(t);
  if (t == S->main && cast_last_waits(S)) result = cast_last_result(S, result);
  cast_wait_over(t);
  if (CAST_UNLIKELY(result != 0)) {
    cast_unsend(L, S, t);
    int n = kind->cleans_up ? kind->finish(L, S, t, result) : -1;
    interrupted(L, S, t, result);
    if (n >= 0) return cast_let_go(t), n;
    t->arg = arg; /* a hook may have waited */
  }
  /* After an error it goes when the task waits again, or ends. */
  int n = kind->finish(L, S, t, result);
  cast_let_go(t);
  return n;
}

#if CAST_LUA >= 503
int cast_resumed(lua_State *L, int status, lua_KContext ctx) {
  cast_ltask *t = (cast_ltask *)ctx;
  cast_task *core = &t->core;
  CAST_UNUSED(status);
  /* A message of one number has come, or one has gone, and nothing else is to
     be done. */
  if (CAST_LIKELY(core->wait.result == 0 && t->arg == NULL &&
                  core->wait.deadline.index == 0)) {
    if (cast_msg_empty(&core->waiter.msg)) {
      if (CAST_LIKELY(t->kind->sends)) {
        cast_wait_done(core);
        lua_pushboolean(L, 1);
        return 1;
      }
    } else if (CAST_LIKELY(cast_quick_unpack(L, &core->waiter.msg))) {
      cast_wait_done(core);
      return 1;
    }
  }
  return cast_complete(L, cast_state_of(core->session), t);
}
#define resumed cast_resumed
#elif CAST_LUA == 502
static int resumed(lua_State *L) {
  cast_state *S = cast_state_find(L); /* a module's function has no box */
  return cast_complete(L, S, cast_ltask_of(S->session.current));
}
#endif

/* The deadline of a wait of a task that is guarded. */
static uint64_t guarded(cast_ltask *t, uint64_t deadline_ns) {
  cast_extra *x = cast_extra_make(t); /* without it, see cast_guard_spared */
  uint64_t next = cast_guard_next(t, os_now());
  t->limited = x != NULL;
  if (x != NULL) x->limit_ns = deadline_ns;
  return next < deadline_ns ? next : deadline_ns;
}

int cast_park_about(lua_State *L, cast_state *S, cast_ltask *t,
  uint64_t deadline_ns, const cast_wait_kind *kind) {
  cast_ref(t->arg);
  t->holds = true;
  return cast_park(L, S, t, deadline_ns, kind);
}

int cast_park(lua_State *L, cast_state *S, cast_ltask *t, uint64_t deadline_ns,
  const cast_wait_kind *kind) {
  /* By a finalizer, since cast_enter. */
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  t->kind = kind;
  t->limited = false;
  if (CAST_UNLIKELY(cast_guarded(t))) deadline_ns = guarded(t, deadline_ns);
  if (t == S->main && cast_last_waits(S))
    deadline_ns = cast_last_until(S, deadline_ns);
  cast_wait_until(&t->core, deadline_ns);
  /* Relaxed: only reported. */
  atomic_store_explicit(&t->core.status, CAST_WAITING, memory_order_relaxed);
#if !CAST_HAS_YIELDK
  t->in_place = t->in_place || !can_go_on(L, t);
#endif
  if (CAST_UNLIKELY(S->loads != NULL)) cast_load_park(L, S, t);
  if (t->in_place) {
    bool through = S->through;
    /* Relaxed: read by its own thread. Other tasks run meanwhile. */
    lua_State *running =
      atomic_load_explicit(&S->running, memory_order_relaxed);
    atomic_store_explicit(&S->running, NULL, memory_order_relaxed);
    if (t == S->main)
      cast_host_block(S->host);
    else
      cast_task_block(&t->core);
    atomic_store_explicit(&S->running, running, memory_order_relaxed);
    S->through = through;
    if (CAST_UNLIKELY(t->loading)) cast_load_resume(L, S, t);
    runs_again(L);
    if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
    cast_stop_watch(S, t, L);
    return cast_complete(L, S, t);
  }
  t->parked = true;
#if CAST_LUA >= 503
  return lua_yieldk(L, 0, (lua_KContext)t, resumed);
#elif CAST_LUA == 502
  return lua_yieldk(L, 0, 0, resumed);
#else
  /* The arguments stay on the stack, so that handles among them live. */
  return lua_yield(L, lua_gettop(L));
#endif
}
