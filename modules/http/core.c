/* core.c - the part in C of casting.http.
   SPDX-License-Identifier: MIT */
#include "../../include/casting_import.h"
#include "websocket.h"

#include <string.h>

CASTING_API int luaopen_casting_http_core(lua_State *L);

/* Each gets the table and its clock as upvalue. */
static void add_functions(lua_State *L, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, list->func, 1);
    lua_setfield(L, -3, list->name);
  }
}

int luaopen_casting_http_core(lua_State *L) {
  void *clock;
  casting_import(L);
  lua_newtable(L);
  clock = lua_newuserdata(L, sizeof(http_clock));
  memset(clock, 0, sizeof(http_clock));
  add_functions(L, http_reading);
  add_functions(L, http_writing);
  add_functions(L, http_coding);
  add_functions(L, http_inflating);
  lua_pop(L, 1);
  ws_open(L);
  return 1;
}
