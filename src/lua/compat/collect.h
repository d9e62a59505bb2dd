/* collect.h - a collection of garbage wherever the collector may run.
   SPDX-License-Identifier: MIT

   For the build with -DCASTING_COLLECT=ON, a test build, and no other. Whenever
   the binding makes a Lua value, the collector may run, and with it finalizers
   that wait, while other tasks run, end and are freed. It does so in one call
   of thousands, so mistakes about that would hardly be found. Here it does in
   each: every function of Lua's API in which the collector may run is replaced
   by one that first makes an object with a finalizer, and collects it
   (collect.c). As in 5.1, whose functions collect before they copy, the
   arguments have been read by then.

   In functions that neither raise nor return to where an error may be raised,
   the finalizer's errors are dropped. */
#ifndef CAST_COLLECT_H
#define CAST_COLLECT_H

#include <stdarg.h>
#include <string.h>

/* Collects. May raise what the finalizer has raised. */
void cast_collect(lua_State *L);
/* The same, but does not raise. */
void cast_collect_quietly(lua_State *L);

#ifndef CAST_COLLECT_ITSELF

/* -- values --------------------------------------------------------------- */

static inline void cast_collect_pushlstring(
  lua_State *L, const char *s, size_t size) {
  cast_collect(L);
  (void)lua_pushlstring(L, s, size);
}

#undef lua_pushstring
static inline void cast_collect_pushstring(lua_State *L, const char *s) {
  if (s != NULL) cast_collect(L);
  (void)lua_pushstring(L, s);
}

#undef lua_pushfstring
static inline const char *cast_collect_pushfstring(
  lua_State *L, const char *form, ...) {
  const char *text;
  va_list args;
  va_start(args, form);
  cast_collect(L);
  text = lua_pushvfstring(L, form, args);
  va_end(args);
  return text;
}

/* From 5.2 on, a C function without upvalues takes no memory. */
static inline void cast_collect_pushcclosure(
  lua_State *L, lua_CFunction f, int n) {
  if (n > 0 || CAST_LUA < 502) cast_collect(L);
  lua_pushcclosure(L, f, n);
}

static inline void cast_collect_createtable(lua_State *L, int narr, int nrec) {
  cast_collect(L);
  lua_createtable(L, narr, nrec);
}

#if CAST_LUA >= 504
static inline void *cast_collect_newuserdatauv(
  lua_State *L, size_t size, int n) {
  cast_collect(L);
  return lua_newuserdatauv(L, size, n);
}
#else
static inline void *cast_collect_newuserdata(lua_State *L, size_t size) {
  cast_collect(L);
  return lua_newuserdata(L, size);
}
#endif

static inline lua_State *cast_collect_newthread(lua_State *L) {
  cast_collect(L);
  return lua_newthread(L);
}

static inline void cast_collect_concat(lua_State *L, int n) {
  if (n > 1) cast_collect(L);
  lua_concat(L, n);
}

/* A number becomes a string in its place. */
static inline const char *cast_collect_tolstring(
  lua_State *L, int i, size_t *size) {
  if (lua_type(L, i) == LUA_TNUMBER) cast_collect(L);
  return lua_tolstring(L, i, size);
}

/* -- calls: from 5.2 on the stack may grow in them, or always ------------- */

static inline void cast_collect_call(lua_State *L, int nargs, int nres) {
  if (CAST_LUA >= 502) cast_collect(L);
  lua_call(L, nargs, nres);
}

static inline int cast_collect_pcall(
  lua_State *L, int nargs, int nres, int handler) {
  if (CAST_LUA >= 502) cast_collect_quietly(L);
  return lua_pcall(L, nargs, nres, handler);
}

/* -- the auxiliary library ------------------------------------------------ */

static inline void cast_collect_where(lua_State *L, int level) {
  cast_collect(L);
  luaL_where(L, level);
}

static inline int cast_collect_error(lua_State *L, const char *form, ...) {
  va_list args;
  va_start(args, form);
  cast_collect(L);
  luaL_where(L, 1);
  (void)lua_pushvfstring(L, form, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

static inline int cast_collect_getmetafield(
  lua_State *L, int i, const char *name) {
  cast_collect(L);
  return luaL_getmetafield(L, i, name);
}

#if CAST_LUA >= 502 || CAST_LUAJIT
static inline int cast_collect_loadbufferx(lua_State *L, const char *s,
  size_t size, const char *name, const char *mode) {
  cast_collect(L);
  return luaL_loadbufferx(L, s, size, name, mode);
}
#define luaL_loadbufferx cast_collect_loadbufferx
#else
static inline int cast_collect_loadbuffer(
  lua_State *L, const char *s, size_t size, const char *name) {
  cast_collect(L);
  return luaL_loadbuffer(L, s, size, name);
}
#define luaL_loadbuffer cast_collect_loadbuffer
#endif

#if CAST_LUA >= 502 || CAST_LUAJIT /* else they are ours */
static inline void cast_collect_setfuncs(
  lua_State *L, const luaL_Reg *all, int nup) {
  cast_collect(L);
  luaL_setfuncs(L, all, nup);
}

#define luaL_setfuncs cast_collect_setfuncs
#endif

static inline void cast_collect_addlstring(
  luaL_Buffer *b, const char *s, size_t size) {
  cast_collect(b->L);
  luaL_addlstring(b, s, size);
}

static inline void cast_collect_addvalue(luaL_Buffer *b) {
  cast_collect(b->L);
  luaL_addvalue(b);
}

static inline void cast_collect_pushresult(luaL_Buffer *b) {
  cast_collect(b->L);
  luaL_pushresult(b);
}

#define lua_pushlstring cast_collect_pushlstring
#define lua_pushstring cast_collect_pushstring
#define lua_pushfstring cast_collect_pushfstring
#define lua_pushcclosure cast_collect_pushcclosure
#define lua_createtable cast_collect_createtable
#if CAST_LUA >= 504
#define lua_newuserdatauv cast_collect_newuserdatauv
#else
#define lua_newuserdata cast_collect_newuserdata
#endif
#define lua_newthread cast_collect_newthread
#define lua_concat cast_collect_concat
#define lua_tolstring cast_collect_tolstring
#undef lua_call
#define lua_call cast_collect_call
#undef lua_pcall
#define lua_pcall cast_collect_pcall
#define luaL_where cast_collect_where
#define luaL_error cast_collect_error
#define luaL_getmetafield cast_collect_getmetafield
#define luaL_addlstring cast_collect_addlstring
#undef luaL_addstring
#define luaL_addstring(b, s) cast_collect_addlstring(b, s, strlen(s))
#define luaL_addvalue cast_collect_addvalue
#define luaL_pushresult cast_collect_pushresult

#endif
#endif
