/* fs_part.c - the functions of casting.fs in C.
   SPDX-License-Identifier: MIT */
#include "../session/library.h"
#include "fs.h"

/* Twice: what the finalizers of the first leave behind goes with the second. */
static int collect(lua_State *L) {
  (void)lua_gc(L, LUA_GCCOLLECT, 0);
  (void)lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

/* By the names that errors give them. */
const luaL_Reg cast_fs_functions[] = {
  {"read", cast_fs_load},
  {"write", cast_fs_save},
  {"open", cast_fs_open_file},
  {"stat", cast_fs_look},
  {"list", cast_fs_list},
  {"mkdir", cast_fs_mkdir},
  {"rename", cast_fs_rename},
  {"remove", cast_fs_remove},
  {"temp", cast_fs_temp},
  {"collect", collect},
  {NULL, NULL},
};

/* A sandbox without the library may call what it was given. */
void cast_fs_open(lua_State *L) {
  lua_newtable(L);
  if (!cast_libs_has(cast_state_find(L), CAST_LIB_FS)) return;
  cast_state_box(L);
  luaL_setfuncs(L, cast_fs_functions, 1);
}
