/* compat.c - what older Lua versions lack, and how values are shown.
   SPDX-License-Identifier: MIT */
#include "compat.h"

#include "../../base.h"

#include <stdarg.h>

/* -- stacks --------------------------------------------------------------- */

#if CAST_LUA < 502
/* Makes the stack grow, in a protected call, since lua_checkstack raises there
   if memory fails. It ends by an error because after a return 5.1 may collect
   garbage, which would make the stack small again. */
static int make_room(lua_State *co) {
  int *n = lua_touserdata(co, 1);
  if (lua_checkstack(co, *n + 1)) *n = 0;
  lua_pushnil(co);
  return lua_error(co);
}

/* A hook that a signal handler has set is called in the protected call, which
   swallows its error: so it is set again. */
bool cast_lua_reserve(lua_State *co, int n) {
  lua_Hook hook = lua_gethook(co);
  int lacking = n, mask = lua_gethookmask(co), count = lua_gethookcount(co);
  (void)lua_cpcall(co, make_room, &lacking);
  lua_pop(co, 1);
  if (CAST_UNLIKELY(hook != lua_gethook(co)) && hook != NULL)
    lua_sethook(co, hook, mask, count);
  return lacking == 0 && lua_checkstack(co, n); /* need not grow any more */
}
#endif

#if CAST_LUAJIT
static int do_nothing(lua_State *L) {
  CAST_UNUSED(L);
  return 0;
}

/* LuaJIT notes which coroutine runs, for its compiled code, and sets that right
   when a C function is called or returns, but not when it, or a hook, raises an
   error (its issue 1066). So a C function that does nothing is called. A hook
   that a signal has set is called in that, too soon: so it is set again. */
void cast_lua_running(lua_State *L) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (lua_cpcall(L, do_nothing, NULL) == LUA_OK) return;
  lua_pop(L, 1);
  lua_sethook(L, hook, mask, count);
}
#endif

/* -- addresses ------------------------------------------------------------ */

#if CAST_LUAJIT
/* LuaJIT keeps a list of the parts of the address space, of 512 GB each, from
   which it was given light userdata. It makes the list longer when the third
   and the fifth part come, wherever that is: without memory outside of a
   protected call, the process ends. There are three as a rule (those of the
   program's data and heap, of libraries and mappings, and of the main stack);
   nothing is in the first four. With them the list has room for eight, and
   those that are looked up come first. */
void cast_lua_know_addresses(lua_State *L) {
  static const char data = 0;
  char stack = 0;
  lua_pushlightuserdata(L, (void *)(uintptr_t)&data);
  lua_pushlightuserdata(L, &stack);
  for (uintptr_t part = 0; part < 4; part++)
    lua_pushlightuserdata(L, (void *)(part << 39));
  lua_pop(L, 6);
}
#endif

/* -- protected calls ------------------------------------------------------ */

int cast_lua_cpcall(lua_State *L, lua_CFunction fn, void *arg) {
#if CAST_LUA < 502
  return lua_cpcall(L, fn, arg);
#else
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  return lua_pcall(L, 1, 0, 0);
#endif
}

#if CAST_LUA < 502
typedef struct keeping {
  const void *key;
  lua_CFunction fn;
} keeping;

static int keep(lua_State *L) {
  const keeping *k = lua_touserdata(L, 1);
  lua_pushcfunction(L, k->fn);
  lua_rawsetp(L, LUA_REGISTRYINDEX, k->key);
  return 0;
}

/* To make it for each read of 64 bytes took 8 % of the instructions. */
int cast_lua_cpcall_for(
  lua_State *L, const void *key, lua_CFunction fn, void *arg, int n) {
  keeping k = {key, fn};
  lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  if (CAST_UNLIKELY(lua_isnil(L, -1))) {
    int status;
    lua_pop(L, 1);
    status = lua_cpcall(L, keep, &k);
    if (status != LUA_OK) return status;
    lua_rawgetp(L, LUA_REGISTRYINDEX, key);
  }
  lua_pushlightuserdata(L, arg);
  return lua_pcall(L, 1, n, 0);
}
#else
int cast_lua_cpcall_for(
  lua_State *L, const void *key, lua_CFunction fn, void *arg, int n) {
  CAST_UNUSED(key);
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  return lua_pcall(L, 1, n, 0);
}
#endif

/* It is a function of a C library function's own, which is to be named, with
   its place, in errors: see cast_lua_level. */
static int run_part(lua_State *L) {
  cast_lua_part *part = lua_touserdata(L, -1);
  lua_pop(L, 1);
  part->run(L, part);
  return 0;
}

int cast_lua_pcall_part(lua_State *L, int n, cast_lua_part *part) {
  lua_pushcfunction(L, run_part);
  lua_insert(L, -n - 1);
  lua_pushlightuserdata(L, part);
  return lua_pcall(L, n + 1, 0, 0);
}

int cast_lua_level(lua_State *L) {
  lua_Debug ar;
  bool part;
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "f", &ar)) return 0;
  part = lua_tocfunction(L, -1) == run_part;
  lua_pop(L, 1);
  return part;
}

/* -- describe ------------------------------------------------------------- */

static int call_tostring(lua_State *L) {
  if (!luaL_getmetafield(L, 1, "__tostring")) return 0;
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Pushes what the value's __tostring returns, if that is a string; else, or if
   it raises an error, nothing: false. */
static bool push_own(lua_State *L, int i) {
  lua_pushcfunction(L, call_tostring);
  lua_pushvalue(L, i);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING)
    return true;
  lua_pop(L, 1);
  return false;
}

/* lua_tostring would change the value in its place, so it gets a copy. */
static void push_number(lua_State *L, int i) {
  lua_pushvalue(L, i);
  lua_tostring(L, -1);
}

/* "name: address", as luaL_tolstring has it. */
static void push_address(lua_State *L, int i) {
  const char *name = luaL_typename(L, i);
  int top = lua_gettop(L);
  if (lua_getmetatable(L, i)) {
    lua_pushliteral(L, "__name");
    lua_rawget(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING) name = lua_tostring(L, -1);
  }
  lua_pushfstring(L, "%s: %p", name, lua_topointer(L, i));
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
}

const char *cast_lua_address(lua_State *L, int i) {
  luaL_checkstack(L, 6, "describe");
  push_address(L, lua_absindex(L, i));
  return lua_tostring(L, -1);
}

const char *cast_lua_describe(lua_State *L, int i) {
  luaL_checkstack(L, 6, "describe");
  i = lua_absindex(L, i);
  /* Not of a string: a program can give all strings a __tostring, and texts are
     described where nothing could stop that. */
  if (lua_type(L, i) != LUA_TSTRING && push_own(L, i))
    return lua_tostring(L, -1);
  switch (lua_type(L, i)) {
  case LUA_TSTRING: lua_pushvalue(L, i); break;
  case LUA_TNUMBER: push_number(L, i); break;
  case LUA_TBOOLEAN:
    lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false");
    break;
  case LUA_TNONE:
  case LUA_TNIL: lua_pushliteral(L, "nil"); break;
  default: push_address(L, i); break;
  }
  return lua_tostring(L, -1);
}

/* -- states --------------------------------------------------------------- */

lua_State *cast_main_thread(lua_State *L) {
#if CAST_LUA >= 502
  lua_State *main;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main;
#else
  bool is = lua_pushthread(L) == 1;
  lua_pop(L, 1);
  return is ? L : NULL;
#endif
}

/* -- places --------------------------------------------------------------- */

bool cast_lua_is_own(const lua_Debug *ar) {
  return strncmp(ar->source, CAST_OWN_SOURCE, sizeof CAST_OWN_SOURCE - 1) == 0;
}

/* Goes up the stack to the first function of the program's. Not counted are
   ours that are written in Lua, C functions between the caller and them, and
   what 5.1 leaves of their tail calls. */
void cast_lua_where(lua_State *L) {
  lua_Debug ar;
  bool own = false;
  int first = 1 + cast_lua_level(L);
  for (int i = first; lua_getstack(L, i, &ar) && lua_getinfo(L, "S", &ar);
       i++) {
    own = own || cast_lua_is_own(&ar);
    if (cast_lua_is_own(&ar) || (i > first && *ar.what == 'C')) continue;
    if (own && *ar.what == 't') continue; /* 5.1: a tail call */
    luaL_where(L, i);
    return;
  }
  lua_pushliteral(L, "");
}

int cast_lua_error(lua_State *L, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  cast_lua_where(L);
  lua_pushvfstring(L, format, arguments);
  va_end(arguments);
  lua_concat(L, 2);
  return lua_error(L);
}

#if CAST_LUA < 502 && !CAST_LUAJIT

/* -- 5.1 ------------------------------------------------------------------ */

void luaL_setfuncs(lua_State *L, const luaL_Reg *l, int nup) {
  luaL_checkstack(L, nup + 2, "too many upvalues");
  for (; l->name != NULL; l++) {
    for (int i = 0; i < nup; i++) lua_pushvalue(L, -nup);
    lua_pushcclosure(L, l->func, nup);
    lua_setfield(L, -(nup + 2), l->name);
  }
  lua_pop(L, nup);
}

#endif
