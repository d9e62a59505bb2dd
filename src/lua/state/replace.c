/* replace.c - functions of ours in place of some of a standard library.
   SPDX-License-Identifier: MIT

   Owner: the session's, while the state is made. */
#include "replace.h"

#include "../../context.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "state.h"

void cast_libs_replace(
  lua_State *L, const char *name, const luaL_Reg *functions) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, name);
  if (lua_istable(L, -1)) {
    cast_state_box(L);
    luaL_setfuncs(L, functions, 1);
  }
  lua_pop(L, 2);
}

void cast_libs_wrap(lua_State *L, const char *name, lua_CFunction f) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

int cast_libs_pass(lua_State *L) {
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(1));
  return f(L);
}

/* The main program's own stack is not looked at (r->at is NULL there), nor does
   the interpreter look at it. */
bool cast_libs_left(lua_State *L, size_t spare) {
  const cast_state *S = cast_state_find(L);
  const cast_runner *r = S != NULL ? S->session.runner : NULL;
  return r == NULL || r->at == NULL || cast_runner_left(r) >= spare;
}

void cast_libs_deeper(lua_State *L, size_t spare) {
  if (!cast_libs_left(L, spare)) luaL_error(L, "C stack overflow");
}
