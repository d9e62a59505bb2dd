/* starting.c - coroutines of tasks, and tasks that have not begun.
   SPDX-License-Identifier: MIT

   Coroutines of tasks that have ended are kept, up to CAST_COROUTINES_MAX, and
   used again. A task gets its coroutine when it is first resumed. Until then
   its function and arguments lie on the stack of a coroutine that is never run:
   so what is spawned by the thousand, and ends before the next one begins, uses
   the same coroutine again, and a task that waits for its turn costs some slots
   instead of a coroutine. There are two such stacks, so that one can drain
   while the other fills. Owner: the session's. Invariants:
   1. A task with core.mark > 0 has that many values at `ref` of stack
      `startup`, and counts in `waiting` of it.
   2. With `waiting` at zero a stack is empty. */
#include "../mem.h"
#include "state.h"

#define ARGUMENTS_MAX 16u /* what fits any coroutine without growing it */
#define SWITCH_AT 256     /* slots in use from which on the other is better */

/* -- coroutines ----------------------------------------------------------- */

cast_coroutine cast_coroutine_get(lua_State *L, cast_state *S) {
  cast_coroutine co;
  if (S->nidle > 0) return S->idle[--S->nidle];
  luaL_checkstack(L, 2, NULL);
  co.L = lua_newthread(L);
  co.ref = cast_anchor(L, S);
  return co;
}

static bool keep_coroutine(cast_state *S, cast_coroutine co) {
  if (S->closing || S->nidle >= CAST_COROUTINES_MAX) return false;
  if (S->nidle == S->idle_room) {
    uint32_t room = S->idle_room == 0 ? 8 : S->idle_room * 2;
    cast_coroutine *idle = cast_realloc(S->idle, room * sizeof *idle);
    if (idle == NULL) return false;
    S->idle = idle;
    S->idle_room = room;
  }
  lua_settop(co.L, 0);
  S->idle[S->nidle++] = co;
  return true;
}

void cast_coroutine_put(cast_state *S, cast_coroutine co, bool clean) {
  /* Hooks are the coroutine's own: one that was set there must not stay. */
  if (clean && !CAST_LUAJIT && lua_gethook(co.L) != NULL)
    lua_sethook(co.L, NULL, 0, 0);
  if (clean && keep_coroutine(S, co)) return;
  cast_anchor_free(S, co.ref);
}

/* -- tasks that have not begun -------------------------------------------- */

/* The stack to put values on, made when first needed. Raises. */
static cast_startup *choose(lua_State *L, cast_state *S) {
  cast_startup *s = &S->startups[S->startup];
  lua_State *fresh;
  if (s->L != NULL && lua_gettop(s->L) >= SWITCH_AT &&
      S->startups[!S->startup].waiting == 0) {
    S->startup = !S->startup;
    s = &S->startups[S->startup];
  }
  if (s->L != NULL) return s;
  luaL_checkstack(L, 2, NULL);
  fresh = lua_newthread(L);
  if (s->L != NULL) { /* a finalizer has spawned meanwhile */
    lua_pop(L, 1);
    return s;
  }
  (void)cast_anchor(L, S);
  s->L = fresh;
  return s;
}

bool cast_starting_keep(lua_State *L, cast_state *S, cast_ltask *t, int n) {
  cast_startup *s;
  if ((unsigned)n > ARGUMENTS_MAX) return false;
  s = choose(L, S);
  /* One slot more: for the copy on its way to the coroutine. */
  if (!lua_checkstack(s->L, n + 1)) return false;
  t->ref = lua_gettop(s->L) + 1;
  t->core.mark = (uint8_t)n;
  t->startup = S->startup;
  s->waiting++;
  lua_xmove(L, s->L, n);
  return true;
}

void cast_starting_give(cast_state *S, cast_ltask *t, lua_State *co) {
  cast_startup *s = &S->startups[t->startup];
  int first = t->ref, end = first + t->core.mark;
  for (int i = first; i < end; i++) {
    if (co != NULL) {
      lua_pushvalue(s->L, i);
      lua_xmove(s->L, co, 1);
    }
    lua_pushnil(s->L);
    lua_replace(s->L, i);
  }
  t->core.mark = 0;
  if (--s->waiting == 0)
    lua_settop(s->L, 0);
  else if (end == lua_gettop(s->L) + 1)
    lua_settop(s->L, first - 1);
}
