/* modules.c - the modules that a sandbox may load.
   SPDX-License-Identifier: MIT

   A sandbox loads casting, and the modules whose names its maker has listed,
   from where its maker would load them. It has Lua's own require, but for the
   paths, loaders and searchers that this goes by: these are in a table that
   the sandbox cannot reach. Of what the sandbox has under the name `package`
   require reads nothing but `loaded`, and a module there is one already.

   The names lie in the registry, as one text, which sandboxes that are made
   there inherit as it is. */
#include "modules.h"

#include "../../base.h"
#include "../compat/compat.h"
#include "../state/state.h"

/* In the registry of a sandbox: the names; and the table that was `package`. */
static const char names_key = 0, package_key = 0;

void cast_modules_set(lua_State *L, cast_chars names) {
  lua_pushlstring(L, names.at != NULL ? names.at : "", names.size);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "package");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &package_key);
  lua_pop(L, 1);
}

void cast_modules_push(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key);
}

/* Whether the text on the top has the name. Pops the text. */
static bool has(lua_State *L, const char *name) {
  size_t size;
  const char *at = lua_tolstring(L, -1, &size), *end = at + size;
  bool is = false;
  for (; at < end && !is; at += strlen(at) + 1) is = strcmp(at, name) == 0;
  lua_pop(L, 1);
  return is;
}

bool cast_modules_has(lua_State *L, const char *name) {
  cast_modules_push(L);
  return has(L, name);
}

bool cast_modules_may(lua_State *L, const char *name) {
  bool listed;
  cast_modules_push(L);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return true;
  }
  listed = has(L, name);
  return listed || strcmp(name, "casting") == 0;
}

/* From 5.4 on require itself begins a line for what a searcher says. */
void cast_modules_refuse(lua_State *L) {
  size_t size;
  const char *at, *end;
  luaL_Buffer b;
  cast_modules_push(L);
  at = lua_tolstring(L, -1, &size);
  luaL_buffinit(L, &b);
  if (CAST_LUA < 504) luaL_addstring(&b, "\n\t");
  luaL_addstring(&b, "this sandbox may load casting");
  for (end = at + size; at < end; at += strlen(at) + 1) {
    luaL_addstring(&b, ", ");
    luaL_addstring(&b, at);
  }
  luaL_addstring(&b, " and nothing else");
  luaL_pushresult(&b);
  lua_remove(L, -2);
}

void cast_modules_package(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &package_key);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (!lua_istable(L, -1)) return; /* no libraries at all */
  lua_getfield(L, -1, "package");
  lua_remove(L, -2);
}
