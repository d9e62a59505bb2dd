/* resolve.c - what has a name in this state: from names to objects.
   SPDX-License-Identifier: MIT

   The module is looked up in package.loaded, and required if it is not there.
   So it may be another one than the sender's, in another version, or of another
   kind: then an error says so, and nothing that is not of the sender's type is
   returned.

   cast_names_look is for the sender, which asks whether a name still holds:
   raw, and without loading anything. cast_names_resolve is for the receiver: it
   may run Lua code, of the module and of metatables, in protected calls.

   Owner: the state's packer. */
#include "../compat/compat.h"
#include "../compat/stock.h"
#include "names.h"
#include "packer.h"

/* The size of the name's first part, and where the rest is (NULL: none). */
static size_t split(const char *name, size_t size, const char **rest) {
  const char *end = memchr(name, '\0', size);
  *rest = end != NULL ? end + 1 : NULL;
  return end != NULL ? (size_t)(end - name) : size;
}

/* The size of the rest. */
static size_t size_after(const char *name, size_t size, const char *rest) {
  return size - (size_t)(rest - name);
}

/* Pushes the module, or nil if it is not loaded. The globals and casting are
   found also where package.loaded does not have them, or not any more. */
static void push_loaded(
  cast_packer *p, lua_State *L, int t, const char *name, size_t size) {
  if (cast_names_is_own(name, size)) {
    if (p->module == NULL || !p->module(L, name, size)) lua_pushnil(L);
    return;
  }
  if (size == 2 && memcmp(name, "_G", 2) == 0) {
    cast_packer_get(L, t, CAST_SLOT_GLOBALS);
    return;
  }
  cast_packer_get(L, t, CAST_SLOT_LOADED);
  lua_pushlstring(L, name, size);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_isnil(L, -1) && size == 7 && memcmp(name, "casting", 7) == 0) {
    lua_pop(L, 1);
    cast_packer_get(L, t, CAST_SLOT_OWN); /* a table, or false */
  }
}

void cast_names_look(
  cast_packer *p, lua_State *L, int t, const char *name, size_t size) {
  const char *rest;
  size_t first = split(name, size, &rest);
  push_loaded(p, L, t, name, first);
  while (rest != NULL && lua_istable(L, -1)) {
    size = size_after(name, size, rest);
    name = rest;
    lua_pushlstring(L, name, split(name, size, &rest));
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  if (rest == NULL) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* Pushes what the program's own `require` returns; false: the error's value. */
static bool push_required(lua_State *L, int t, const char *name, size_t size) {
  cast_packer_get(L, t, CAST_SLOT_GLOBALS);
  cast_packer_get(L, t, CAST_SLOT_REQUIRE);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "the module is not loaded, and there is no 'require'");
    return false;
  }
  lua_pushlstring(L, name, size);
  return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

/* On the top is the error of require for that module. If it was not found and
   is the name of a standard library, this session was made without it: that
   says more than all the places where it was looked for. */
static void check_library(lua_State *L, const char *name, size_t size) {
  const char *why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (why == NULL || strstr(why, "' not found") == NULL) return;
  lua_pushlstring(L, name, size);
  if (cast_stock_has_library(lua_tostring(L, -1)))
    lua_pushfstring(L, "this session has no library '%s'", lua_tostring(L, -1));
  else
    lua_pushvalue(L, -2);
  lua_insert(L, -3);
  lua_pop(L, 2);
}

/* The field of a value, with its metatable: called in a protected call. */
static int get_field(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* Replaces the value on top by its field, which may come from __index, as when
   a module loads its parts on demand. False: what is on top is the error's
   value. */
static bool descend(lua_State *L, const char *key, size_t size) {
  if (lua_istable(L, -1)) {
    lua_pushlstring(L, key, size);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) {
      lua_remove(L, -2);
      return true;
    }
    lua_pop(L, 1);
  }
  lua_pushcfunction(L, get_field);
  lua_insert(L, -2);
  lua_pushlstring(L, key, size);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) return false;
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  lua_pushliteral(L, "the module has no such member");
  return false;
}

/* Replaces what is not of the type that the sender had by an error. */
static bool check_type(lua_State *L, int type) {
  int here = lua_type(L, -1);
  if (here == type ||
      (type == LUA_TNONE && (here == LUA_TTABLE || here == LUA_TFUNCTION)))
    return true;
  lua_pushfstring(L, "it is a %s here", lua_typename(L, here));
  lua_remove(L, -2);
  return false;
}

bool cast_names_resolve(
  cast_packer *p, lua_State *L, const char *name, size_t size, int type) {
  const char *rest;
  cast_packer_stack(L, 8);
  cast_packer_table(p, L);
  int t = lua_gettop(L);
  size_t first = split(name, size, &rest);
  push_loaded(p, L, t, name, first);
  /* While 5.1 loads a module, package.loaded has a light userdata for it. */
  bool ok = lua_istable(L, -1) || lua_isfunction(L, -1);
  if (!ok) {
    lua_pop(L, 1);
    ok = p->module != NULL && p->module(L, name, first);
    if (!ok) ok = push_required(L, t, name, first);
    if (!ok) check_library(L, name, first);
  }
  while (ok && rest != NULL) {
    size = size_after(name, size, rest);
    name = rest;
    first = split(name, size, &rest);
    ok = descend(L, name, first);
  }
  if (ok) ok = check_type(L, type);
  lua_remove(L, t);
  return ok;
}

/* Names of globals are shown without their "_G.". */
void cast_names_describe(lua_State *L, const char *name, size_t size) {
  const char *rest;
  luaL_Buffer b;
  size_t first = split(name, size, &rest);
  cast_packer_stack(L, LUA_MINSTACK);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, rest == NULL ? "module '" : "'");
  if (first == 2 && memcmp(name, "_G", 2) == 0 && rest != NULL) {
    size = size_after(name, size, rest);
    name = rest;
  }
  for (size_t i = 0; i < size; i++)
    luaL_addchar(&b, name[i] == '\0' ? '.' : name[i]);
  luaL_addchar(&b, '\'');
  luaL_pushresult(&b);
}
