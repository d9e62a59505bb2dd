/* fs_part.c - the functions of casting.fs in C.
   SPDX-License-Identifier: MIT */
#include "../session/library.h"
#include "fs.h"
#include "fs_watch.h"

#include <string.h>

/* Twice: what the finalizers of the first leave behind goes with the second. */
static int collect(lua_State *L) {
  (void)lua_gc(L, LUA_GCCOLLECT, 0);
  (void)lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}

/* -- strings: not every session has the library --------------------------- */

/* is_full(why): does that say that there was no descriptor left? */
static int is_full(lua_State *L) {
  static const char full[] = ": too many open files";
  size_t n;
  const char *why = lua_tolstring(L, 1, &n);
  lua_pushboolean(L, why != NULL && n >= sizeof full - 1 &&
                       strcmp(why + n - (sizeof full - 1), full) == 0);
  return 1;
}

/* problem(path): what is wrong with a string that is to be a path, or nil */
static int problem(lua_State *L) {
  size_t n;
  const char *path = lua_tolstring(L, 1, &n);
  if (n == 0)
    lua_pushliteral(L, "must not be empty");
  else if (strlen(path) < n)
    lua_pushliteral(L, "must not have a zero byte");
  else
    lua_pushnil(L);
  return 1;
}

/* name(names, at): of what files.list returns: the name at that place, from 0
   on, the letter of its kind, and the place of the next one; nil at the end */
static int name(lua_State *L) {
  size_t n, at = (size_t)lua_tonumber(L, 2), size;
  const char *names = lua_tolstring(L, 1, &n);
  if (at >= n) return 0;
  size = strlen(names + at + 1);
  lua_pushlstring(L, names + at + 1, size);
  lua_pushlstring(L, names + at, 1);
  lua_pushnumber(L, (lua_Number)(at + size + 2));
  return 3;
}

/* within(path): the path with a slash behind it */
static int within(lua_State *L) {
  size_t n;
  const char *path = lua_tolstring(L, 1, &n);
  lua_settop(L, 1);
  if (n == 0 || path[n - 1] == '/') return 1;
  lua_pushliteral(L, "/");
  lua_concat(L, 2);
  return 1;
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
  {"is_full", is_full},
  {"problem", problem},
  {"name", name},
  {"within", within},
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
