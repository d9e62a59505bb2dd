/* fs_part.c - the functions of casting.fs in C.
   SPDX-License-Identifier: MIT */
#include "../session/library.h"
#include "fs.h"

const luaL_Reg cast_fs_functions[] = {
  {"watch_open", cast_watch_open},
  {"watch_add", cast_watch_add},
  {"watch_wait", cast_watch_wait},
  {"watch_result", cast_watch_result},
  {"watch_drop", cast_watch_drop},
  {"watch_key", cast_watch_key},
  {"watch_parent", cast_watch_parent},
  {"watch_below", cast_watch_below},
  {"watch_parse", cast_watch_parse},
  {NULL, NULL},
};

/* A sandbox without the library may call what it was given. */
void cast_fs_open(lua_State *L) {
  lua_newtable(L);
  if (!cast_libs_has(cast_state_find(L), CAST_LIB_FS)) return;
  cast_state_box(L);
  luaL_setfuncs(L, cast_fs_functions, 1);
}
