/* pending.c - coroutines of tasks, and tasks that have not begun.
   SPDX-License-Identifier: MIT

   Coroutines of tasks that have ended are kept, up to CAST_COROUTINES_MAX, and
   used again. A task gets its coroutine when it is first resumed. Until then it
   is pending: its function and arguments lie on the stack of a coroutine that
   is never run, a startup. So tasks that are spawned by the thousand, each of
   which ends before the next one begins, use the same coroutine again, and one
   that waits for its first turn costs some slots instead of a coroutine. One
   startup fills while others drain; a full one is followed by another, because
   Lua limits how large a stack may be.
   Owner: the session's.
   Invariants:
   1. A task that is PENDING has nstart values from slot pending.slot on,
      on the stack at place pending.stack, and counts in `waiting` of it. (Not
      in a field that operations use: a finalizer may run just before the task
      begins, and do anything in its name.)
   2. With `waiting` at zero a stack is empty, and either the one that fills or
      among the drained ones.
   3. A stack has `nreserved` slots: cast_lua_reserve has made them, and a
      collector that shrinks stacks leaves at least CAST_PENDING_RESERVED, and
      twice what is used. */
#include "pending.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/compat.h"
#include "../state/anchor.h"
#include "../state/ltask.h"
#include "../state/state.h"

struct cast_startup {
  uint32_t place;     /* in S->pending.all */
  cast_startup *next; /* in S->pending.drained */
  cast_coroutine co;  /* whose stack it is; never run */
  int nreserved;      /* slots that the stack has (invariant 3) */
  uint32_t waiting;   /* tasks whose values lie there (invariant 1) */
};

/* -- coroutines ----------------------------------------------------------- */

/* The program may still have a coroutine in which a task has ended, and may
   have changed it. The next task must not see that: a debug hook (LuaJIT has
   one for all coroutines), and on 5.1 and LuaJIT the table of globals. */
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

/* False: enough are kept, or there is no memory. */
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

/* Has s room for n values, and for a copy of one on its way to a coroutine
   (cast_pending_give)? The stack grows before it is full, by doubling, since
   making room is dear on 5.1 (cast_lua_reserve). */
static bool has_room(lua_State *L, cast_startup *s, int n) {
  int top = lua_gettop(s->co.L), end = top + n + 1, wanted = 2 * top;
  if (CAST_LIKELY(end <= s->nreserved)) return true;
  if (end > CAST_PENDING_SLOTS) return false;
  if (wanted > CAST_PENDING_SLOTS) wanted = CAST_PENDING_SLOTS;
  if (wanted < CAST_PENDING_RESERVED) wanted = CAST_PENDING_RESERVED;
  if (!cast_lua_reserve(s->co.L, wanted - top)) {
    cast_lua_running(L); /* an error may follow */
    return false;
  }
  s->nreserved = wanted;
  return true;
}

/* The stack has no more than `top` values from now on. A collector may shrink
   it then (invariant 3). */
static void shorten(cast_startup *s, int top) {
  lua_settop(s->co.L, top);
  if (s->nreserved > 2 * top && s->nreserved > CAST_PENDING_RESERVED)
    s->nreserved =
      2 * top > CAST_PENDING_RESERVED ? 2 * top : CAST_PENDING_RESERVED;
}

/* s is empty, and is not the one that fills: keeps or frees it. */
static void put_drained(cast_state *S, cast_startup *s) {
  if (S->pending.ndrained == CAST_PENDING_DRAINED) {
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

/* NULL: there can be no more. Raises when out of memory for its coroutine. */
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
      (lua_gettop(s->co.L) < CAST_PENDING_SWITCH ||
        S->pending.drained == NULL) &&
      has_room(L, s, n))
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
  return has_room(L, s, n) ? s : NULL;
}

/* All that may raise, or run a finalizer that spawns as well, comes before the
   place is taken. */
bool cast_pending_keep(lua_State *L, cast_state *S, cast_ltask *t, int n) {
  cast_startup *s;
  if ((unsigned)n > CAST_PENDING_VALUES) return false;
  s = choose(L, S, n);
  if (s == NULL) return false;
  t->pending.stack = s->place & (CAST_PENDING_STACKS - 1);
  t->pending.slot =
    ((uint32_t)lua_gettop(s->co.L) + 1) & (CAST_PENDING_SLOTS - 1);
  t->nstart = (uint8_t)n;
  t->stage = CAST_STAGE_PENDING;
  s->waiting++;
  lua_xmove(L, s->co.L, n);
  return true;
}

/* The slots are set to nil, and cut off once they are the last: values of tasks
   that began later may lie above. */
void cast_pending_give(cast_state *S, cast_ltask *t, lua_State *co) {
  cast_startup *s = S->pending.all[t->pending.stack];
  lua_State *L = s->co.L;
  int first = (int)t->pending.slot, end = first + t->nstart;
  for (int i = first; i < end; i++) {
    if (co != NULL) {
      lua_pushvalue(L, i);
      lua_xmove(L, co, 1);
    }
    lua_pushnil(L);
    lua_replace(L, i);
  }
  t->nstart = 0;
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
