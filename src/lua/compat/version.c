/* version.c - is this the Lua that the module was built for?
   SPDX-License-Identifier: MIT

   Which Lua runs is asked of its compiler. Its functions cannot be relied on,
   since what differs between versions is not known to be there, nor what it
   takes; nor can _VERSION, which programs and sandboxes change. But a chunk is
   loaded by the same function everywhere (luaL_loadstring), and each version
   has some syntax that the ones before it refuse. Nothing of the chunk runs.

   What is called here, before the version is known, is the same function with
   the same arguments in all of them: luaL_loadstring, lua_settop, lua_type,
   lua_tolstring, luaL_error, luaL_newstate, lua_close. */
#include "version.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* Newest first: what a version is the last one to refuse. */
static const struct {
  const char *name;
  const char *chunk;
} marks[] = {
  {"Lua 5.5", "global a"},
  {"Lua 5.4", "local a <const> = 1"},
  {"Lua 5.3", "return 1 // 1"},
  {"LuaJIT", "return 0b1"},
  {"Lua 5.2", "goto a ::a::"},
  {"Lua 5.1", ""},
};

#ifdef LUA_JITLIBNAME
#define OWN "LuaJIT"
#else
#define OWN LUA_VERSION
#endif

/* The status of a chunk that is no Lua, in all versions. */
#define REFUSED 3

#define ENTRY(name) ENTRY_NAMED(name)
#define ENTRY_NAMED(name) {#name, (void (*)(void))name},
static const struct {
  const char *name;
  void (*is)(void); /* NULL: this Lua has none */
} needed[] = {CAST_VERSION_OWN(ENTRY)};

/* The version that runs L; NULL: it cannot be told (there is no memory). */
static const char *running(lua_State *L) {
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    int status = luaL_loadstring(L, marks[i].chunk);
    lua_settop(L, -2);
    if (status == 0) return marks[i].name;
    if (status != REFUSED) return NULL;
  }
  return NULL;
}

/* (a) The answer was yes. Once is enough: all states of the process have their
   functions from the same library. Relaxed: nothing else is published by it. */
static _Atomic int is_known;

/* The first function that is missing, or NULL. */
static const char *missing(void) {
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    if (needed[i].is == NULL) return needed[i].name;
  return NULL;
}

void cast_version_check(lua_State *L) {
  const char *lua, *lacks, *file;
  if (atomic_load_explicit(&is_known, memory_order_relaxed)) return;
  lua = running(L);
  /* The second argument of a module's opener, from 5.2 on. */
  file = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, NULL) : NULL;
  if (lua != NULL && strcmp(lua, OWN) != 0)
    (void)luaL_error(L,
      "casting was built for %s, and this is %s: package.cpath is to lead to a"
      " build for %s%s%s",
      OWN, lua, lua, file != NULL ? ", not to " : "", file != NULL ? file : "");
  if ((lacks = missing()) != NULL)
    (void)luaL_error(L,
      "casting was built for another release of %s: this one has no %s", OWN,
      lacks);
  if (lua != NULL) atomic_store_explicit(&is_known, 1, memory_order_relaxed);
}

int cast_version_is_own(lua_State *L) {
  const char *lua = running(L);
  return (lua == NULL || strcmp(lua, OWN) == 0) && missing() == NULL;
}

int cast_version_is_linked(void) {
  lua_State *L;
  int is;
  if (atomic_load_explicit(&is_known, memory_order_relaxed)) return 1;
  L = luaL_newstate();
  if (L == NULL) return missing() == NULL;
  is = cast_version_is_own(L);
  lua_close(L);
  if (is) atomic_store_explicit(&is_known, 1, memory_order_relaxed);
  return is;
}
