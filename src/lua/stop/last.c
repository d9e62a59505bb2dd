/* last.c - waits of finalizers while a host's state closes.
   SPDX-License-Identifier: MIT

   Lua does not tell that a state closes. A finalizer that is about to wait
   finds it out: the collector is stopped and no hooks are called, as in all
   finalizers; and it is the first function on the main thread's stack, which
   lua_close has unwound. Before 5.4 nothing says of a function that it is a
   finalizer, so there it is enough that the first function is another one than
   while the program runs. (os.exit of 5.2, 5.3 and the first of 5.4 does not
   unwind that stack: then os.exit is on it.) A C program may call Lua functions
   in turn: then, before 5.4, any finalizer may look like one at the end. So the
   time that such waits may take counts anew after other waits.
   Owner: the host's thread. */
#include "last.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../heap.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../../wait.h"
#include "../compat/compat.h"
#include "../compat/stack.h"
#include "../compat/stock.h"
#include "../state/argument.h"
#include "../state/ltask.h"
#include "../state/state.h"

/* -- is it at the end? ---------------------------------------------------- */

/* In the registry: the first function of the program, so that no other function
   has its address later. */
static const char first_key = 0;

/* Stands for a first function that is not known, since a tail call has left
   it. */
static const char tail_call = 0;

/* The first function on a stack, at the bottom, with its name in *ar; NULL:
   there is none, or more than CAST_LAST_LEVELS follow. */
static const void *first_on(lua_State *L, lua_Debug *ar) {
  const void *f;
  int depth;
  if (lua_getstack(L, CAST_LAST_LEVELS, ar)) return NULL;
  depth = cast_stack_depth(L);
  if (depth == 0) return NULL;
  (void)lua_getstack(L, depth - 1, ar);
  lua_getinfo(L, CAST_LUA >= 504 ? "nft" : "f", ar);
  f = lua_topointer(L, -1);
  lua_pop(L, 1);
  return f != NULL ? f : &tail_call;
}

/* Makes room for n values on the main thread's stack; false: there is none. */
static bool has_room(lua_State *L, lua_State *main, int n) {
  if (L != main) return cast_lua_reserve(main, n);
  luaL_checkstack(L, n, "the main program's");
  return true;
}

void cast_last_open(lua_State *L, cast_state *S) {
  lua_Debug ar;
  if (S->L == NULL || !has_room(L, S->L, 1)) return;
  S->last.first = first_on(S->L, &ar);
  if (S->last.first == NULL) return;
  /* Kept, so that no other function has its address later. */
  lua_getinfo(S->L, "f", &ar);
  lua_xmove(S->L, L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &first_key);
}

/* Is os.exit on that stack? */
static bool exits(lua_State *L) {
  lua_Debug ar;
  bool is = false;
  for (int i = 0; !is && i < CAST_LAST_LEVELS && lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "f", &ar);
    is = cast_stock_is_exit(lua_tocfunction(L, -1));
    lua_pop(L, 1);
  }
  return is;
}

/* -- is it a finalizer? --------------------------------------------------- */

static int do_nothing(lua_State *L) {
  CAST_UNUSED(L);
  return 0;
}

static void on_hook(lua_State *L, lua_Debug *ar) {
  CAST_UNUSED(ar);
  lua_sethook(L, NULL, 0, 0);
}

/* Are no hooks called in `at`? Tries it, with a hook of ours that unsets
   itself. What fails raises in L. */
static bool has_no_hooks(lua_State *L, lua_State *at) {
  lua_Hook hook = lua_gethook(at), now;
  int mask = lua_gethookmask(at), count = lua_gethookcount(at), status;
  lua_sethook(at, on_hook, LUA_MASKCALL, 0);
  status = cast_lua_cpcall(at, do_nothing, NULL);
  now = lua_gethook(at);
  /* A signal handler may have set another one meanwhile, and that may have
     raised an error. */
  if (now == on_hook || now == NULL) lua_sethook(at, hook, mask, count);
  if (status != LUA_OK) {
    lua_xmove(at, L, 1);
    lua_error(L);
  }
  return now == on_hook;
}

bool cast_last_has_hooks(lua_State *L, cast_state *S) {
  lua_State *at = CAST_LUAJIT || S->L == NULL ? L : S->L;
  return has_room(L, at, 3) && !has_no_hooks(L, at);
}

/* Is the function that t calls from on the stack of L in a finalizer that
   lua_close runs? See the opener. */
static bool is_last(lua_State *L, cast_state *S, const cast_ltask *t) {
  lua_Debug ar;
  const void *first;
#ifdef LUA_GCISRUNNING
  if (lua_gc(L, LUA_GCISRUNNING, 0) > 0) return false;
#endif
  first = first_on(S->L, &ar);
  if (t == S->main && !exits(S->L)) {
    if (first == NULL || S->last.first == NULL || first == S->last.first)
      return false;
#if CAST_LUA >= 504
    if (!ar.istailcall && (ar.name == NULL || strcmp(ar.name, "__gc") != 0))
      return false;
#endif
  }
#if CAST_LUAJIT /* hooks are the VM's, and called in one that has waited */
  if (first != NULL && first == S->last.finalizer) return true;
  if (!has_no_hooks(L, L)) return false;
  S->last.finalizer = first;
  return true;
#else
  return has_no_hooks(L, S->L);
#endif
}

bool cast_last_is_wait(lua_State *L, cast_state *S, const cast_ltask *t) {
  if (S->L == NULL) S->L = cast_main_thread(L);
  if (S->L == NULL || (L != S->L && t != S->main)) return false;
  /* Relaxed: it is set by this state's owner. */
  if (atomic_load_explicit(&S->ending, memory_order_relaxed)) return false;
  if (!has_room(L, S->L, 3) || !is_last(L, S, t)) return false;
  /* os.exit was called in a task: the main program cannot go on any more, and
     would, if its wait ended meanwhile. */
  if (t != S->main) cast_misuse(L, "cannot block here: the program ends");
  return true;
}

/* -- the time that there is ----------------------------------------------- */

/* When the finalizers that wait have to end. */
static uint64_t end_of(const cast_state *S) {
  return S->last.since_ns + CAST_LAST_NS;
}

_Noreturn static void refuse(lua_State *L) {
  cast_misuse(L, "cannot block here any longer: the program ends");
}

void cast_last_begin(lua_State *L, cast_state *S, bool is) {
  uint64_t now;
  S->last.waits = false;
  if (!is) {
    S->last.since_ns = 0;
    S->last.finalizer = NULL;
    return;
  }
  now = os_now();
  if (S->last.since_ns == 0) S->last.since_ns = now;
  if (now >= end_of(S)) refuse(L);
  S->last.waits = true;
}

uint64_t cast_last_until(const cast_state *S, uint64_t deadline_ns) {
  return deadline_ns < end_of(S) ? deadline_ns : end_of(S);
}

/* It is if its wait is over, or will be: computing tasks make way at once. */
bool cast_last_is_due(cast_state *S) {
  cast_wait *w = &S->main->base.wait;
  if (!cast_last_is_waiting(S)) return false;
  return !cast_wait_is_armed(w) ||
         (w->deadline.index != 0 &&
           cast_heap_deadline(&S->session.deadlines, &w->deadline) <= os_now());
}

int cast_last_result(cast_state *S, int result) {
  if (!S->last.ended) return result;
  if (result == 0) cast_msg_drop(&S->main->base.waiter.msg);
  return CASTING_ETIMEOUT;
}

void cast_last_over(lua_State *L, cast_state *S) {
  if (S->last.ended) {
    S->last.waits = false;
    S->binding->end(L);
    cast_raise_closed(L);
  }
  if (os_now() >= end_of(S)) refuse(L);
}

/* -- the end -------------------------------------------------------------- */

bool cast_last_defer(lua_State *L, cast_state *S) {
  if (!cast_last_is_stray(S) || L == S->L) return false;
  S->last.ended = true;
  (void)cast_wait_end(&S->main->base, CASTING_ETIMEOUT);
  return true;
}

/* Until 5.3 and on LuaJIT, the collector calls finalizers that lua_close has
   not come to yet, also in the middle of one of the program. That may be in a
   function of ours, or of a C module that uses ours. What os.exit was called by
   never goes on. (From 5.4 on the collector is stopped in finalizers.) */
bool cast_last_is_nested(lua_State *L, const cast_state *S) {
  lua_Debug ar;
  if (CAST_LUA >= 504) return false;
  if (S->L != NULL && L != S->L) return true;
  if (!lua_checkstack(L, 1)) return true;
  for (int i = 1; lua_getstack(L, i, &ar); i++) {
    bool ends, is;
    lua_CFunction f;
    if (i == CAST_LAST_LEVELS) return true;
    lua_getinfo(L, "f", &ar);
    f = lua_tocfunction(L, -1);
    is = lua_iscfunction(L, -1) && !cast_stock_is_collect(f);
    ends = cast_stock_is_exit(f);
    lua_pop(L, 1);
    if (ends) return false;
    if (is) return true;
  }
  return false;
}

uint64_t cast_last_end(cast_state *S) {
  uint64_t now = os_now(), least = now + CAST_GRACE_NS;
  uint64_t end = S->last.since_ns + CAST_END_NS;
  S->last.waits = false;
  if (S->last.since_ns == 0) return now + CAST_END_NS;
  return end > least ? end : least;
}
