/* fs_part.c - the functions of casting.fs in C.
   SPDX-License-Identifier: MIT */
#include "../session/library.h"
#include "fs.h"
#include "fs_watch.h"

const luaL_Reg cast_fs_functions[] = {
  {NULL, NULL},
};

/* A sandbox without the library may call what it was given. */
void cast_fs_open(lua_State *L) {
  lua_newtable(L);
  if (!cast_libs_has(cast_state_find(L), CAST_LIB_FS)) return;
  cast_state_box(L);
  luaL_setfuncs(L, cast_fs_functions, 1);
  cast_state_box(L);
  luaL_setfuncs(L, cast_watch_functions, 1);
}
