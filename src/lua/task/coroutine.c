/* coroutine.c - coroutine.resume and wrap that let a task be preempted.
   SPDX-License-Identifier: MIT

   In sessions of ours these two replace the library's, and so does close, whose
   __close handlers can be stopped then. They do the same, and
   keep S->preempt right (its invariants are in preempt.c). A coroutine that the
   hook has interrupted yields to the function that resumed it, which is one of
   these. That yields on, with a continuation that resumes the coroutine again,
   so that user code sees nothing of the preemption. 5.1 has no continuations:
   there, `can_preempt` is false in a coroutine of the user's, which is not
   preempted; the pool starts another thread if that takes long. On LuaJIT the
   library's functions are called, in assembler, and the same holds. But these
   do not look at the C stack, which coroutines in coroutines in coroutines
   would overflow: so ours do, where one is made, and in a sandbox where one is
   resumed. There ours also keep S->preempt right, so that a task can be ended
   in a coroutine as elsewhere; in a trusted session it is unwound.

   A C module may resume L by itself: then S->preempt.running is not L, but the
   coroutine that has called that module, and is so again afterwards. No hook
   may yield up to that one.

   Owner: the session's. Upvalues: the state's box; wrap's function also has the
   coroutine, and close the library's. (LuaJIT's are told below.) */
#include "coroutine.h"

#include "../../base.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "../compat/seal.h"
#include "../compat/yieldable.h"
#include "../state/ltask.h"
#include "../state/memory.h"
#include "../state/replace.h"
#include "../state/state.h"
#include "../stop/preempt.h"

#if CAST_LUAJIT

/* In the places of the library's: the box, that function, and of wrap's the
   coroutine. */
#define STOCK lua_upvalueindex(2) /* resume */
#define CO lua_upvalueindex(3)

/* Has the library resume the coroutine at 1, with the arguments above it. These
   give way to what it returns, true or false in front. Protected: `running`
   must not be left as it is. */
static void resume(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  lua_State *co = lua_tothread(L, 1);
  bool can_preempt = S->preempt.can_preempt;
  lua_State *was =
    atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
  int status;
  lua_pushvalue(L, STOCK);
  lua_insert(L, 2);
  lua_pushvalue(L, 1);
  lua_insert(L, 3);
  S->preempt.can_preempt = false;
  atomic_store_explicit(&S->preempt.running, co, memory_order_relaxed);
  status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  atomic_store_explicit(&S->preempt.running, was, memory_order_relaxed);
  S->preempt.can_preempt = can_preempt;
  if (status != LUA_OK) lua_error(L);
}

/* Was the task ended in the coroutine at 1 (preempt.c)? */
static bool has_ended(lua_State *L) {
  cast_state *S = cast_state_boxed(L);
  if (CAST_LIKELY(!S->preempt.ended)) return false;
  cast_stop_fail(S, lua_tothread(L, 1));
  return true;
}

/* coroutine.resume: coroutines that were made before may resume each other as
   well. */
static int co_resume(lua_State *L) {
  cast_libs_deeper(L, CAST_STACK_SPARE);
  if (!lua_isthread(L, 1)) luaL_argerror(L, 1, "coroutine expected");
  resume(L);
  if (CAST_UNLIKELY(has_ended(L)))
    return cast_stop_pass_on(L, cast_state_boxed(L));
  return lua_gettop(L) - 1;
}

/* The function that wrap returns. It puts a place in front of an error, unless
   a C function has called it. */
static int co_wrapped(lua_State *L) {
  cast_libs_deeper(L, CAST_STACK_SPARE);
  lua_pushvalue(L, CO);
  lua_insert(L, 1);
  resume(L);
  if (CAST_UNLIKELY(has_ended(L)))
    return cast_stop_pass_on(L, cast_state_boxed(L));
  if (lua_toboolean(L, 2)) return lua_gettop(L) - 2;
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* coroutine.wrap; it has resume as its second upvalue. */
static int co_wrap(lua_State *L) {
  lua_State *co;
  cast_libs_deeper(L, CAST_STACK_SPARE);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, STOCK);
  co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, co_wrapped, 3);
  return 1;
}

/* In the place of create, and of wrap, where the program is trusted: coroutines
   that make coroutines are looked at, and to resume one costs no more. */
static int co_make(lua_State *L) {
  cast_libs_deeper(L, CAST_STACK_SPARE);
  return cast_libs_pass(L);
}

/* The table on the top gets that function, with the box and its own resume. */
static void put(lua_State *L, const char *name, lua_CFunction f) {
  cast_state_box(L);
  lua_getfield(L, -2, "resume");
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

void cast_open_coroutine(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "coroutine");
  if (lua_istable(L, -1) && cast_state_find(L)->sandbox != NULL) {
    put(L, "wrap", co_wrap);
    put(L, "resume", co_resume);
  } else if (lua_istable(L, -1)) {
    cast_libs_wrap(L, "create", co_make);
    cast_libs_wrap(L, "wrap", co_make);
  }
  lua_pop(L, 2);
}

#else

#define CO lua_upvalueindex(2) /* of wrap's function */
/* Slots that any stack has beyond its top (Lua's EXTRA_STACK). 5.1 makes room
   in a protected call (cast_lua_reserve), which would cost more than the
   resumption. */
#define SPARE (CAST_LUA == 501 ? 4 : 0)

/* Why co cannot be resumed, in the words of the library, as far as lua_resume
   does not find that out by itself; NULL: it may be resumed. */
static const char *refusal(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (CAST_LUA == 501 && L == co) return "cannot resume running coroutine";
  if (CAST_LUA == 501 && lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar))
    return "cannot resume normal coroutine";
  /* lua_resume would take an empty stack for one with a function to call. */
  if (CAST_LUA < 504 && lua_status(co) == LUA_OK && lua_gettop(co) == 0)
    return "cannot resume dead coroutine";
  if (CAST_LUA == 501 && lua_status(co) > LUA_YIELD)
    return "cannot resume dead coroutine";
  return NULL;
}

/* On 5.1 garbage is collected by the hook when memory has failed (memory.c). It
   has failed in co, whose hook has gone with it, and to call one in L may take
   memory for L's stack. So that is done here. */
static void collect_for(cast_state *S) {
#if CAST_LUA >= 502
  CAST_UNUSED(S);
#else
  cast_task *base = S->session.current;
  if (CAST_LIKELY(!cast_state_starved(S))) return;
  if (base != NULL && !cast_ltask_of(base)->doomed) cast_state_collect(S);
#endif
}

/* Resumes co once, with n arguments from its stack, and keeps S->preempt right.
   A request that has set the hook on L, which will not call it now, is
   repeated, on co; and one that has set it on co in the end, on L. Relaxed: for
   the signal handler, which runs in this thread. */
static int run(lua_State *L, cast_state *S, lua_State *co, int n, int *nres) {
  bool can_preempt = S->preempt.can_preempt;
  lua_State *was =
    atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
  lua_State *hooked;
  int status;
  S->preempt.can_preempt =
    CAST_HAS_YIELDK && can_preempt && was == L && cast_is_yieldable(L);
  atomic_store_explicit(&S->preempt.running, co, memory_order_relaxed);
  /* Relaxed: written by its own thread. */
  hooked = atomic_load_explicit(&S->preempt.hooked, memory_order_relaxed);
  if (CAST_UNLIKELY(hooked != NULL)) cast_preempt_request(&S->session);
  status = cast_lua_resume_from(L, co, n, nres);
  atomic_store_explicit(&S->preempt.running, was, memory_order_relaxed);
  S->preempt.can_preempt = can_preempt;
  hooked = atomic_load_explicit(&S->preempt.hooked, memory_order_relaxed);
  if (CAST_UNLIKELY(hooked != NULL && hooked != was))
    cast_preempt_request(&S->session);
  collect_for(S);
  return status;
}

#if CAST_HAS_CLOSE
/* In L, calls f, which closes co: the __close handlers run in co, and can be
   stopped there, but cannot yield. f raises nothing. */
static int run_handlers(lua_State *L, lua_State *co, lua_CFunction f) {
  cast_state *S = cast_state_boxed(L);
  bool can_preempt;
  lua_State *was;
  int n;
  if (S == NULL) return f(L);
  was = atomic_load_explicit(&S->preempt.running, memory_order_relaxed);
  can_preempt = S->preempt.can_preempt;
  S->preempt.can_preempt = false;
  if (S->session.current != NULL)
    cast_stop_watch(S, cast_ltask_of(S->session.current), co);
  atomic_store_explicit(&S->preempt.running, co, memory_order_relaxed);
  n = f(L);
  atomic_store_explicit(&S->preempt.running, was, memory_order_relaxed);
  S->preempt.can_preempt = can_preempt;
  if (atomic_load_explicit(&S->preempt.hooked, memory_order_relaxed) == co)
    cast_preempt_request(&S->session);
  return n;
}

/* coroutine.close(co); the second upvalue is the library's. That refuses one
   that has resumed others, and up to 5.4 the one that runs. 5.5 ends that, and
   jumps over all calls in it: not over calls of C, which would leave things
   undone. A __close handler may close another coroutine, whose handler closes
   another one: up to 5.4.5 Lua does not count these calls. */
static int co_close(lua_State *L) {
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(2));
  lua_State *co = lua_tothread(L, 1);
  lua_Debug ar;
  bool self = co == L || (CAST_LUA >= 505 && lua_isnone(L, 1));
  if (CAST_LUA >= 505 && self && !cast_is_yieldable(L))
    return luaL_error(L, "cannot close a coroutine that calls C functions");
  if (co == NULL || self ||
      (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar)))
    return f(L);
  cast_libs_deeper(L, CAST_STACK_SPARE);
  return run_handlers(L, co, f);
}

/* Closes the coroutine of wrap. Returns whether there is another error now. */
static int close_wrapped(lua_State *L) {
  return cast_lua_close_thread(lua_tothread(L, CO), L) != LUA_OK;
}
#else
#define run_handlers(L, co, f) 0
#endif

/* Moves what co has yielded or returned to L, and returns how many values; -1:
   the error is on the top of L. */
static int move_outcome(lua_State *L, lua_State *co, int status, int nres) {
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, nres + 1)) {
    lua_pop(co, nres);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, nres);
  return nres;
}

/* What resume returns: true and the values, or false and the error. n: as
   outcome returns it. */
static int deliver_resume(lua_State *L, int n) {
  lua_pushboolean(L, n >= 0);
  lua_insert(L, n >= 0 ? -(n + 1) : -2);
  return n >= 0 ? n + 1 : 2;
}

/* What wrap's function returns; it passes errors on, with the place of its
   caller if they are texts. */
static int deliver_wrap(lua_State *L, lua_State *co, int n) {
  if (n >= 0) return n;
  if (CAST_HAS_CLOSE && lua_status(co) != LUA_OK &&
      lua_status(co) != LUA_YIELD) {
    cast_libs_deeper(L, CAST_STACK_SPARE);
    if (run_handlers(L, co, close_wrapped) != 0) {
      lua_pop(L, 1);
      lua_xmove(co, L, 1); /* what its clean-up has made of the error */
    }
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int go_on(lua_State *L, lua_State *co, int n, bool wrap);

#if CAST_HAS_YIELDK
/* Goes on with the coroutine that the hook has interrupted. It is looked for
   where it was, and compared with co, since debug.setlocal may have put
   anything there while L was suspended. co is NULL on 5.2, which does not need
   that. */
static int go_on_again(lua_State *L, const lua_State *co, bool wrap) {
  lua_State *now = lua_tothread(L, wrap ? CO : 1);
  if (now == NULL || (co != NULL && now != co))
    return luaL_error(L, "the coroutine was taken away");
  cast_unseal(now);
  return go_on(L, now, 0, wrap);
}
#endif

#if CAST_LUA >= 503
static int resume_again(lua_State *L, int status, lua_KContext ctx) {
  CAST_UNUSED(status);
  return go_on_again(L, (const lua_State *)(ctx & ~(lua_KContext)1), ctx & 1);
}
#define YIELD_ON(L, co, wrap) \
  lua_yieldk(L, 0, (lua_KContext)(co) | ((wrap) ? 1 : 0), resume_again)
#elif CAST_LUA == 502
/* 5.2's context is an int, with no room for an address; but its debug library
   does not reach the stack of a C function that has yielded. */
static int resume_again(lua_State *L) {
  int wrap = 0;
  lua_getctx(L, &wrap);
  return go_on_again(L, NULL, wrap != 0);
}
#define YIELD_ON(L, co, wrap) lua_yieldk(L, 0, (wrap) ? 1 : 0, resume_again)
#endif

/* The task was ended in co (preempt.c), and so it is in L. Where little is left
   of the C stack no handlers run. */
static int end_with(lua_State *L, cast_state *S, lua_State *co, bool wrap) {
  cast_stop_fail(S, co);
#if CAST_HAS_CLOSE
  if (wrap && cast_libs_left(L, CAST_STACK_SPARE))
    (void)run_handlers(L, co, close_wrapped);
#else
  CAST_UNUSED(wrap);
#endif
  return cast_stop_pass_on(L, S);
}

/* Resumes co, which has n arguments on its stack, until it yields of its own
   will or ends. */
static int go_on(lua_State *L, lua_State *co, int n, bool wrap) {
  cast_state *S = cast_state_boxed(L);
  int status, nres;
  for (;;) {
    status = run(L, S, co, n, &nres);
    if (CAST_LIKELY(status != LUA_YIELD || !S->preempt.preempted)) break;
    if (CAST_UNLIKELY(S->preempt.ended)) return end_with(L, S, co, wrap);
#if CAST_HAS_YIELDK
    cast_seal(co);
    return YIELD_ON(L, co, wrap); /* L can: `can_preempt` was true */
#else
    S->preempt.preempted = false;
    n = 0;
#endif
  }
  n = move_outcome(L, co, status, nres);
  return wrap ? deliver_wrap(L, co, n) : deliver_resume(L, n);
}

/* Moves the arguments from stack position `first` on to co, and returns how
   many; -1: an error message is on top of the stack. */
static int give_arguments(lua_State *L, lua_State *co, int first) {
  int n = lua_gettop(L) - first + 1;
  const char *why = refusal(L, co);
  if (why == NULL && n > SPARE && !cast_lua_reserve(co, n))
    why = "too many arguments to resume";
  if (why != NULL) {
    lua_pushstring(L, why);
    return -1;
  }
  lua_xmove(L, co, n);
  return n;
}

static int co_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  int n;
  luaL_argcheck(L, co != NULL, 1, "coroutine expected");
  n = give_arguments(L, co, 2);
  return n < 0 ? deliver_resume(L, -1) : go_on(L, co, n, false);
}

static int call_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, CO);
  int n = give_arguments(L, co, 1);
  return n < 0 ? deliver_wrap(L, co, -1) : go_on(L, co, n, true);
}

static int co_wrap(lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  /* As 5.1's library has it: such a coroutine could not go on after a yield. */
  luaL_argcheck(
    L, CAST_LUA != 501 || !lua_iscfunction(L, 1), 1, "Lua function expected");
  lua_pushvalue(L, lua_upvalueindex(1));
  co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 2);
  return 1;
}

static const luaL_Reg replaced[] = {
  {"resume", co_resume},
  {"wrap", co_wrap},
  {NULL, NULL},
};

void cast_open_coroutine(lua_State *L) {
  cast_libs_replace(L, "coroutine", replaced);
#if CAST_HAS_CLOSE
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "coroutine");
  if (lua_istable(L, -1)) {
    cast_state_box(L);
    lua_getfield(L, -2, "close");
    lua_pushcclosure(L, co_close, 2);
    lua_setfield(L, -2, "close");
  }
  lua_pop(L, 2);
#endif
}

#endif
