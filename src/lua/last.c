/* last.c - waits of finalizers while a host's state closes.
   SPDX-License-Identifier: MIT

   Lua does not tell that a state closes. It is found from what one can see from
   a finalizer: that it is one (the collector is stopped, and no hooks are
   called), and that the first function on the main thread's stack is not that
   which is there as long as the program runs. It is the finalizer itself then,
   for lua_close has unwound the stack, or is called where there is none. (5.2
   and 5.3 leave it: there os.exit is on it.)
   A C program may call Lua functions in turn, so that there is no such first
   function, and before 5.4 any of its finalizers may look like one at the end.
   So the time counts anew after each other wait. */
#include "last.h"

#include "../../include/casting.h"
#include "argument.h"
#include "stock.h"

#define LEVELS 256 /* of a stack that are looked at */

/* Stands for a function that is not known, as it has been left. */
static const char tail_call = 0;
#if CAST_LUAJIT
static const char nothing_key = 0; /* a function of Lua that does nothing */
#endif

/* -- is it at the end? ---------------------------------------------------- */

/* The function at that level, and what it is called. */
static const void *function_at(lua_State *L, lua_Debug *ar) {
  const void *f;
  lua_getinfo(L, CAST_LUA >= 504 ? "nft" : "f", ar);
  f = lua_topointer(L, -1);
  lua_pop(L, 1);
  return f != NULL ? f : &tail_call;
}

/* The first function on the stack; NULL: there is none, or too many follow. */
static const void *first_of(lua_State *L, lua_Debug *ar) {
  int known = 0, beyond = 1;
  if (!lua_getstack(L, 0, ar)) return NULL;
  for (; lua_getstack(L, beyond, ar); beyond *= 2) {
    known = beyond;
    if (beyond > LEVELS) return NULL;
  }
  while (beyond - known > 1) {
    int middle = known + (beyond - known) / 2;
    if (lua_getstack(L, middle, ar))
      known = middle;
    else
      beyond = middle;
  }
  return lua_getstack(L, known, ar) ? function_at(L, ar) : NULL;
}

void cast_last_open(lua_State *L, cast_state *S) {
  lua_Debug ar;
#if CAST_LUAJIT
  static const char text[] = "return";
  if (cast_lua_load(L, text, sizeof text - 1, "=casting", "t") != LUA_OK)
    lua_error(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nothing_key);
#else
  CAST_UNUSED(L);
#endif
  if (S->L != NULL) S->last.first = first_of(S->L, &ar);
}

#if CAST_LUA == 502 || CAST_LUA == 503
static bool exits(lua_State *L) {
  lua_Debug ar;
  bool is = false;
  for (int i = 0; !is && i < LEVELS && lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "f", &ar);
    is = cast_stock_exits(lua_tocfunction(L, -1));
    lua_pop(L, 1);
  }
  return is;
}
#else
#define exits(L) (CAST_UNUSED(L), false)
#endif

/* -- is it a finalizer? --------------------------------------------------- */

#if CAST_LUAJIT
static void on_hook(lua_State *L, lua_Debug *ar) {
  cast_state *S = cast_state_find(L);
  CAST_UNUSED(ar);
  lua_sethook(L, NULL, 0, 0);
  if (S != NULL) S->last.hooked = true;
}

/* Hooks are the VM's. They are called again in one that has waited. */
static bool is_finalizer(lua_State *L, cast_state *S, const void *first) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (first == S->last.finalizer) return true;
  S->last.hooked = false;
  luaL_checkstack(L, 2, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nothing_key);
  lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
  lua_call(L, 0, 0);
  /* Unless a signal handler has just set another one. */
  if (lua_gethook(L) == on_hook || lua_gethook(L) == NULL)
    lua_sethook(L, hook, mask, count);
  if (!S->last.hooked) S->last.finalizer = first;
  return !S->last.hooked;
}
#else
static bool is_finalizer(lua_State *L, cast_state *S, const void *first) {
  CAST_UNUSED(L);
  CAST_UNUSED(first);
  return !cast_has_hooks(S->L);
}
#endif

static bool is_last(lua_State *L, cast_state *S, const cast_ltask *t) {
  lua_Debug ar;
  const void *first;
  /* A task that runs on the main thread has called os.exit. */
  if (L != S->L && t != S->main) return false;
#ifdef LUA_GCISRUNNING /* the collector is not at work in finalizers */
  if (lua_gc(L, LUA_GCISRUNNING, 0) > 0) return false;
#endif
  first = first_of(S->L, &ar);
  if (first == NULL) return false;
  if (first == S->last.first) return exits(S->L);
#if CAST_LUA >= 504 /* which says how it was called, but for a tail call */
  if (first != &tail_call && !ar.istailcall)
    return ar.name != NULL && strcmp(ar.name, "__gc") == 0;
#endif
  return is_finalizer(L, S, first);
}

/* -- the time that there is ----------------------------------------------- */

static uint64_t end_of(const cast_state *S) {
  return S->last.since_ns + CAST_LAST_NS;
}

_Noreturn static void refuse(lua_State *L) {
  cast_misuse(L, "cannot block here any longer: the program ends");
}

bool cast_last_enter_slow(lua_State *L, cast_state *S, cast_ltask *t) {
  uint64_t now;
  bool is = !S->closing && is_last(L, S, t);
  if (!is) return cast_last_other(S, t), false;
  now = os_now();
  if (S->last.since_ns == 0) S->last.since_ns = now;
  S->last.task = NULL;
  if (now >= end_of(S)) refuse(L);
  S->last.task = t;
  S->last.until_ns = end_of(S);
  return true;
}

uint64_t cast_last_until(cast_state *S, cast_ltask *t, uint64_t deadline_ns) {
  if (S->last.task != t) return deadline_ns;
  if (deadline_ns > end_of(S)) deadline_ns = end_of(S);
  return S->last.until_ns = deadline_ns;
}

void cast_last_over(lua_State *L, cast_state *S, cast_ltask *t) {
  if (S->last.task == t && os_now() >= end_of(S)) refuse(L);
}

bool cast_last_is_due(const cast_state *S) {
  return !cast_wait_armed(&S->last.task->core.wait) ||
         os_now() >= S->last.until_ns;
}

bool cast_last_defer(lua_State *L, cast_state *S) {
  if (!cast_last_waits(S) || L == S->L ||
      S->session.current == &S->last.task->core)
    return false;
  S->last.ended = true;
  (void)cast_wait_end(&S->last.task->core, CASTING_ETIMEOUT);
  return true;
}

void cast_last_end_now(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_wait_kind *kind) {
  if (kind != NULL) {
    cast_wait_over(t);
    cast_unsend(L, S, t);
    cast_msg_drop(&t->core.waiter.msg);
    if (kind->cleans_up) (void)kind->finish(L, S, t, CASTING_ETIMEOUT);
    cast_let_go(t);
  }
  S->last.task = NULL;
  S->binding->end(L);
  cast_raise_closed(L);
}

uint64_t cast_last_end(cast_state *S) {
  uint64_t now = os_now(), least = now + CAST_GRACE_NS;
  uint64_t end = S->last.since_ns + CAST_END_NS;
  S->last.task = NULL;
  if (S->last.since_ns == 0) return now + CAST_END_NS;
  return end > least ? end : least;
}
