/* states.c - bare Lua states, for bench/session.lua to measure against.
   SPDX-License-Identifier: MIT

   A Lua module: states are made by the interpreter's own luaL_newstate, with
   all libraries, and run nothing. Owner: who calls; `hold` keeps its states
   until the process ends. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

int luaopen_bench_states(lua_State *L);

static lua_State *make(lua_State *L) {
  lua_State *state = luaL_newstate();
  if (state == NULL) luaL_error(L, "not enough memory for a state");
  luaL_openlibs(state);
  return state;
}

/* cycle(n): makes and closes a state n times. */
static int cycle(lua_State *L) {
  long n = (long)luaL_checknumber(L, 1);
  for (long i = 0; i < n; i++) lua_close(make(L));
  return 0;
}

/* hold(n): makes n states and keeps them. */
static int hold(lua_State *L) {
  long n = (long)luaL_checknumber(L, 1);
  for (long i = 0; i < n; i++) make(L);
  return 0;
}

int luaopen_bench_states(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, cycle);
  lua_setfield(L, -2, "cycle");
  lua_pushcfunction(L, hold);
  lua_setfield(L, -2, "hold");
  return 1;
}
