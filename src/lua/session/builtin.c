/* builtin.c - the globals of what is written in Lua.
   SPDX-License-Identifier: MIT

   The files of lualib/casting run long after casting was loaded, when the
   program may have removed globals or put others in their place. So the globals
   of the program are hidden from them; their globals are the functions below,
   which do what the functions of the base library do. The table of these is
   made when the first file is loaded. To remember the program's own functions
   instead, as they were at the start, would cost every session, also one that
   never uses such a file.

   pcall and xpcall of LuaJIT can be yielded across, and no C function can be
   there. So on LuaJIT these two are the state's own, and are remembered when
   the state becomes a session. */
#include "builtin.h"

#include "../../base.h"
#include "../compat/compat.h"
#include "../stop/verdict.h"
#include "../task/origin.h"

#include <limits.h>

/* -- functions that call nothing ------------------------------------------ */

/* error. Where nothing will catch the error, the value may become text, which
   an interpreter of 5.1 can show (origin.h). */
static int builtin_error(lua_State *L) {
  int level = (int)luaL_optinteger(L, 2, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING && level > 0) {
    luaL_where(L, level);
    lua_insert(L, 1);
    lua_concat(L, 2);
  }
  cast_origin_show(L);
  return lua_error(L);
}

/* Returns the metatable itself, whatever its field __metatable says: a program
   must not be able to make a value pass for one of the library's. */
static int builtin_getmetatable(lua_State *L) {
  luaL_checkany(L, 1);
  return lua_getmetatable(L, 1);
}

static int builtin_setmetatable(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

/* The iterator of pairs. It calls no __pairs, which could be the program's. */
static int next_pair(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  return lua_next(L, 1) ? 2 : 0;
}

static int builtin_pairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushcfunction(L, next_pair);
  lua_pushvalue(L, 1);
  return 2;
}

/* The iterator of ipairs, likewise without metamethods. */
static int next_item(lua_State *L) {
  int i = (int)lua_tointeger(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (i++ == INT_MAX) return 0;
  lua_pushinteger(L, i);
  lua_rawgeti(L, 1, i);
  return lua_isnil(L, -1) ? 0 : 2;
}

static int builtin_ipairs(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushcfunction(L, next_item);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

static int builtin_rawequal(lua_State *L) {
  lua_pushboolean(L, lua_rawequal(L, 1, 2));
  return 1;
}

/* The first argument is "#", or a positive number: the files need no other. */
static int builtin_select(lua_State *L) {
  int n = lua_gettop(L), first;
  if (lua_type(L, 1) == LUA_TSTRING) {
    lua_pushinteger(L, n - 1);
    return 1;
  }
  first = (int)luaL_checkinteger(L, 1);
  return first >= 1 && first < n ? n - first : 0;
}

/* Unlike Lua's it raises nothing but "not enough memory", since it describes
   errors: an error in the program's __tostring must not replace them. */
static int builtin_tostring(lua_State *L) {
  (void)cast_lua_describe(L, 1); /* pushed */
  return 1;
}

static int builtin_type(lua_State *L) {
  lua_pushstring(L, luaL_typename(L, 1));
  return 1;
}

/* -- protected calls ------------------------------------------------------ */

#if CAST_LUAJIT
static const char pcall_key = 0, xpcall_key = 0;

void cast_builtin_note(lua_State *L) {
  cast_stop_note(L);
  lua_getglobal(L, "pcall");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &pcall_key);
  lua_getglobal(L, "xpcall");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &xpcall_key);
}

void cast_builtin_pcall(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pcall_key);
}

static void push_xpcall(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &xpcall_key);
}
#else
void cast_builtin_note(lua_State *L) { CAST_UNUSED(L); }

/* A protected call is over. Above the first `below` stack slots there are
   `true` and the results of the function; or, if it has failed, `true` and the
   error. Returns what pcall returns. */
static int leave(lua_State *L, bool ok, int below) {
  if (ok) return lua_gettop(L) - below;
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

#if CAST_LUA >= 503
#define CONTEXT lua_KContext
/* Continues a protected call that has yielded; the context is `below`. */
static int finish_call(lua_State *L, int status, lua_KContext below) {
  return leave(L, status == LUA_OK || status == LUA_YIELD, (int)below);
}
#elif CAST_LUA == 502
#define CONTEXT int
static int finish_call(lua_State *L) {
  int below, status = lua_getctx(L, &below);
  return leave(L, status == LUA_OK || status == LUA_YIELD, below);
}
#else
#define CONTEXT int
#define lua_pcallk(L, n, r, h, ctx, k) lua_pcall(L, n, r, h)
#endif

/* pcall(f, ...), which may be yielded across where Lua has continuations. */
static int builtin_pcall(lua_State *L) {
  int status;
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  status =
    lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, (CONTEXT)0, finish_call);
  return leave(L, status == LUA_OK, 0);
}

/* xpcall(f, handler): no file passes arguments to f. */
static int builtin_xpcall(lua_State *L) {
  int status;
  lua_settop(L, 2);
  lua_insert(L, 1); /* handler, f */
  lua_pushboolean(L, 1);
  lua_insert(L, 2);
  status = lua_pcallk(L, 0, LUA_MULTRET, 1, (CONTEXT)1, finish_call);
  return leave(L, status == LUA_OK, 1);
}

void cast_builtin_pcall(lua_State *L) { lua_pushcfunction(L, builtin_pcall); }
static void push_xpcall(lua_State *L) { lua_pushcfunction(L, builtin_xpcall); }
#endif

/* -- the table ------------------------------------------------------------ */

/* What a file needs beside these comes from `internal` (embed.c): so the whole
   interface of the files to Lua is here and there. */
void cast_builtin_push(lua_State *L) {
  static const luaL_Reg builtins[] = {
    {"error", builtin_error},
    {"getmetatable", builtin_getmetatable},
    {"ipairs", builtin_ipairs},
    {"pairs", builtin_pairs},
    {"rawequal", builtin_rawequal},
    {"select", builtin_select},
    {"setmetatable", builtin_setmetatable},
    {"tostring", builtin_tostring},
    {"type", builtin_type},
    {NULL, NULL},
  };
  lua_newtable(L);
  luaL_setfuncs(L, builtins, 0);
  cast_builtin_pcall(L);
  lua_setfield(L, -2, "pcall");
  push_xpcall(L);
  lua_setfield(L, -2, "xpcall");
}
