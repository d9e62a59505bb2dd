/* lib_scope.c - casting.with_timeout and casting.shield.
   SPDX-License-Identifier: MIT

   Each opens a cancel scope (../stop/scope.h), calls the function in a
   protected call, and closes the scope when that has returned or failed: the
   error of the scope's own deadline becomes nil, "timeout", any other is raised
   again. The scope is a userdata on the stack, so that it ends, too, if its
   coroutine is never resumed.

   On 5.1 and LuaJIT a C function that calls another function cannot be
   suspended; a function in Lua can, where pcall can. So there the two are
   written in Lua around C functions that open and close the scope (`leave`). */
#include "lib_scope.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../session/builtin.h"
#include "../state/argument.h"
#include "../state/load.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/preempt.h"
#include "../stop/scope.h"
#include "../task/origin.h"
#include "lib.h"

/* As cast_arg_error. But where the two are written in Lua, that function has
   called the C function that runs, and not the program: so the name and the
   number are given here. */
static int bad_argument(lua_State *L, int i, const char *name, const char *s) {
  return cast_lua_error(L, "bad argument #%d to '%s' (%s)", i, name, s);
}

static void check_function(lua_State *L, int i, const char *name) {
  if (lua_isfunction(L, i) || luaL_getmetafield(L, i, "__call")) return;
  bad_argument(L, i, name,
    lua_pushfstring(L, "function expected, got %s",
      lua_isnone(L, i) ? "no value" : luaL_typename(L, i)));
}

/* with_timeout(seconds, f, ...): checks the arguments, and pushes its scope. A
   task that computes is watched from now on, for it meets no blocking call. */
static void push_deadline(lua_State *L) {
  static const char *const name = "with_timeout";
  double seconds;
  cast_scope *g;
  if (lua_type(L, 1) != LUA_TNUMBER || !(lua_tonumber(L, 1) >= 0))
    bad_argument(L, 1, name,
      lua_pushfstring(L,
        "timeout must be a number of seconds, zero or more, got %s",
        cast_arg_got(L, 1)));
  seconds = lua_tonumber(L, 1);
  check_function(L, 2, name);
  g = cast_scope_push(L, name);
  g->deadline_ns = cast_deadline_in(seconds);
  cast_stop_watch(cast_state_of(g->task->base.session), g->task, L);
}

/* shield(f, ...): the same. */
static void push_shield(lua_State *L) {
  static const char *const name = "shield";
  cast_scope *g;
  check_function(L, 1, name);
  g = cast_scope_push(L, name);
  g->deadline_ns = OS_FOREVER;
  g->grace_ns = CAST_GRACE_NS;
  g->shield = true;
}

/* internal.prolong(): makes the shield in which it is called hold twice as
   long. A task that waits there for others, which were cancelled together with
   it, must give them the time that their own shields hold. */
int cast_lib_prolong(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_task *base = S->session.current;
  cast_scope *g = base != NULL ? cast_scopes(cast_ltask_of(base)) : NULL;
  if (g != NULL && g->shield) g->grace_ns = 2 * (uint64_t)CAST_GRACE_NS;
  return 0;
}

/* Raises the error on the top again. */
static int pass_on(lua_State *L) {
  cast_origin_show(L);
  return lua_error(L);
}

/* The call is over: the scope is at 1 (debug.setlocal may have put anything
   there), and from 2 on are the results of f, or its error (`ok` false). Closes
   the scope and returns the results of the public function. */
static int leave(lua_State *L, bool ok) {
  cast_scope *g = cast_scope_at(L, 1);
  if (g == NULL)
    return cast_lua_error(L, "the guard of this call was taken away");
  /* Modules whose loading the error has ended can be required again. */
  if (!ok && g->task != NULL && g->task->loading)
    cast_load_settle(L, cast_state_of(g->task->base.session), g->task);
  cast_scope_unlink(g);
  if (g->shield) return ok ? lua_gettop(L) - 1 : pass_on(L);
  if (ok ? g->raised : cast_scope_is_own_error(L, 2, g)) {
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
  }
  if (!ok) return pass_on(L);
  lua_pushboolean(L, 1);
  lua_replace(L, 1);
  return lua_gettop(L);
}

#if CAST_HAS_YIELDK
#if CAST_LUA >= 503
/* Continues a call of f that has yielded. */
static int finish_call(lua_State *L, int status, lua_KContext ctx) {
  CAST_UNUSED(ctx);
#else
static int finish_call(lua_State *L) {
  int status = lua_getctx(L, NULL);
#endif
  return leave(L, status == LUA_OK || status == LUA_YIELD);
}

/* Calls f at 2 with its arguments, with the scope at 1. */
static int call(lua_State *L) {
  int n = lua_gettop(L) - 2;
  int status = lua_pcallk(L, n, LUA_MULTRET, 0, 0, finish_call);
  return leave(L, status == LUA_OK);
}

int cast_lib_with_timeout(lua_State *L) {
  push_deadline(L);
  lua_replace(L, 1);
  return call(L);
}

int cast_lib_shield(lua_State *L) {
  push_shield(L);
  lua_insert(L, 1);
  return call(L);
}

void cast_open_scope(lua_State *L) { CAST_UNUSED(L); }
#else
int cast_lib_with_timeout(lua_State *L) {
  push_deadline(L);
  return 1;
}

int cast_lib_shield(lua_State *L) {
  push_shield(L);
  return 1;
}

/* leave(scope, ok, results...): the results of pcall follow the scope. */
static int lib_leave(lua_State *L) {
  bool ok = lua_toboolean(L, 2);
  lua_remove(L, 2);
  return leave(L, ok);
}

/* The two functions of the module become arguments of the chunk, which returns
   the functions to put in their places. Its name makes its lines pass for the
   library's own when a line of the program is looked for. */
void cast_open_scope(lua_State *L) {
  static const char text[] =
    "local make_timeout, make_shield, leave, pcall = ...\n"
    "return function(seconds, f, ...)\n"
    "  return leave(make_timeout(seconds, f), pcall(f, ...))\n"
    "end, function(f, ...)\n"
    "  return leave(make_shield(f), pcall(f, ...))\n"
    "end\n";
  int module = lua_gettop(L);
  if (cast_lua_load(
        L, text, sizeof text - 1, CAST_OWN_SOURCE "guard.lua", "t") != LUA_OK)
    lua_error(L);
  lua_getfield(L, module, "with_timeout");
  lua_getfield(L, module, "shield");
  cast_state_box(L);
  lua_pushcclosure(L, lib_leave, 1);
  cast_builtin_pcall(L);
  lua_call(L, 4, 2);
  for (int i = 0; i < 2; i++) { /* known to the hook that stops tasks */
    lua_pushvalue(L, -1 - i);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &cast_scope_makers[i]);
  }
  lua_setfield(L, module, "shield");
  lua_setfield(L, module, "with_timeout");
}
#endif
