/* compat.h - one Lua API over 5.1, 5.2, 5.3, 5.4, 5.5 and LuaJIT 2.1.
   SPDX-License-Identifier: MIT

   Only what casting needs. Names that exist in the newest version are given
   to the older ones; what differs in kind has a cast_lua_* name. */
#ifndef CAST_COMPAT_H
#define CAST_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../base.h"

/* LuaJIT names itself lua 5.1; its lualib.h has one library more. */
#ifdef LUA_JITLIBNAME
#define CAST_LUAJIT 1
#else
#define CAST_LUAJIT 0
#endif

#define CAST_LUA LUA_VERSION_NUM

/* Continuations (lua_yieldk): not in 5.1 and LuaJIT. */
#define CAST_HAS_YIELDK (CAST_LUA >= 502)

/* Variables with a __close handler, which a coroutine's end leaves pending. */
#define CAST_HAS_CLOSE (CAST_LUA >= 504)

#if CAST_LUA < 502
#define lua_rawlen(L, i) lua_objlen(L, i)
#define LUA_OK 0
#define lua_pushglobaltable(L) lua_pushvalue(L, LUA_GLOBALSINDEX)
static inline int lua_absindex(lua_State *L, int i) {
  return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}
static inline void lua_rawgetp(lua_State *L, int i, const void *p) {
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_rawget(L, i);
}
static inline void lua_rawsetp(lua_State *L, int i, const void *p) {
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)(uintptr_t)p);
  lua_insert(L, -2);
  lua_rawset(L, i);
}
#endif
#if CAST_LUA < 502 && !CAST_LUAJIT
static inline void *luaL_testudata(lua_State *L, int i, const char *name) {
  void *p = lua_touserdata(L, i);
  if (p == NULL || !lua_getmetatable(L, i)) return NULL;
  luaL_getmetatable(L, name);
  if (!lua_rawequal(L, -1, -2)) p = NULL;
  lua_pop(L, 2);
  return p;
}
void luaL_setfuncs(lua_State *L, const luaL_Reg *l, int nup);
#endif

#ifdef CAST_COLLECT
#include "collect.h"
#endif

#if CAST_LUA < 503
#define lua_isinteger(L, i) (CAST_UNUSED(L), 0)
/* rawgetp and friends return the type from 5.3 on; do not use it. */
#endif

/* A userdata, without a user value, or (nuv is 1) with room for one. */
#if CAST_LUA >= 504
#define cast_lua_newuserdatauv(L, size, nuv) lua_newuserdatauv(L, size, nuv)
#else
#define cast_lua_newuserdatauv(L, size, nuv) lua_newuserdata(L, size)
#endif
#define cast_lua_newuserdata(L, size) cast_lua_newuserdatauv(L, size, 0)

/* Makes the table on the top, which it pops, the user value of the userdata at
   i. (5.1 takes nothing but tables, as the environment of the userdata.) */
static inline void cast_lua_setuservalue(lua_State *L, int i) {
#if CAST_LUA >= 504
  lua_setiuservalue(L, i, 1);
#elif CAST_LUA >= 502
  lua_setuservalue(L, i);
#else
  lua_setfenv(L, i);
#endif
}

/* A string of a program's, which may have zero bytes; at NULL: none. */
typedef struct cast_chars {
  const char *at;
  size_t size;
} cast_chars;
static inline cast_chars cast_chars_of(const char *s) {
  return (cast_chars){s, s != NULL ? strlen(s) : 0};
}

/* luaL_tolstring exists from 5.2 on; this one never raises other than out of
   memory: it does not call metamethods, except a string __tostring result. */
const char *cast_lua_describe(lua_State *L, int i);
/* The same without calling anything: its type's name and address. */
const char *cast_lua_address(lua_State *L, int i);

/* The main thread of L's universe; NULL: L is another one, of 5.1 or LuaJIT,
   which do not tell. */
lua_State *cast_main_thread(lua_State *L);

/* luaL_where(L, 1) and luaL_error, but that a place in what of the library is
   written in Lua does not count: the program's line is told that has called
   it. */
/* What its chunks' names begin with; those of files begin with "@". */
#define CAST_OWN_SOURCE "=casting/"
bool cast_lua_is_own(const lua_Debug *ar); /* with its source */
void cast_lua_where(lua_State *L);
int cast_lua_error(lua_State *L, const char *format, ...);

/* Room for n more values on the stack of a coroutine that does not run. False:
   there is none. (Before 5.2 lua_checkstack raises an error for want of memory,
   which nobody catches there.) */
#if CAST_LUA >= 502
#define cast_lua_reserve(co, n) (lua_checkstack(co, n) != 0)
#else
bool cast_lua_reserve(lua_State *co, int n);
#endif

/* Resumes co with n arguments on its stack: LUA_OK, LUA_YIELD or an error;
   *nres is how many values lie on top. The call depth of co counts on from that
   of L, the coroutine that runs; NULL: from zero, because the caller is on a
   fresh stretch of C stack. */
static inline int cast_lua_resume_from(
  lua_State *L, lua_State *co, int n, int *nres) {
#if CAST_LUA >= 504
  return lua_resume(co, L, n, nres);
#else
  int status;
#if CAST_LUA >= 502
  status = lua_resume(co, L, n);
#else
  if (L != NULL) lua_setlevel(L, co);
  status = lua_resume(co, n);
#endif
  *nres = lua_gettop(co);
  return status;
#endif
}
static inline int cast_lua_resume(lua_State *co, int n, int *nres) {
  return cast_lua_resume_from(NULL, co, n, nres);
}

/* lua_cpcall, which ended with 5.1: calls fn(L), protected, with `arg` as light
   userdata. LUA_OK, or an error status with the error on the top of L. */
int cast_lua_cpcall(lua_State *L, lua_CFunction fn, void *arg);

/* Closes a coroutine that has failed: its pending variables, its stack. Where
   there are none (CAST_HAS_CLOSE) there is nothing to do. */
static inline int cast_lua_close_thread(lua_State *co, lua_State *from) {
#if CAST_LUA >= 505 || (CAST_LUA == 504 && LUA_VERSION_RELEASE_NUM >= 50406)
  return lua_closethread(co, from);
#elif CAST_LUA == 504
  CAST_UNUSED(from);
  return lua_resetthread(co);
#else
  CAST_UNUSED(co);
  CAST_UNUSED(from);
  return LUA_OK;
#endif
}

/* lua_dump with debug information kept. */
static inline int cast_lua_dump(lua_State *L, lua_Writer w, void *ud) {
#if CAST_LUA >= 503
  return lua_dump(L, w, ud, 0);
#else
  return lua_dump(L, w, ud);
#endif
}

/* Loads a text or binary chunk of `size` bytes. */
static inline int cast_lua_load(lua_State *L, const char *data, size_t size,
  const char *name, const char *mode) {
#if CAST_LUA >= 502 || CAST_LUAJIT
  return luaL_loadbufferx(L, data, size, name, mode);
#else
  CAST_UNUSED(mode);
  return luaL_loadbuffer(L, data, size, name);
#endif
}

#endif
