/* terminal.c - what the launcher's prompt needs of a terminal.
   SPDX-License-Identifier: MIT

   For the files lualib/casting/launcher_*.lua, which run in the main program.
   See src/os/terminal.h. */
#include "terminal.h"

#include "../../os/terminal.h"
#include "../session/library.h"
#include "../state/state.h"

/* is(): whether the standard input is a terminal, and the standard output. */
static int is(lua_State *L) {
  lua_pushboolean(L, os_terminal_is(0));
  lua_pushboolean(L, os_terminal_is(1));
  return 2;
}

/* columns(): how long the rows of the output are; 0: nobody knows. */
static int columns(lua_State *L) {
  lua_pushinteger(L, os_terminal_columns(1));
  return 1;
}

/* raw(): has the input's keys come one by one; false: that cannot be. */
static int raw(lua_State *L) {
  lua_pushboolean(L, os_terminal_raw(0));
  return 1;
}

/* restore(): it is as it was. */
static int restore(lua_State *L) {
  CAST_UNUSED(L);
  os_terminal_restore();
  return 0;
}

/* stop(): as ^Z. */
static int stop(lua_State *L) {
  CAST_UNUSED(L);
  os_terminal_stop();
  return 0;
}

void cast_terminal_open(lua_State *L) {
  static const luaL_Reg internals[] = {
    {"is", is},
    {"columns", columns},
    {"raw", raw},
    {"restore", restore},
    {"stop", stop},
    {NULL, NULL},
  };
  lua_newtable(L);
  if (!cast_libs_has(cast_state_find(L), CAST_LIB_PROCESS)) return;
  luaL_setfuncs(L, internals, 0);
}
