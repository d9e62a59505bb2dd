/* pending.c - coroutines of tasks, and tasks that have not begun.
   SPDX-License-Identifier: MIT

   Coroutines of tasks that have ended are kept, up to CAST_COROUTINES_MAX, and
   used again. A task gets its coroutine when it is first resumed. Until then
   its function and arguments lie on the stack of a coroutine that is never run:
   so what is spawned by the thousand, and ends before the next one begins, uses
   the same coroutine again, and a task that waits for its turn costs some slots
   instead of a coroutine. One such stack fills while others drain; a full one
   is followed by another, for Lua limits how large a stack may be.
   Owner: the session's. Invariants:
   1. A task that is PENDING has base.nstart values from slot pending.slot on,
      on the stack at place pending.stack, and counts in `waiting` of it. (Not
      in a field that operations use: a finalizer may run just before the task
      begins, and do anything in its name.)
   2. With `waiting` at zero a stack is empty, and either the one that fills or
      among the drained ones.
   3. A stack has `nreserved` slots: cast_lua_reserve has made them, and a
      collector that shrinks stacks leaves at least RESERVED_FIRST, and twice
      what is used. */
#include "pending.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/compat.h"
#include "../state/anchor.h"
#include "../state/ltask.h"
#include "../state/state.h"

#define ARGUMENTS_MAX 16u /* what fits any coroutine without growing it */

#define SWITCH_AT 256 /* slots in use from which on another is better */

#define RESERVED_FIRST 40 /* more than ARGUMENTS_MAX needs twice */

#define DRAINED_MAX 2u /* kept, of the drained ones */

struct cast_startup {
  uint32_t place;     /* in S->pending.all */
  cast_startup *next; /* of the drained ones */
  cast_coroutine co;
  int nreserved;    /* slots, used or not */
  uint32_t waiting; /* tasks that have something there */
};

/* -- coroutines ----------------------------------------------------------- */

/* What the program may have done to a coroutine that it still has, or a task
   that has ended there, is not for the next one: a debug hook (LuaJIT has one
   for all coroutines), and in 5.1 and LuaJIT the table of globals. */
static void renew(cast_state *S, lua_State *co) {
  if (!CAST_LUAJIT && CAST_UNLIKELY(lua_gethook(co) != NULL))
    lua_sethook(co, NULL, 0, 0);
#if CAST_LUA < 502
  if (CAST_UNLIKELY(lua_topointer(co, LUA_GLOBALSINDEX) !=
                    lua_topointer(S->work, LUA_GLOBALSINDEX))) {
    lua_pushvalue(S->work, LUA_GLOBALSINDEX);
    lua_xmove(S->work, co, 1);
    lua_replace(co, LUA_GLOBALSINDEX);
  }
#else
  CAST_UNUSED(S);
#endif
}

cast_coroutine cast_coroutine_new(lua_State *L, cast_state *S) {
  cast_coroutine co;
  luaL_checkstack(L, 2, NULL);
  co.L = lua_newthread(L);
  co.anchor = cast_anchor(L, S);
  return co;
}

bool cast_coroutine_reuse(cast_state *S, cast_coroutine *co) {
  if (CAST_UNLIKELY(S->idle.n == 0)) return false;
  *co = S->idle.all[--S->idle.n];
  renew(S, co->L);
  return true;
}

cast_coroutine cast_coroutine_get(lua_State *L, cast_state *S) {
  cast_coroutine co;
  return cast_coroutine_reuse(S, &co) ? co : cast_coroutine_new(L, S);
}

static bool keep_coroutine(cast_state *S, cast_coroutine co) {
  if (S->closing || S->idle.n >= CAST_COROUTINES_MAX) return false;
  if (S->idle.n == S->idle.room) {
    uint32_t room = S->idle.room == 0 ? 8 : S->idle.room * 2;
    cast_coroutine *idle = cast_realloc(S->idle.all, room * sizeof *idle);
    if (idle == NULL) return false;
    S->idle.all = idle;
    S->idle.room = room;
  }
  lua_settop(co.L, 0);
  S->idle.all[S->idle.n++] = co;
  return true;
}

void cast_coroutine_put(cast_state *S, cast_coroutine co, bool clean) {
  if (clean && keep_coroutine(S, co)) return;
  cast_anchor_free(S, co.anchor);
}

/* -- tasks that have not begun -------------------------------------------- */

/* Has it room for n values, and for a copy on its way to a coroutine? */
static bool has_room(cast_startup *s, int n) {
  int top = lua_gettop(s->co.L), end = top + n + 1, wanted = 2 * top;
  if (CAST_LIKELY(end <= s->nreserved)) return true;
  if (end > CAST_PENDING_SLOTS) return false;
  if (wanted > CAST_PENDING_SLOTS) wanted = CAST_PENDING_SLOTS;
  if (wanted < RESERVED_FIRST) wanted = RESERVED_FIRST;
  if (!cast_lua_reserve(s->co.L, wanted - top)) return false;
  s->nreserved = wanted;
  return true;
}

static void shorten(cast_startup *s, int top) {
  lua_settop(s->co.L, top);
  if (s->nreserved > 2 * top && s->nreserved > RESERVED_FIRST)
    s->nreserved = 2 * top > RESERVED_FIRST ? 2 * top : RESERVED_FIRST;
}

/* It is empty, and does not fill. */
static void put_drained(cast_state *S, cast_startup *s) {
  if (S->pending.ndrained == DRAINED_MAX) {
    cast_anchor_free(S, s->co.anchor);
    S->pending.all[s->place] = NULL;
    cast_free(s);
    return;
  }
  s->next = S->pending.drained;
  S->pending.drained = s;
  S->pending.ndrained++;
}

/* A free place in S->pending.all: there are few, and one is looked for at most
   once in hundreds of tasks. CAST_PENDING_STACKS: there is none. */
static uint32_t free_place(cast_state *S) {
  uint32_t i = 0, room = S->pending.room == 0 ? 2 : S->pending.room * 2;
  cast_startup **startups;
  while (i < S->pending.room && S->pending.all[i] != NULL) i++;
  if (i < S->pending.room) return i;
  if (room > CAST_PENDING_STACKS) return CAST_PENDING_STACKS;
  startups = cast_realloc(S->pending.all, room * sizeof(cast_startup *));
  if (startups == NULL) return CAST_PENDING_STACKS;
  memset(startups + i, 0, (room - i) * sizeof(cast_startup *));
  S->pending.all = startups;
  S->pending.room = room;
  return i;
}

/* NULL: there can be no more. Raises. */
static cast_startup *new_startup(lua_State *L, cast_state *S) {
  cast_coroutine co = cast_coroutine_new(L, S);
  uint32_t place = free_place(S); /* now: that may have run a finalizer */
  cast_startup *s = place < CAST_PENDING_STACKS ? cast_calloc(sizeof *s) : NULL;
  if (s == NULL) {
    cast_coroutine_put(S, co, true);
    return NULL;
  }
  s->co = co;
  s->place = place;
  S->pending.all[place] = s;
  return s;
}

/* The stack to put n values on; NULL: there is none. Raises. */
static cast_startup *choose(lua_State *L, cast_state *S, int n) {
  cast_startup *s = S->pending.filling, *old;
  if (CAST_LIKELY(s != NULL) &&
      (lua_gettop(s->co.L) < SWITCH_AT || S->pending.drained == NULL) &&
      has_room(s, n))
    return s;
  s = S->pending.drained;
  if (s != NULL) {
    S->pending.drained = s->next;
    S->pending.ndrained--;
  } else {
    s = new_startup(L, S);
    if (s == NULL) return NULL;
  }
  old =
    S->pending.filling; /* another one, if a finalizer has spawned meanwhile */
  S->pending.filling = s;
  if (old != NULL && old->waiting == 0) put_drained(S, old);
  return has_room(s, n) ? s : NULL;
}

bool cast_pending_keep(lua_State *L, cast_state *S, cast_ltask *t, int n) {
  cast_startup *s;
  if ((unsigned)n > ARGUMENTS_MAX) return false;
  s = choose(L, S, n);
  if (s == NULL) return false;
  t->pending.stack = s->place & (CAST_PENDING_STACKS - 1);
  t->pending.slot =
    ((uint32_t)lua_gettop(s->co.L) + 1) & (CAST_PENDING_SLOTS - 1);
  t->base.nstart = (uint8_t)n;
  t->stage = CAST_STAGE_PENDING;
  s->waiting++;
  lua_xmove(L, s->co.L, n);
  return true;
}

void cast_pending_give(cast_state *S, cast_ltask *t, lua_State *co) {
  cast_startup *s = S->pending.all[t->pending.stack];
  lua_State *L = s->co.L;
  int first = (int)t->pending.slot, end = first + t->base.nstart;
  for (int i = first; i < end; i++) {
    if (co != NULL) {
      lua_pushvalue(L, i);
      lua_xmove(L, co, 1);
    }
    lua_pushnil(L);
    lua_replace(L, i);
  }
  t->base.nstart = 0;
  if (--s->waiting > 0) {
    if (end == lua_gettop(L) + 1) shorten(s, first - 1);
    return;
  }
  shorten(s, 0);
  if (s != S->pending.filling) put_drained(S, s);
}

void cast_pending_fini(cast_state *S) {
  for (uint32_t i = 0; i < S->pending.room; i++) cast_free(S->pending.all[i]);
  cast_free(S->pending.all);
}
