/* load.c - modules that are being loaded: one task loads, others wait.
   SPDX-License-Identifier: MIT

   A load begins when require searches for a module (require.c). Nothing tells
   us when it has ended: an error passes by, and to catch it would cost the
   program its traceback. But other tasks look at a load only after its task has
   let go of the session, and inside of require a task does that by blocking in
   place. So whenever a task is about to let go, its loads are compared with its
   stack: a load has ended if its call of require is not there any more.

   Tasks that wait for loads may wait for each other: in a circle of modules, or
   through joins. Such a wait would never end. So before a task waits for a
   load, and when any other wait begins while there are loads, the chain of
   waits is followed. If it is a circle, one wait for a load in it ends, and
   require says that there is a loop.

   On 5.1 and LuaJIT require puts a mark into package.loaded, and fails if it
   finds one there. While the task that loads waits, false stands in the place
   of the mark: to other tasks the module then looks as if it were not loaded.

   Owner: the session's.
   Invariants:
   1. S->loads.first has all loads, the newest first. A load of a task that does
      not run is under way.
   2. A load is freed when it has ended and no task waits for it.
   3. A task with loads has `loading` set.
   4. No circle of waits, as far as `awaited_task` knows them, has a wait for a
      load in it. */
#include "load.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../event.h"
#include "../../mem.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "anchor.h"
#include "lineage.h"
#include "ltask.h"
#include "state.h"

#include <limits.h>

/* The table that a load keeps alive: the coroutine of its call of require, the
   module's name, and package.loaded. */
enum { KEPT_THREAD = 1, KEPT_NAME, KEPT_LOADED, KEPT };

struct cast_load {
  cast_load *next;       /* the next older one in S->loads */
  cast_ltask *task;      /* that loads the module */
  lua_State *L;          /* the coroutine that has called require */
  int depth;             /* calls in L, from the bottom up to that one */
  lua_CFunction require; /* the function that was called */
  int anchor;            /* of the table above, which keeps L, too */
  cast_lineage *lineage; /* of what is made meanwhile; one reference, or NULL */
  cast_event ended;      /* what other tasks wait for */
  uint64_t number;       /* in the order of the loads of its session */
  uint32_t holds; /* tasks that wait for it; one more until it has ended */
  bool circular;  /* it was part of a circle of waits */
  bool stopped;   /* its task was cancelled, or past a deadline, meanwhile */
  bool hidden;    /* 5.1: false stands in the place of its mark */
  char name[];
};

/* -- what 5.1 has in package.loaded --------------------------------------- */

#if CAST_LUA < 502
static const char mark_key = 0; /* of the mark, in the registry */

void cast_load_note_mark(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &mark_key);
}

bool cast_load_is_mark(lua_State *L, int i) {
  bool is;
  i = lua_absindex(L, i);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &mark_key);
  is = lua_rawequal(L, i, -1);
  lua_pop(L, 1);
  return is;
}

/* Pushes the load's table, package.loaded, and the module's entry in that.
   Neither this nor set_entry allocates, or runs the collector: the keys exist
   already. */
static void push_entry(lua_State *L, cast_state *S, const cast_load *l) {
  cast_anchor_push(L, S, l->anchor);
  lua_rawgeti(L, -1, KEPT_LOADED);
  lua_rawgeti(L, -2, KEPT_NAME);
  lua_rawget(L, -2);
}

/* Above what push_entry has pushed there is the entry's new value, which is
   popped. */
static void set_entry(lua_State *L) {
  lua_rawgeti(L, -4, KEPT_NAME);
  lua_insert(L, -2);
  lua_rawset(L, -4);
}

/* The task that loads is about to wait: puts false in the place of the mark, if
   that is there. */
static void hide(lua_State *L, cast_state *S, cast_load *l) {
  push_entry(L, S, l);
  l->hidden = cast_load_is_mark(L, -1);
  if (l->hidden) {
    lua_pushboolean(L, 0);
    set_entry(L);
  }
  lua_pop(L, 3);
}

/* It goes on: puts the mark back, unless the program has set something else. */
static void show(lua_State *L, cast_state *S, cast_load *l) {
  push_entry(L, S, l);
  if (l->hidden && lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mark_key);
    set_entry(L);
  }
  l->hidden = false;
  lua_pop(L, 3);
}

/* The load has ended. If the module has failed, 5.1 leaves its mark, and each
   later require fails. If its task was stopped, that is not the module's fault,
   so the mark is taken away. */
static void clean(lua_State *L, cast_state *S, const cast_load *l) {
  if (!l->stopped) return;
  push_entry(L, S, l);
  if (cast_load_is_mark(L, -1)) {
    lua_pushnil(L);
    set_entry(L);
  }
  lua_pop(L, 3);
}
#else
#define hide(L, S, l) ((void)0)
#define show(L, S, l) ((void)0)
#define clean(L, S, l) ((void)0)
#endif

/* -- beginning and end ---------------------------------------------------- */

/* The load of that module by another task than t, or NULL. */
static cast_load *find_other(
  cast_state *S, const cast_ltask *t, const char *name) {
  cast_load *l = S->loads.first;
  while (l != NULL && (l->task == t || strcmp(l->name, name) != 0)) l = l->next;
  return l;
}

bool cast_load_has_other(cast_state *S, const cast_ltask *t, const char *name) {
  return find_other(S, t, name) != NULL;
}

/* Pushes the table that keeps what a load of the module at 1 needs. */
static void push_kept(lua_State *L) {
  lua_createtable(L, KEPT - 1, 0);
  lua_pushthread(L);
  lua_rawseti(L, -2, KEPT_THREAD);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, KEPT_NAME);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_rawseti(L, -2, KEPT_LOADED);
}

cast_load *cast_load_begin(
  lua_State *L, cast_state *S, cast_ltask *t, lua_CFunction require) {
  size_t size;
  const char *name = lua_tolstring(L, 1, &size);
  cast_load *l = NULL;
  bool other;
  int anchor;
  push_kept(L);
  anchor = cast_anchor(L, S);
  other = find_other(S, t, name) != NULL; /* finalizers may have run */
  if (!other) l = cast_calloc(sizeof *l + size + 1);
  if (l == NULL) {
    cast_anchor_free(S, anchor);
    if (!other) cast_raise_memory(L);
    return NULL;
  }
  memcpy(l->name, name, size);
  l->task = t;
  l->L = L;
  l->depth = cast_stack_depth(L) - 1;
  l->require = require;
  l->number = ++S->loads.begun;
  l->anchor = anchor;
  l->holds = 1;
  cast_event_init(&l->ended);
  l->next = S->loads.first;
  S->loads.first = l;
  t->loading = true;
  return l;
}

static void free_load(cast_load *l) {
  cast_lineage_drop(l->lineage);
  cast_free(l);
}

static void release(cast_load *l) {
  if (--l->holds == 0) free_load(l);
}

/* The load that *link points to has ended: wakes the tasks that wait for it. */
static void end(lua_State *L, cast_state *S, cast_load **link) {
  cast_load *l = *link;
  CAST_UNUSED(L);
  *link = l->next;
  clean(L, S, l);
  cast_anchor_free(S, l->anchor);
  cast_event_set(&l->ended, &S->session);
  release(l);
}

uint64_t cast_load_number(const cast_load *l) { return l->number; }

void cast_load_end(lua_State *L, cast_state *S, uint64_t number) {
  cast_load **link = &S->loads.first;
  while (*link != NULL && (*link)->number != number) link = &(*link)->next;
  if (*link != NULL) end(L, S, link);
}

/* Is the call of require that l began with still on the stack? (Another call in
   its place that loads the same module is as good. What is pushed needs one
   slot, which each stack has to spare: L may be one that must not grow.) */
static bool is_active(const cast_load *l) {
  lua_State *L = l->L;
  lua_Debug ar;
  int level;
  bool is;
  if (lua_status(L) > LUA_YIELD) return false; /* L has died of an error */
  level = cast_stack_depth(L) - l->depth;
  if (level < 0 || !lua_getstack(L, level, &ar)) return false;
  lua_getinfo(L, "f", &ar);
  is = lua_tocfunction(L, -1) == l->require;
  lua_pop(L, 1);
  if (!is || lua_getlocal(L, &ar, 1) == NULL) return false;
  is =
    lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), l->name) == 0;
  lua_pop(L, 1);
  return is;
}

/* Ends the loads of t that are over; those of L at `depth` or deeper are taken
   to be. */
static void settle(lua_State *L, cast_state *S, cast_ltask *t, int depth) {
  cast_load **link = &S->loads.first;
  t->loading = false;
  while (*link != NULL) {
    const cast_load *l = *link;
    bool over = (l->L == L && l->depth >= depth) || !is_active(l);
    if (l->task == t && over) {
      end(L, S, link);
    } else {
      if ((*link)->task == t) t->loading = true;
      link = &(*link)->next;
    }
  }
}

void cast_load_settle(lua_State *L, cast_state *S, cast_ltask *t) {
  settle(L, S, t, INT_MAX);
}

void cast_load_again(lua_State *L, cast_state *S, cast_ltask *t) {
  settle(L, S, t, cast_stack_depth(L) - 1);
}

void cast_load_leave(cast_state *S, cast_ltask *t) {
  cast_load **link = &S->loads.first;
  t->loading = false;
  while (*link != NULL)
    if ((*link)->task == t)
      end(S->work, S, link);
    else
      link = &(*link)->next;
}

void cast_load_stop(cast_ltask *t) {
  cast_load *l = cast_state_of(t->base.session)->loads.first;
  for (; l != NULL; l = l->next)
    if (l->task == t) l->stopped = true;
}

void cast_load_fini(cast_state *S) {
  while (S->loads.first != NULL) {
    cast_load *l = S->loads.first;
    S->loads.first = l->next;
    free_load(l);
  }
}

cast_lineage **cast_load_lineage(
  cast_state *S, const cast_ltask *t, const char **name) {
  cast_load *l = S->loads.first;
  while (l != NULL && l->task != t) l = l->next;
  if (l == NULL) return NULL;
  *name = l->name;
  return &l->lineage;
}

/* -- waiting -------------------------------------------------------------- */

#define CIRCLE CASTING_ECLOSED /* the result of a wait that could not end */

/* Pushes whether the load was part of a circle, with which it must not be tried
   again. */
static int finish_load(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_load *l = t->arg;
  CAST_UNUSED(S);
  lua_pushboolean(L, l->circular || result == CIRCLE);
  release(l);
  return 1;
}

static void describe_load(cast_buffer *b, const cast_ltask *t) {
  const cast_load *l = t->arg;
  const cast_state *S = cast_state_of(t->base.session);
  if (l->task == S->main)
    cast_buffer_form(
      b, "waiting for module '%s', which the main program loads", l->name);
  else
    cast_buffer_form(b, "waiting for module '%s', which task %d loads", l->name,
      (int)l->task->base.id);
}

const cast_wait_kind cast_load_kind = {
  .finish = finish_load, .describe = describe_load, .cleans_up = true};

/* The load that t waits for, or NULL. */
static cast_load *awaited_load(const cast_ltask *t) {
  bool waits = t->kind == &cast_load_kind && cast_wait_is_armed(&t->base.wait);
  return waits ? t->arg : NULL;
}

/* The task of this session on whose going on the wait of t depends, as far as
   that can be known; NULL: none, or a deadline will end the wait. If t waits
   for all tasks of the session, it is `to`. */
static cast_ltask *awaited_task(
  cast_state *S, const cast_ltask *t, cast_ltask *to) {
  cast_ltask *of;
  if (awaited_load(t) != NULL) return awaited_load(t)->task;
  /* A host that ends waits for its sessions without a kind. */
  if (!cast_wait_is_armed(&t->base.wait) || t->base.wait.deadline.index != 0 ||
      t->kind == NULL)
    return NULL;
  if (t->kind->awaits == CAST_AWAITS_ALL) return to;
  if (t->kind->awaits != CAST_AWAITS_TASK) return NULL;
  of = t->arg;
  return of->base.session == &S->session ? of : NULL;
}

/* Does the chain of waits lead from `from` to `to`? It may have a circle in it,
   of tasks that join each other: Brent's algorithm. */
static bool waits_for(cast_state *S, cast_ltask *from, cast_ltask *to) {
  const cast_ltask *seen = from;
  cast_ltask *at = from;
  uint32_t steps = 0, lap = 1;
  while (at != NULL && at != to) {
    at = awaited_task(S, at, to);
    if (at == seen) return false;
    if (++steps == lap) {
      seen = at;
      lap *= 2;
      steps = 0;
    }
  }
  return at != NULL;
}

/* The same; and if so, marks the loads along the chain: when they fail now,
   trying them again would only lead to another circle. */
static bool is_circle(cast_state *S, cast_ltask *from, cast_ltask *to) {
  if (!waits_for(S, from, to)) return false;
  for (cast_ltask *t = from; t != to; t = awaited_task(S, t, to))
    if (awaited_load(t) != NULL) awaited_load(t)->circular = true;
  return true;
}

int cast_load_wait(
  lua_State *L, cast_state *S, cast_ltask *t, const char *name) {
  cast_load *l = find_other(S, t, name); /* finalizers may have run */
  bool circular = false;
  if (l != NULL) {
    CAST_ASSERT(t->in_place);
    circular = is_circle(S, l->task, t);
    if (!circular) {
      l->holds++;
      t->arg = l;
      if (cast_event_wait(&l->ended, &t->base) == CAST_PARKED)
        return CAST_PARKED;
      (void)finish_load(L, S, t, 0);
      return 0;
    }
    l->circular = true;
  }
  lua_pushboolean(L, circular);
  return 0;
}

/* A wait of t begins. If that closes a circle, ends the first wait for a load
   in it. */
static void break_circle(cast_state *S, cast_ltask *t) {
  cast_ltask *next = awaited_task(S, t, NULL), *at;
  if (next == NULL || !waits_for(S, next, t)) return;
  for (at = next; awaited_load(at) == NULL; at = awaited_task(S, at, t))
    if (at == t) return; /* tasks that join each other: not our concern */
  (void)is_circle(S, next, t);
  (void)cast_wait_end(&at->base, CIRCLE);
}

/* t, the main program, waits for all tasks, so also for those that wait for its
   loads: these go on. */
static void break_all(cast_state *S, cast_ltask *t) {
  for (cast_load *l = S->loads.first; l != NULL; l = l->next)
    if (l->task == t && l->holds > 1) {
      l->circular = true;
      cast_event_set(&l->ended, &S->session);
      cast_event_clear(&l->ended);
    }
}

void cast_load_park(lua_State *L, cast_state *S, cast_ltask *t) {
  CAST_UNUSED(L);
  for (cast_load *l = S->loads.first; l != NULL; l = l->next)
    if (l->task == t) hide(L, S, l);
  if (t->base.wait.deadline.index == 0 && t->kind->awaits == CAST_AWAITS_ALL)
    break_all(S, t);
  else if (t->kind != &cast_load_kind)
    break_circle(S, t);
}

void cast_load_resume(lua_State *L, cast_state *S, cast_ltask *t) {
  CAST_UNUSED(L);
  for (cast_load *l = S->loads.first; l != NULL; l = l->next)
    if (l->task == t) show(L, S, l);
}
