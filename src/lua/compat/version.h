/* version.h - is this the Lua that the module was built for?
   SPDX-License-Identifier: MIT

   A module that is loaded by another Lua than its own would crash, or not be
   loaded at all, for lack of a function ("undefined symbol: lua_callk"). So
   what only some versions have is looked up weakly: then the module is loaded
   by all of them, and says that it is the wrong one before it calls anything
   that differs. A new function of Lua's that some version lacks gets its place
   in the list here.

   CAST_STATIC (the single C file): not weak. A linker takes nothing out of an
   archive for a weak reference, see casting_wanted in cmake/library.cmake. */
#ifndef CAST_VERSION_H
#define CAST_VERSION_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* What casting calls that some version, or an older release of the same one,
   lacks. X is applied to each. */
/* clang-format off */
#if LUA_VERSION_NUM < 502
#define CAST_VERSION_OLD(X) \
  X(lua_call) X(lua_cpcall) X(lua_getfenv) X(lua_insert) X(lua_newuserdata) \
  X(lua_objlen) X(lua_pcall) X(lua_remove) X(lua_replace) X(lua_setfenv) \
  X(lua_tointeger) X(lua_tonumber) X(lua_yield) X(luaL_loadbuffer) \
  X(luaL_openlibs) X(luaL_prepbuffer)
#ifdef LUA_JITLIBNAME
#include <luajit.h>
#define CAST_VERSION_OWN(X) \
  CAST_VERSION_OLD(X) \
  X(luaJIT_setmode) X(lua_isyieldable) X(lua_upvalueid) X(lua_upvaluejoin) \
  X(luaL_execresult) X(luaL_loadbufferx) X(luaL_setfuncs) X(luaL_testudata) \
  X(luaopen_bit) X(luaopen_ffi) X(luaopen_jit)
#else
#define CAST_VERSION_OWN(X) CAST_VERSION_OLD(X) X(lua_setlevel)
#endif
#else
#define CAST_VERSION_NEW(X) \
  X(lua_absindex) X(lua_callk) X(lua_copy) X(lua_getglobal) X(lua_pcallk) \
  X(lua_rawgetp) X(lua_rawlen) X(lua_rawsetp) X(lua_tointegerx) \
  X(lua_tonumberx) X(lua_upvalueid) X(lua_upvaluejoin) X(lua_yieldk) \
  X(luaL_execresult) X(luaL_loadbufferx) X(luaL_prepbuffsize) \
  X(luaL_requiref) X(luaL_setfuncs) X(luaL_testudata) X(luaopen_coroutine)
#if LUA_VERSION_NUM == 502
#define CAST_VERSION_OWN(X) \
  CAST_VERSION_NEW(X) \
  X(lua_getctx) X(lua_getuservalue) X(lua_insert) X(lua_newuserdata) \
  X(lua_remove) X(lua_replace) X(lua_setuservalue) X(luaL_checkunsigned) \
  X(luaL_openlibs) X(luaopen_bit32)
#elif LUA_VERSION_NUM == 503
#define CAST_VERSION_OWN(X) \
  CAST_VERSION_NEW(X) \
  X(lua_getuservalue) X(lua_isinteger) X(lua_isyieldable) \
  X(lua_newuserdata) X(lua_rotate) X(lua_setuservalue) X(luaL_openlibs) \
  X(luaopen_utf8)
#elif LUA_VERSION_NUM == 504
#if LUA_VERSION_RELEASE_NUM >= 50406
#define CAST_VERSION_CLOSE lua_closethread
#else
#define CAST_VERSION_CLOSE lua_resetthread
#endif
#define CAST_VERSION_OWN(X) \
  CAST_VERSION_NEW(X) \
  X(CAST_VERSION_CLOSE) X(lua_isinteger) X(lua_isyieldable) \
  X(lua_newuserdatauv) X(lua_rotate) X(lua_setiuservalue) X(lua_setwarnf) \
  X(luaL_openlibs) X(luaopen_utf8)
#else
#define CAST_VERSION_OWN(X) \
  CAST_VERSION_NEW(X) \
  X(lua_closethread) X(lua_isinteger) X(lua_isyieldable) X(lua_toclose) \
  X(lua_newuserdatauv) X(lua_rotate) X(lua_setiuservalue) X(lua_setwarnf) \
  X(luaL_openselectedlibs) X(luaopen_utf8)
#endif
#endif
/* clang-format on */

#if defined(__ELF__) && !defined(CAST_STATIC)
#define CAST_VERSION_PRAGMA(text) _Pragma(#text)
#define CAST_VERSION_WEAK_NAMED(name) CAST_VERSION_PRAGMA(weak name)
#define CAST_VERSION_WEAK(name) CAST_VERSION_WEAK_NAMED(name)
CAST_VERSION_OWN(CAST_VERSION_WEAK)
#endif

/* Raises an error that names both versions if L is of another one, or of an
   older release that lacks something. */
void cast_version_check(lua_State *L);
/* The same question without an error: may anything be called with L? */
int cast_version_is_own(lua_State *L);
/* And with the Lua library that this process has: also if it is out of
   memory. */
int cast_version_is_linked(void);

#endif
