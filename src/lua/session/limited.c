/* limited.c - LuaJIT where nothing is compiled, and where memory is limited.
   SPDX-License-Identifier: MIT

   Compiled code sees no hooks, so what computes there cannot be stopped
   (preempt.c). A session may be made so that LuaJIT only interprets in it.

   When an allocation fails, LuaJIT pushes the text of the error onto the top of
   the stack. In two kinds of places it does not know where the top is: the text
   overwrites frames in use, and the process crashes when it returns to them.
   1. In compiled code. Most of this was mended in 2023, but a bug of that kind
      in the recorder (trace stitching) was mended in 2026 only.
   2. In the fast functions, written in assembler, that make strings: they set
      the base of their frame, but not its top. (As of August 2026.)
   So a session with a memory limit only interprets unless its maker has said
   otherwise, and the six functions of the second kind are C functions there,
   for which the interpreter sets the top. */
#include "../../base.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "library.h"

#if CAST_LUAJIT
#include <luajit.h>

/* -- strings -------------------------------------------------------------- */

/* tostring. LuaJIT's own, the upvalue, makes strings in assembler only of plain
   numbers; for anything else it calls C. */
static int to_string(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TNUMBER || luaL_getmetafield(L, 1, "__tostring")) {
    cast_libs_deeper(L, CAST_STACK_SPARE);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
  } else {
    (void)lua_tostring(L, 1); /* in place */
  }
  return 1;
}

static int str_char(lua_State *L) {
  int n = lua_gettop(L);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    lua_Integer c = luaL_checkinteger(L, i);
    luaL_argcheck(L, c >= 0 && c <= 255, i, "invalid value");
    luaL_addchar(&b, (char)c);
  }
  luaL_pushresult(&b);
  return 1;
}

/* The position that `at` means in a string of that size: a negative one counts
   from its end. */
static lua_Integer position(lua_Integer at, lua_Integer size) {
  return at >= 0 ? at : at < -size ? 0 : at + size + 1;
}

static int str_sub(lua_State *L) {
  size_t size;
  const char *s = luaL_checklstring(L, 1, &size);
  lua_Integer n = (lua_Integer)size;
  lua_Integer from = position(luaL_checkinteger(L, 2), n);
  lua_Integer to = position(luaL_optinteger(L, 3, -1), n);
  if (from < 1) from = 1;
  if (to > n) to = n;
  if (from <= to)
    lua_pushlstring(L, s + from - 1, (size_t)(to - from + 1));
  else
    lua_pushliteral(L, "");
  return 1;
}

static int str_reverse(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (n > 0) luaL_addchar(&b, s[--n]);
  luaL_pushresult(&b);
  return 1;
}

/* string.lower and string.upper: adds `change` to the 26 letters from `first`
   on. Like LuaJIT's they ignore the locale. */
static int convert(lua_State *L, char first, int change) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < n; i++) {
    bool is = s[i] >= first && s[i] < first + 26;
    luaL_addchar(&b, (char)(is ? s[i] + change : s[i]));
  }
  luaL_pushresult(&b);
  return 1;
}

static int str_lower(lua_State *L) { return convert(L, 'A', 'a' - 'A'); }
static int str_upper(lua_State *L) { return convert(L, 'a', 'A' - 'a'); }

static const luaL_Reg replaced[] = {
  {"char", str_char},
  {"lower", str_lower},
  {"reverse", str_reverse},
  {"sub", str_sub},
  {"upper", str_upper},
  {NULL, NULL},
};

/* -- compiling ------------------------------------------------------------ */

/* jit.on() without a function switches nothing on here, as in a LuaJIT that was
   built without a compiler; jit.on(f) marks f as ever, and jit.on(true) the
   function that calls. LuaJIT's own is no upvalue, where debug.getupvalue would
   find it. */
static int jit_on(lua_State *L) {
  bool caller = lua_isboolean(L, 1) && lua_toboolean(L, 1);
  int which = LUAJIT_MODE_FUNC;
  if (lua_isnoneornil(L, 1)) return 0;
  if (!caller) luaL_checktype(L, 1, LUA_TFUNCTION);
  if (lua_isboolean(L, 2))
    which = lua_toboolean(L, 2) ? LUAJIT_MODE_ALLFUNC : LUAJIT_MODE_ALLSUBFUNC;
  if (luaJIT_setmode(L, caller ? 0 : 1, which | LUAJIT_MODE_ON) != 1 && !caller)
    luaL_argerror(L, 1, "Lua function expected");
  return 0;
}

void cast_libs_interpret(lua_State *L) {
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "jit");
  if (lua_istable(L, -1)) {
    lua_pushcfunction(L, jit_on);
    lua_setfield(L, -2, "on");
  }
  lua_pop(L, 2);
}

void cast_libs_limit(lua_State *L) {
  lua_pushglobaltable(L);
  cast_libs_wrap(L, "tostring", to_string);
  cast_libs_replace(L, "string", replaced);
  lua_pop(L, 1);
}

#else
void cast_libs_interpret(lua_State *L) { CAST_UNUSED(L); }
void cast_libs_limit(lua_State *L) { CAST_UNUSED(L); }
#endif
