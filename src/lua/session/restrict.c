/* restrict.c - what the libraries of a sandbox lack.
   SPDX-License-Identifier: MIT

   A sandbox (../state/sandbox.c) must not reach files, and nothing that leads
   to memory which its Lua state does not guard. So of the basic functions it
   lacks dofile and loadfile, and load takes text only: bytecode that was made
   by hand can do anything. Its package has nothing but `loaded`, and what
   require goes by is out of its reach: see modules.c. And unless its option
   `libs` says "os", of os it has what tells the time.

   Lua calls finalizers where it allows no hooks, so that nothing stops one that
   computes without end, also when the state closes. So a sandbox has none of
   its own: setmetatable refuses a metatable with __gc, and there is no
   newproxy.

   On 5.1 and LuaJIT the environments of the library's own functions, which call
   C functions that trust their arguments, must not be had: so getfenv and
   setfenv only take functions that the sandbox has written; and module, which
   sets the environment of its caller, is not there. setfenv(0) would change the
   globals of a coroutine that serves other tasks later. */
#include "restrict.h"

#include "../compat/compat.h"
#include "../state/replace.h"
#include "library.h"

/* -- load ----------------------------------------------------------------- */

#if CAST_LUA >= 502 || CAST_LUAJIT
/* load, and loadstring of LuaJIT: calls the library's with a mode that allows
   no bytecode. A mode that allows no text allows nothing. */
static int load_text(lua_State *L) {
  const char *mode = luaL_optstring(L, 3, "t");
  int n = lua_gettop(L);
  if (n < 3) n = 3;
  lua_settop(L, n);
  lua_pushstring(L, strchr(mode, 't') != NULL ? "t" : "");
  lua_replace(L, 3);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}
#define load_string load_text
#else

/* Returns nil and the error of later versions. */
static int refuse_binary(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "attempt to load a binary chunk (mode is 't')");
  return 2;
}

/* loadstring(text [, name]) of 5.1. */
static int load_string(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  if (size > 0 && *text == LUA_SIGNATURE[0]) return refuse_binary(L);
  return cast_libs_pass(L);
}

/* What load has read. The function at 1 of its stack gives the pieces. */
typedef struct reading {
  bool begun;  /* a piece that is not empty has come */
  bool binary; /* it begins as bytecode does: so no text is left */
} reading;

/* What lua_load calls for the next piece. That stays at 3, so that it is not
   collected. */
static const char *read_piece(lua_State *L, void *ud, size_t *size) {
  reading *r = ud;
  const char *piece;
  *size = 0;
  luaL_checkstack(L, 2, "too many nested functions");
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) return NULL;
  if (!lua_isstring(L, -1))
    luaL_error(L, "reader function must return a string");
  lua_replace(L, 3);
  piece = lua_tolstring(L, 3, size);
  if (!r->begun && *size > 0) r->binary = *piece == LUA_SIGNATURE[0];
  r->begun |= *size > 0;
  if (r->binary) *size = 0;
  return r->binary ? NULL : piece;
}

/* load(function [, name]) of 5.1. */
static int load_text(lua_State *L) {
  reading r = {false, false};
  const char *name = luaL_optstring(L, 2, "=(load)");
  int status;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 3);
  status = lua_load(L, read_piece, &r, name);
  if (r.binary) return refuse_binary(L);
  if (status == LUA_OK) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}
#endif

/* -- finalizers ----------------------------------------------------------- */

#if CAST_LUA >= 502
/* setmetatable(table, metatable) */
static int set_metatable(lua_State *L) {
  if (lua_istable(L, 2)) {
    lua_pushliteral(L, "__gc");
    lua_rawget(L, 2);
    if (!lua_isnil(L, -1))
      luaL_error(L, "setmetatable: a sandbox has no finalizers (__gc)");
    lua_pop(L, 1);
  }
  return cast_libs_pass(L);
}
#endif

/* -- environments --------------------------------------------------------- */

#if CAST_LUA < 502
/* Pushes the function that argument 1, a function or a level of the stack,
   means. False: it is in C, or the library's own. */
static bool push_function(lua_State *L, const char *name, int level) {
  lua_Debug ar;
  if (lua_isfunction(L, 1)) {
    lua_pushvalue(L, 1);
  } else {
    if (!lua_isnoneornil(L, 1) || level < 0) level = luaL_checkint(L, 1);
    luaL_argcheck(L, level >= 0, 1, "level must be non-negative");
    if (level == 0)
      luaL_error(L, "%s: level 0 is not available in a sandbox", name);
    if (!lua_getstack(L, level, &ar)) luaL_argerror(L, 1, "invalid level");
    lua_getinfo(L, "f", &ar);
    if (lua_isnil(L, -1))
      luaL_error(L, "no function environment for tail call at level %d", level);
  }
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  return *ar.what != 'C' && !cast_lua_is_own(&ar) &&
         strncmp(ar.source, "=[builtin:", 10) != 0;
}

/* getfenv([f]) */
static int get_environment(lua_State *L) {
  if (push_function(L, "getfenv", 1))
    lua_getfenv(L, -1);
  else
    lua_pushvalue(L, LUA_GLOBALSINDEX);
  return 1;
}

/* setfenv(f, environment) */
static int set_environment(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (!push_function(L, "setfenv", -1))
    luaL_error(L, "'setfenv' cannot change environment of given object");
  lua_pushvalue(L, 2);
  (void)lua_setfenv(L, -2);
  return 1;
}

/* What is there in some versions only; the globals are on the top. */
static void restrict_versions(lua_State *L) {
  lua_pushcfunction(L, get_environment);
  lua_setfield(L, -2, "getfenv");
  lua_pushcfunction(L, set_environment);
  lua_setfield(L, -2, "setfenv");
}
#else
/* What is there in some versions only; the globals are on the top. */
static void restrict_versions(lua_State *L) {
  cast_libs_wrap(L, "setmetatable", set_metatable);
}
#endif

/* -- libraries ------------------------------------------------------------ */

/* May a sandbox have the basic function of that name, as it is or as it is
   made here? What an interpreter has beyond these, or for compatibility, it may
   not. */
static bool is_kept(const char *name) {
  static const char *const kept[] = {"assert", "collectgarbage", "error",
    "gcinfo", "getfenv", "getmetatable", "ipairs", "load", "loadstring", "next",
    "pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset",
    "require", "select", "setfenv", "setmetatable", "tonumber", "tostring",
    "type", "unpack", "warn", "xpcall"};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
    if (strcmp(name, kept[i]) == 0) return true;
  return false;
}

static void restrict_base(lua_State *L) {
  lua_pushglobaltable(L);
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    if (!lua_isfunction(L, -1) || lua_type(L, -2) != LUA_TSTRING ||
        is_kept(lua_tostring(L, -2)))
      continue;
    lua_pushvalue(L, -2);
    lua_pushnil(L);
    lua_rawset(L, -5);
  }
  cast_libs_wrap(L, "load", load_text);
  lua_getfield(L, -1, "loadstring"); /* some 5.2 and 5.3 have it, too */
  if (lua_isfunction(L, -1)) {
    lua_pushcclosure(L, load_string, 1);
    lua_setfield(L, -2, "loadstring");
  } else {
    lua_pop(L, 1);
  }
  restrict_versions(L);
  lua_pop(L, 1);
}

/* Pops a table: it is the library of that name, in place of what was. */
static void set_library(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
  lua_pushglobaltable(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static void restrict_os(lua_State *L) {
  static const char *const kept[] = {"clock", "date", "difftime", "time"};
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "os");
  lua_createtable(L, 0, sizeof kept / sizeof *kept);
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    lua_getfield(L, -2, kept[i]);
    lua_setfield(L, -2, kept[i]);
  }
  set_library(L, "os");
  lua_pop(L, 2);
}

/* The table that was there is for require alone from now on. */
static void restrict_package(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_setfield(L, -2, "loaded");
  set_library(L, "package");
}

void cast_libs_restrict(lua_State *L, uint32_t libs) {
  uint32_t os = 0;
  (void)cast_libs_add(&os, "os");
  restrict_base(L);
  if ((libs & os) == CAST_LIB_TIME) restrict_os(L);
  restrict_package(L);
}
