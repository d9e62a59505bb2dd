/* stock.c - new Lua states, and what their standard libraries have.
   SPDX-License-Identifier: MIT

   A program may put functions of its own into the standard libraries, or some
   of theirs under names of older versions. Other states do not have these, so a
   function that is sent by its name would not be found there. So the names that
   there are at first are asked of a new state that is made for it, once in a
   process. A hash of 64 bits of each name is kept.
   Owner: the process; nothing changes once it is known (once.h). */
#include "stock.h"

#include "../../mem.h"
#include "../../once.h"
#include "compat.h"

#include <stdlib.h>

#define ROOM 1024u /* for three times what a version has; a power of two */

typedef struct names {
  uint64_t hash[ROOM]; /* 0: free */
  uint32_t n;
  lua_Hook hook; /* of debug.sethook; NULL: not known */
  /* The same of os.exit and collectgarbage. */
  lua_CFunction exit, collect;
} names;

static cast_once once;

static names stock;

static uint64_t hash_bytes(uint64_t h, const char *s) {
  for (; *s != '\0'; s++) h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
  return h;
}

static uint64_t hash_of(const char *library, const char *key) {
  uint64_t h = hash_bytes(UINT64_C(0xcbf29ce484222325), library);
  h = hash_bytes((h ^ 0xff) * UINT64_C(0x100000001b3), key);
  return h != 0 ? h : 1;
}

/* Where that hash is, or would be, in the table. */
static uint32_t place_of(const names *all, uint64_t hash) {
  uint32_t i = (uint32_t)(hash >> 32) & (ROOM - 1);
  while (all->hash[i] != 0 && all->hash[i] != hash) i = (i + 1) & (ROOM - 1);
  return i;
}

static void add(names *all, const char *library, const char *key) {
  uint64_t hash = hash_of(library, key);
  if (all->n == ROOM / 2) return; /* place_of must find a free one */
  all->hash[place_of(all, hash)] = hash;
  all->n++;
}

/* Adds the names of the libraries in the table on the top, and of their
   functions. */
static void list(lua_State *L, names *all) {
  int loaded = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded); lua_pop(L, 1)) {
    int library = lua_gettop(L);
    if (!lua_istable(L, library) || lua_type(L, library - 1) != LUA_TSTRING)
      continue;
    const char *name = lua_tostring(L, library - 1);
    add(all, name, "");
    for (lua_pushnil(L); lua_next(L, library); lua_pop(L, 1))
      if (lua_isfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING)
        add(all, name, lua_tostring(L, -2));
  }
}

/* Pushes a field of a library, or nil. */
static void push_member(
  lua_State *L, int loaded, const char *library, const char *name) {
  lua_getfield(L, loaded, library);
  if (lua_istable(L, -1)) lua_getfield(L, -1, name);
}

/* The hook of C that debug.sethook sets, whatever function it is given. */
static lua_Hook find_hook(lua_State *L, int loaded) {
  lua_Hook hook;
  push_member(L, loaded, "debug", "sethook");
  if (!lua_isfunction(L, -1)) return NULL;
  lua_pushvalue(L, -1); /* any function */
  lua_pushliteral(L, "l");
  lua_call(L, 2, 0);
  hook = lua_gethook(L);
  lua_sethook(L, NULL, 0, 0);
  return hook;
}

/* Runs in the new state. */
static int learn(lua_State *L) {
  names *all = lua_touserdata(L, 1);
  int loaded;
  luaL_openlibs(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  list(L, all);
  loaded = lua_gettop(L);
  all->hook = find_hook(L, loaded);
  push_member(L, loaded, "os", "exit");
  all->exit = lua_tocfunction(L, -1);
  lua_getglobal(L, "collectgarbage");
  all->collect = lua_tocfunction(L, -1);
  return 0;
}

static lua_State *new_state(void) {
#if CAST_LUAJIT
  return luaL_newstate(); /* it does not take any allocator */
#elif CAST_LUA >= 505
  return lua_newstate(cast_mem_lua, NULL, 0);
#else
  return lua_newstate(cast_mem_lua, NULL);
#endif
}

bool cast_stock_run(lua_CFunction fn, void *arg) {
  lua_State *L = new_state();
  int status;
  if (L == NULL) return false;
  status = cast_lua_cpcall(L, fn, arg);
  lua_close(L);
  return status == LUA_OK;
}

void cast_stock_learn(void) {
  names found = {.n = 0};
  /* Without memory for it, the next state that is made tries again. */
  if (!cast_once_is_known(&once) && cast_stock_run(learn, &found))
    cast_once_tell(&once, &stock, &found, sizeof stock);
}

bool cast_stock_has_member(const char *library, const char *key) {
  uint64_t hash = hash_of(library, key);
  return cast_once_is_known(&once) &&
         stock.hash[place_of(&stock, hash)] == hash;
}

lua_Hook cast_stock_hook(void) {
  return cast_once_is_known(&once) ? stock.hook : NULL;
}

bool cast_stock_is_exit(lua_CFunction f) {
  return f != NULL && cast_once_is_known(&once) && f == stock.exit;
}

bool cast_stock_is_collect(lua_CFunction f) {
  return f != NULL && cast_once_is_known(&once) && f == stock.collect;
}

bool cast_stock_has_library(const char *name) {
  return cast_stock_has_member(name, "");
}
