/* nest.c - coroutines of the program's own in which a task waits in place.
   SPDX-License-Identifier: MIT */
#include "nest.h"

#include "probe.h"

/* -- what has resumed what ------------------------------------------------ */

/* Pops a value: a coroutine that has a function which runs, or NULL. */
static lua_State *pop_live(lua_State *L) {
  lua_State *co = lua_tothread(L, -1);
  lua_Debug ar;
  lua_pop(L, 1);
  if (co == NULL || co == L || lua_status(co) != LUA_OK) return NULL;
  return lua_getstack(co, 0, &ar) ? co : NULL;
}

/* What the function on the top of L's stack has resumed: coroutine.resume has
   it as an argument, and that of coroutine.wrap as an upvalue. NULL: nothing
   that is found. (Each stack has two spare slots for what is pushed.) */
static lua_State *resumed_by(lua_State *L) {
  enum { SOME = 4 };
  lua_State *co = NULL;
  lua_Debug ar;
  if (!lua_getstack(L, 0, &ar)) return NULL;
  for (int i = 1; co == NULL && i <= SOME; i++) {
    if (lua_getlocal(L, &ar, i) == NULL) break;
    co = pop_live(L);
  }
  if (co != NULL || !lua_getinfo(L, "f", &ar)) return co;
  for (int i = 1; co == NULL && i <= SOME; i++) {
    if (lua_getupvalue(L, -1, i) == NULL) break;
    co = pop_live(L);
  }
  lua_pop(L, 1);
  return co;
}

/* -- keeping them --------------------------------------------------------- */

static void add(cast_nest *n, cast_state *S, lua_State *co, bool anchored) {
  if (n->n == CAST_NEST_MAX) return;
  n->in[n->n].co = co;
  n->in[n->n].anchor = anchored ? 0 : cast_anchor_thread(S, co);
#if CAST_LUA == 502 || CAST_LUA == 503
  n->in[n->n].calls = cast_calls_get(co);
#endif
  n->n++;
}

void cast_nest_keep(
  cast_nest *n, lua_State *L, cast_state *S, const cast_ltask *t) {
  lua_State *base = cast_nest_base(S, t);
  if (base == NULL || L != base) add(n, S, L, false);
  if (base == NULL) return;
  if (CAST_LUA == 502 || CAST_LUA == 503) add(n, S, base, true);
  if (L == base) return;
  for (lua_State *co = resumed_by(base); co != NULL && co != L;
       co = resumed_by(co)) {
    if (n->n == CAST_NEST_MAX) break;
    add(n, S, co, false);
  }
}

void cast_nest_drop(const cast_nest *n, cast_state *S) {
  for (uint32_t i = 0; i < n->n; i++) {
#if CAST_LUA == 502 || CAST_LUA == 503
    cast_calls_set(n->in[i].co, n->in[i].calls);
#endif
    if (n->in[i].anchor != 0) cast_anchor_free(S, n->in[i].anchor);
  }
}
