/* imported.c - a module for tests: takes casting's functions out of the state.
   SPDX-License-Identifier: MIT

   version()      --> the library's
   sleep(seconds) --> what casting_park says: "timeout"
   again(how)         imports once more, with something else in the place of the
                      functions: nothing ("none"), an older struct ("older"), or
                      that of another library ("other") */
#define CASTING_IMPORT
#include "../../include/casting_import.h"

#include <string.h>

static int version(lua_State *L) {
  lua_pushnumber(L, casting_version());
  return 1;
}

static int finish(lua_State *L, int outcome, void *ud) {
  casting_waker_unref(ud);
  lua_pushstring(L, casting_word(outcome));
  return 1;
}

static int sleep_here(lua_State *L) {
  casting_waker *w = casting_waker_new(L);
  return casting_park(
    L, w, luaL_checknumber(L, 1), finish, casting_waker_ref(w));
}

static int again(lua_State *L) {
  static casting_functions copy;
  const char *how = luaL_checkstring(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, CASTING_FUNCTIONS_KEY);
  memcpy(&copy, lua_touserdata(L, -1), sizeof copy);
  if (strcmp(how, "older") == 0) copy.size -= sizeof(void *);
  if (strcmp(how, "none") == 0)
    lua_pushnil(L);
  else
    lua_pushlightuserdata(L, &copy);
  lua_setfield(L, LUA_REGISTRYINDEX, CASTING_FUNCTIONS_KEY);
  casting_import(L);
  return 0;
}

__attribute__((visibility("default"))) int luaopen_imported(lua_State *L);

int luaopen_imported(lua_State *L) {
  static const luaL_Reg functions[] = {{"version", version},
    {"sleep", sleep_here}, {"again", again}, {NULL, NULL}};
  casting_import(L);
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
