/* scope.c - cancel scopes: calls with a deadline, or shielded.
   SPDX-License-Identifier: MIT

   This file decides whether a task must stop: `check_scopes` alone weighs a
   cancellation against the cancel scopes around a call, and all code that stops
   a task that runs asks it (one that was cancelled before its first turn has no
   scopes, and ends unseen: run.c). A request goes through four states:

     asked      A reason is in the task, or a request is for all tasks of its
       |        session, or the session closes (cancel.c), or it has used up
       |        its budget (budget.c). Any thread may ask.
       |
       |   The owner serves the request (cast_task_cancel), or notices it in a
       |   blocking call or in the hook of the task (cast_cancel_observe).
       v
     observed   base.cancelled is set, and the wait of the task ends unless a
       |        shield keeps it (cast_scope_extended_until). The deadline of a
       |        scope needs no owner to be observed: it is when it has passed.
       |
       |   `check_scopes` finds that the time has come: no shield and no __close
       |   handler between the scope and the call puts it off any more.
       v
     raised     The error is raised in each blocking call (cast_stop_check,
       |        preempt.c), and in the hook of a task that makes none, once it
       |        was seen to compute for CAST_STOP_NS (cast_stop_check_hook).
       |
       |   The task has caught the error and goes on for CAST_FORCE_NS.
       v
     forced     The error is raised at every instruction (cast_stop_force). If
                the whole task must stop, no protected call catches it any
                more, where that can be had (end_here).

   The functions are in src/task.c (cast_task_cancel), cancel.c (observe), here
   (extended_until) and preempt.c (cast_stop_*). The coroutine ends with that
   error, and `finish` in run.c makes an end of the task of it: cancelled, if
   the error is that of a cancellation (cast_cancel_is_error), else failed.

   No step leads back: an error that was caught is raised again, until its scope
   is left or the task ends (level-triggered, as in Trio), so that nothing is
   caught by mistake for good.

   casting.with_timeout and casting.shield put a scope around a function call.
   `check_scopes` goes through the scopes from the inside to the outside. A
   cancelled task is past its time at once, a deadline when it has passed; a
   shield between them and the call grants CAST_GRACE_NS more, and so does a
   `__close` handler, which shields itself. Of several that are past their time
   the outermost is raised.

   A request that comes while the task waits for its turn counts from that turn
   on (cast_scope_observe): of many tasks that are cancelled together, the last
   one would have no time to clean up otherwise. But one that comes while the
   task is in a shield counts from its own time on, or a task could stay in
   shields.

   Owner: the task's session; no function here is for other threads.
   Invariants:
   1. A scope is in its task's list from its making until it is left, until the
      task ends, or until its userdata is collected.
   2. A scope counts only while its coroutine runs, or has resumed, directly or
      not, the one that does: a suspended coroutine has left it for a while.
   3. The coroutine of a scope outlives it: the task's own does, another is
      anchored in the userdata. */
#include "scope.h"

#include "../../account.h"
#include "../../base.h"
#include "../../heap.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/pack.h"
#include "../transfer/packer.h"
#include "cancel.h"

/* In the registry: the metatable of scopes. */
static const char meta_key = 0;

/* In the error of a timeout: the scope whose deadline it was. */
static const char mark_key = 0;

const char cast_scope_makers[2] = {0};

/* The time `grace_ns` after `ns`, which may be OS_FOREVER. */
static uint64_t later(uint64_t ns, uint64_t grace_ns) {
  return ns > OS_FOREVER - grace_ns ? OS_FOREVER : ns + grace_ns;
}

/* -- where is the call ---------------------------------------------------- */

/* Has L a function that runs, or that has resumed another coroutine? One that
   is suspended, or has ended, has none. */
static bool is_live(lua_State *L) {
  lua_Debug ar;
  return lua_status(L) == LUA_OK && lua_getstack(L, 0, &ar);
}

#if CAST_HAS_CLOSE
/* Is the function on the top the __close of the value below it? Pops both. Not
   by luaL_getmetafield, which makes a string: L may be suspended, and is no
   place for a finalizer to run in. */
static bool is_close_method(lua_State *L, cast_packer *p) {
  bool is = false;
  if (lua_getmetatable(L, -2)) {
    cast_packer_push(p, L, CAST_SLOT_CLOSE);
    lua_rawget(L, -2);
    is = lua_rawequal(L, -1, -3);
    lua_pop(L, 2);
  }
  lua_pop(L, 2);
  return is;
}

/* The last used slot of a C function that has called another. */
static int last_slot(lua_State *L, lua_Debug *ar) {
  int known = 0, beyond = 1;
  while (lua_getlocal(L, ar, beyond) != NULL) {
    lua_pop(L, 1);
    known = beyond;
    beyond *= 2;
  }
  while (beyond - known > 1) {
    int middle = known + (beyond - known) / 2;
    if (lua_getlocal(L, ar, middle) != NULL) {
      lua_pop(L, 1);
      known = middle;
    } else {
      beyond = middle;
    }
  }
  return known;
}

/* Is the function of this level a __close handler? The debug interface says so
   when a block ends. In an error's way out the caller is what has caught the
   error (pcall), and its last slots are the variable and the error. */
static bool is_handler(lua_State *L, cast_packer *p, int level, lua_Debug *ar) {
  lua_Debug caller;
  int last;
  if (!lua_getinfo(L, "n", ar)) return false;
  if (ar->name != NULL && strcmp(ar->namewhat, "metamethod") == 0 &&
      strcmp(ar->name, "close") == 0)
    return true;
  if (!lua_getstack(L, level + 1, &caller) || !lua_getinfo(L, "S", &caller) ||
      *caller.what != 'C')
    return false;
  last = last_slot(L, &caller);
  if (last < 2 || lua_getlocal(L, &caller, last - 1) == NULL) return false;
  lua_getinfo(L, "f", ar);
  return is_close_method(L, p);
}

/* Is L a coroutine that has ended and whose variables its resumer closes? Then
   no function is left in it but the handler, which must not yield. */
static bool is_closed(lua_State *L) {
  lua_Debug ar;
  int i = 1;
  if (lua_isyieldable(L)) return false;
  for (; lua_getstack(L, i, &ar); i++)
    if (!lua_getinfo(L, "S", &ar) || *ar.what == 'C' || *ar.what == 'm')
      return false;
  return i > 1;
}

/* The first local variable of that function, as if it were a scope's userdata:
   the functions of lib_scope.c keep theirs there. NULL: it is none. */
static const cast_scope *scope_at(lua_State *L, lua_Debug *ar) {
  const void *p;
  if (lua_getlocal(L, ar, 1) == NULL) return NULL;
  p = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return p;
}

/* What a search of a stack comes upon first. */
typedef enum found { FOUND_NEITHER, FOUND_SCOPE, FOUND_HANDLER } found;

/* Searches L, from the latest call on, for scope g (NULL: none) and for a
   __close handler. A deep stack is not searched to the bottom, because this is
   asked in each blocking call of a late task. */
static found find_first(lua_State *L, cast_packer *p, const cast_scope *g) {
  lua_Debug ar;
  if (!lua_checkstack(L, 6)) return FOUND_NEITHER;
  for (int i = 0; i < CAST_CLEANUP_DEPTH && lua_getstack(L, i, &ar); i++) {
    if (g != NULL && scope_at(L, &ar) == g) return FOUND_SCOPE;
    if (is_handler(L, p, i, &ar)) return FOUND_HANDLER;
  }
  return FOUND_NEITHER;
}

/* Does t run a __close handler within g, in L or in the coroutine that has
   resumed L? Clean-up must be able to wait although the task is past its time,
   so a handler counts as a shield. Lua does not say that a handler runs: it is
   found on the stack. Before 5.4 there are no handlers. */
static bool is_cleaning_up(lua_State *L, cast_ltask *t, const cast_scope *g) {
  cast_packer *p = cast_state_of(t->base.session)->packer;
  found first;
  if (t->stage == CAST_STAGE_CLOSING) return true;
  if (L == NULL) return false;
  first = find_first(L, p, g);
  if (first != FOUND_NEITHER) return first == FOUND_HANDLER;
  if (L == t->co) return false;
  if (is_closed(L)) return true;
  /* L was resumed, directly or not, by the task's own coroutine. */
  if (t->co == NULL || !is_live(t->co)) return false;
  return find_first(t->co, p, g) == FOUND_HANDLER;
}
#else
static bool is_cleaning_up(lua_State *L, cast_ltask *t, const cast_scope *g) {
  CAST_UNUSED(L);
  CAST_UNUSED(t);
  CAST_UNUSED(g);
  return false;
}
#endif

/* -- what is past its time ------------------------------------------------ */

/* What `check_scopes` says of a task. Neither `cancel` nor `scope`: it goes
   on. */
typedef struct expired {
  bool cancel;       /* the task is cancelled, and must stop now */
  cast_scope *scope; /* else: the scope whose deadline must be raised now */
  uint64_t since_ns; /* when the time of that came */
  uint64_t next_ns;  /* when the next time will come; OS_FOREVER: never */
} expired;

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Is the call in L within g (invariant 2)? */
static bool is_in_force(const cast_scope *g, lua_State *L) {
  return g->L == L || is_live(g->L);
}

/* The time from which t's cancellation counts, see the opener. */
static uint64_t cancelled_ns(const cast_ltask *t) {
  if (t->extra != NULL && t->extra->observed_ns != 0)
    return t->extra->observed_ns;
  return t->base.cancelled_ns;
}

/* Has the time `at` come? Notes when it came, or when it will come. */
static bool is_past(expired *v, uint64_t at, uint64_t now) {
  if (at <= now)
    v->since_ns = at;
  else
    v->next_ns = earlier(v->next_ns, at);
  return at <= now;
}

/* Does a __close handler put off what was to stop at `at`? When that has been
   over for long, the stack need not be searched: each instruction raises then,
   and a search would take longer than all else. */
static bool is_put_off(
  lua_State *L, cast_ltask *t, const cast_scope *g, uint64_t at, uint64_t now) {
  return at <= now && now < later(at, CAST_GRACE_NS + CAST_FORCE_NS) &&
         is_cleaning_up(L, t, g);
}

/* Decides: see the opener. A scope further out overrides one further in, and
   the cancellation of the task overrides them all, so the last that is past its
   time stays in v. */
static expired check_scopes(cast_ltask *t, uint64_t now) {
  expired v = {false, NULL, 0, OS_FOREVER};
  lua_State *L = t->at;
  uint64_t grace = 0; /* what the shields inside of g grant */
  for (cast_scope *g = cast_scopes(t); g != NULL; g = g->outer) {
    uint64_t at = g->deadline_ns;
    if (!is_in_force(g, L)) continue;
    if (g->shield) {
      if (grace < g->grace_ns) grace = g->grace_ns;
      continue;
    }
    if (grace > 0)
      at = later(at, grace);
    else if (is_put_off(L, t, g, at, now))
      at = later(at, CAST_GRACE_NS);
    if (is_past(&v, at, now)) v.scope = g;
  }
  if (t->base.cancelled) {
    uint64_t at = cancelled_ns(t);
    if (grace > 0)
      at = later(at, grace);
    else if (is_put_off(L, t, NULL, at, now))
      at = later(at, CAST_GRACE_NS);
    v.cancel = is_past(&v, at, now);
  }
  return v;
}

/* Pushes the error of a scope's timeout: a cancellation that carries the scope,
   so that the function that has made the scope knows its own timeout again. */
static void push_timeout(lua_State *L, cast_scope *g) {
  g->raised = true;
  cast_cancel_push(L, cast_chars_of("timeout"));
  lua_pushlightuserdata(L, g);
  lua_rawsetp(L, -2, &mark_key);
}

bool cast_scope_is_own_error(lua_State *L, int i, const cast_scope *g) {
  bool is;
  if (!cast_cancel_is_error(L, i)) return false;
  lua_rawgetp(L, i, &mark_key);
  is = lua_touserdata(L, -1) == g;
  lua_pop(L, 1);
  return is;
}

/* Pushes the error that v tells of, and returns true; or pushes nothing. */
static bool push_expired(lua_State *L, cast_ltask *t, const expired *v) {
  luaL_checkstack(L, 6, NULL);
  if (t->loading && (v->cancel || v->scope != NULL)) cast_load_stop(t);
  if (v->cancel)
    cast_cancel_push_of(L, t);
  else if (v->scope != NULL)
    push_timeout(L, v->scope);
  return v->cancel || v->scope != NULL;
}

/* What a closing sandbox and all that it has made share counts from the time at
   which the first of these came to it. */
bool cast_scope_is_overdue(const cast_ltask *t, uint64_t now_ns) {
  const cast_account *a = t->base.session->account;
  return t->base.cancelled && a != NULL &&
         now_ns >= later(earlier(t->base.cancelled_ns, cast_account_ends(a)),
                     CAST_GRACE_NS);
}

/* A task that computes may only have collected garbage until the first look, so
   the error is raised after a second one, CAST_STOP_NS later. */
uint64_t cast_scope_look_again(
  cast_ltask *t, uint64_t now_ns, uint64_t *late_ns, bool *cancel) {
  expired v = check_scopes(t, now_ns);
  uint64_t *looked = &v.since_ns;
  *cancel = v.cancel;
  if (cast_scope_is_overdue(t, now_ns)) {
    *cancel = true;
    *late_ns = CAST_FORCE_NS;
    return 0;
  }
  if (!v.cancel && v.scope == NULL) return later(v.next_ns, CAST_STOP_NS);
  if (now_ns < v.since_ns + CAST_STOP_NS) return v.since_ns + CAST_STOP_NS;
  if (!v.cancel)
    looked = &v.scope->looked_ns;
  else if (t->extra != NULL)
    looked = &t->extra->looked_ns;
  if (*looked == 0) *looked = now_ns;
  if (now_ns < *looked + CAST_STOP_NS) return *looked + CAST_STOP_NS;
  *late_ns = now_ns - *looked;
  return 0;
}

bool cast_scope_push_error(lua_State *L, cast_ltask *t, uint64_t now_ns) {
  expired v = check_scopes(t, now_ns);
  return push_expired(L, t, &v);
}

bool cast_scope_is_past(cast_ltask *t, uint64_t now_ns, uint64_t *since_ns) {
  expired v = check_scopes(t, now_ns);
  *since_ns = v.since_ns;
  return v.cancel || v.scope != NULL;
}

uint64_t cast_scope_deadline(cast_ltask *t, uint64_t now_ns) {
  expired v = check_scopes(t, now_ns);
  return v.cancel || v.scope != NULL ? now_ns : v.next_ns;
}

uint64_t cast_scope_observe(cast_ltask *t, lua_State *L, uint64_t now_ns) {
  uint64_t soonest = OS_FOREVER;
  bool shielded = false;
  for (cast_scope *g = cast_scopes(t); g != NULL; g = g->outer) {
    if (g->shield) {
      shielded = shielded || is_in_force(g, L);
    } else if (!g->observed && g->deadline_ns <= now_ns) {
      g->observed = true;
      if (!shielded && !is_cleaning_up(L, t, g)) g->deadline_ns = now_ns;
    }
    soonest = earlier(soonest, g->deadline_ns);
  }
  if (t->base.cancelled) {
    cast_extra *x = cast_extra_make(t); /* none: the earlier time counts */
    if (x != NULL && x->observed_ns == 0)
      x->observed_ns =
        shielded || is_cleaning_up(L, t, NULL) ? t->base.cancelled_ns : now_ns;
    soonest = earlier(soonest, cancelled_ns(t));
  }
  return soonest;
}

/* The wait of t began when t had no scope and was not cancelled, so park.c has
   not kept the call's deadline (`limited`). It is still the one in the heap. */
static void set_limit(cast_ltask *t) {
  const cast_heap_node *n = &t->base.wait.deadline;
  if (cast_extra_make(t) == NULL) return;
  t->limited = true;
  t->extra->limit_ns = n->index != 0
                         ? cast_heap_deadline(&t->base.session->deadlines, n)
                         : OS_FOREVER;
}

/* A wait in a shield must not end because the task is cancelled, nor because
   the deadline of a scope outside of the shield has passed. But it ends at the
   call's own deadline. */
uint64_t cast_scope_extended_until(cast_task *base, uint64_t now_ns) {
  cast_ltask *t = cast_ltask_of(base);
  expired v;
  if (!base->cancelled && cast_scopes(t) == NULL) return 0;
  if (!t->limited) set_limit(t);
  if (!t->limited || t->extra->limit_ns <= now_ns) return 0;
  v = check_scopes(t, now_ns);
  if (v.cancel || v.scope != NULL) return 0;
  return earlier(v.next_ns, t->extra->limit_ns);
}

/* -- making and leaving one ----------------------------------------------- */

void cast_scope_unlink(cast_scope *g) {
  if (g->task == NULL) return;
  for (cast_scope **p = &g->task->extra->scopes; *p != NULL; p = &(*p)->outer)
    if (*p == g) {
      *p = g->outer;
      break;
    }
  g->task = NULL;
}

void cast_scope_leave_all(cast_ltask *t) {
  while (cast_scopes(t) != NULL) cast_scope_unlink(cast_scopes(t));
}

static int scope_gc(lua_State *L) {
  cast_scope_unlink(lua_touserdata(L, 1));
  return 0;
}

static void push_meta(lua_State *L) {
  static const lua_CFunction gc = scope_gc;
  (void)cast_single_push(L, &meta_key, cast_make_meta, &gc);
}

/* Keeps the coroutine that runs alive as long as the scope on the top
   (invariant 3). In a table, for that is what every version takes. */
static void anchor(lua_State *L) {
  lua_createtable(L, 1, 0);
  lua_pushthread(L);
  lua_rawseti(L, -2, 1);
  cast_lua_setuservalue(L, -2);
}

/* The scope enters the task's list last, when nothing can be raised any
   more. */
cast_scope *cast_scope_push(lua_State *L, const char *what) {
  cast_state *S = cast_state_here(L);
  cast_task *base = S->session.current;
  bool other = base == NULL || cast_ltask_of(base)->co != L;
  cast_extra *x;
  cast_scope *g;
  if (base == NULL && S->closing) cast_raise_closed(L);
  if (base == NULL)
    cast_lua_error(L, "%s: cannot be used here: not in a task", what);
  g = cast_lua_newuserdatauv(L, sizeof *g, other ? 1 : 0);
  memset(g, 0, sizeof *g);
  push_meta(L);
  lua_setmetatable(L, -2);
  if (other) anchor(L);
  x = cast_extra_make(cast_ltask_of(base));
  if (x == NULL) cast_raise_memory(L);
  g->L = L;
  g->task = cast_ltask_of(base);
  g->outer = x->scopes;
  x->scopes = g;
  return g;
}

/* -- the functions -------------------------------------------------------- */

cast_scope *cast_scope_at(lua_State *L, int i) {
  cast_scope *g = lua_touserdata(L, i);
  bool is = g != NULL && lua_getmetatable(L, i);
  luaL_checkstack(L, 3, NULL);
  if (!is) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &meta_key);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? g : NULL;
}
