/* compat.h - one Lua API over 5.1, 5.2, 5.3, 5.4, 5.5 and LuaJIT 2.1.
   SPDX-License-Identifier: MIT

   Only what casting needs. Functions that older versions lack have the names
   and the meaning of the newest version; what differs in kind between versions
   has a name cast_lua_*. Other rooms should need no #if about versions, except
   where a version has another way to do a thing. */
#ifndef CAST_COMPAT_H
#define CAST_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../base.h"
#include "version.h"

/* LuaJIT calls itself Lua 5.1; it is known by a library more in its
   lualib.h. */
#ifdef LUA_JITLIBNAME
#define CAST_LUAJIT 1
#else
#define CAST_LUAJIT 0
#endif

#define CAST_LUA LUA_VERSION_NUM

/* Continuations (lua_yieldk): the function of a C call that has yielded goes
   on. Not in 5.1 and LuaJIT. */
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
/* lua_rawgetp and its like return the type from 5.3 on: not to be used. */
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

/* A string of the program's, which may have zero bytes; at is NULL: there is
   none. */
typedef struct cast_chars {
  const char *at;
  size_t size;
} cast_chars;
static inline cast_chars cast_chars_of(const char *s) {
  return (cast_chars){s, s != NULL ? strlen(s) : 0};
}

/* Pushes a value as text, for errors and reports. As luaL_tolstring, which
   exists from 5.2 on; but an error in __tostring, or a result that is no
   string, counts as no __tostring. Raises only when out of memory. */
const char *cast_lua_describe(lua_State *L, int i);
/* The same without calling anything: the name of its type, and its address. */
const char *cast_lua_address(lua_State *L, int i);

/* The main thread of L's universe. 5.1 and LuaJIT tell only whether L is it;
   NULL there: it is not. */
lua_State *cast_main_thread(lua_State *L);

/* What the names of chunks of this library begin with, which is partly written
   in Lua; those of files begin with "@". */
#define CAST_OWN_SOURCE "=casting/"
/* Is that a function of such a chunk? ar has its source ("S"). */
bool cast_lua_is_own(const lua_Debug *ar);
/* luaL_where(L, 1) and luaL_error, except that a place in such a chunk does not
   count: they name the line of the program that has called it. */
void cast_lua_where(lua_State *L);
int cast_lua_error(lua_State *L, const char *format, ...);

/* Makes room for n more values on the stack of a coroutine that does not run.
   False: there is none. (Before 5.2 lua_checkstack raises an error if memory
   fails, which nothing would catch in a coroutine that does not run.) */
#if CAST_LUA >= 502
#define cast_lua_reserve(co, n) (lua_checkstack(co, n) != 0)
#else
bool cast_lua_reserve(lua_State *co, int n);
#endif

/* Other coroutines ran, or something was called in them, and L runs again, in
   which an error may follow: needed by LuaJIT. */
#if CAST_LUAJIT
void cast_lua_running(lua_State *L);
#else
static inline void cast_lua_running(lua_State *L) { CAST_UNUSED(L); }
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
#if CAST_LUAJIT
  CAST_UNUSED(L); /* it declares lua_setlevel, but does not have it */
#else
  if (L != NULL) lua_setlevel(L, co);
#endif
  status = lua_resume(co, n);
#endif
  *nres = lua_gettop(co);
  return status;
#endif
}
static inline int cast_lua_resume(lua_State *co, int n, int *nres) {
  return cast_lua_resume_from(NULL, co, n, nres);
}

/* Sees to it that lua_pushlightuserdata allocates no memory in this state from
   now on, which only LuaJIT does; to be called as the state is made. */
#if CAST_LUAJIT
void cast_lua_know_addresses(lua_State *L);
#else
#define cast_lua_know_addresses(L) CAST_UNUSED(L)
#endif

/* lua_cpcall, which ended with 5.1: calls fn(L), protected, with `arg` as light
   userdata. LUA_OK, or an error status with the error on the top of L. */
int cast_lua_cpcall(lua_State *L, lua_CFunction fn, void *arg);
/* The same, with the n results of fn on the top. Each fn has a `key` of its
   own: to make a C function takes memory in 5.1, so there the registry keeps
   it. */
int cast_lua_cpcall_for(
  lua_State *L, const void *key, lua_CFunction fn, void *arg, int n);

/* A part of a library function that runs protected, so that the function can
   put things back when the part fails: `run` is called with the values that it
   is given on a stack of its own. At the beginning of a struct. */
typedef struct cast_lua_part cast_lua_part;
struct cast_lua_part {
  void (*run)(lua_State *L, cast_lua_part *part);
};
/* Runs it with the n values on top, which are popped. As lua_pcall; errors are
   told as those of the library function itself. */
int cast_lua_pcall_part(lua_State *L, int n, cast_lua_part *part);
/* The level of the library function that runs: 1 in such a part, else 0. */
int cast_lua_level(lua_State *L);

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
