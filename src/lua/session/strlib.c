/* strlib.c - functions of strings that need much of the C stack.
   SPDX-License-Identifier: MIT

   5.1 matches a pattern by recursion, without a limit (later versions and
   LuaJIT stop at a depth of 200), and so a long one overflows the C stack. In a
   session it is refused, with the error that the others have: each quantifier
   takes a level, which is 80 to 96 bytes where it was measured. May all of them
   take half of the stack, the 200 nested calls that Lua allows have the rest.

   LuaJIT has no limit of nested calls but the Lua stack, which allows more of
   string.gsub in its own callback than the C stack, with a buffer for each.
   There it is refused when little is left.

   In a task of a main program it is as in that program itself, whose functions
   are its own: a stack of ours is as large as its (context.c). */
#include "../../base.h"
#include "../../context.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "library.h"

#if CAST_LUAJIT

static int str_gsub(lua_State *L) {
  int type = lua_type(L, 3);
  if (type == LUA_TFUNCTION || type == LUA_TTABLE) cast_libs_deeper(L);
  return cast_libs_pass(L);
}

static void wrap_all(lua_State *L) { cast_libs_wrap(L, "gsub", str_gsub); }

#elif CAST_LUA == 501

#define QUANTIFIERS "*+-?"

/* For find and its like: the pattern is the second argument. */
static void check_pattern(lua_State *L) {
  size_t most = cast_contexts_size() / 2 / CAST_PATTERN_FRAME, n = 0, size;
  const char *p;
  if (lua_type(L, 2) != LUA_TSTRING || lua_objlen(L, 2) <= most) return;
  p = lua_tolstring(L, 2, &size);
  for (size_t i = 0; i < size; i++)
    n += p[i] != '\0' && strchr(QUANTIFIERS, p[i]) != NULL;
  if (n > most) luaL_error(L, "pattern too complex");
}

static int str_checked(lua_State *L) {
  check_pattern(L);
  return cast_libs_pass(L);
}

static int str_find(lua_State *L) {
  if (!lua_toboolean(L, 4)) check_pattern(L); /* else it is a plain text */
  return cast_libs_pass(L);
}

static void wrap_all(lua_State *L) {
  bool same;
  lua_getfield(L, -1, "gfind"); /* gmatch's name in 5.0 */
  lua_getfield(L, -2, "gmatch");
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  cast_libs_wrap(L, "find", str_find);
  cast_libs_wrap(L, "gmatch", str_checked);
  cast_libs_wrap(L, "gsub", str_checked);
  cast_libs_wrap(L, "match", str_checked);
  if (!same) return;
  lua_getfield(L, -1, "gmatch");
  lua_setfield(L, -2, "gfind");
}

#else
static void wrap_all(lua_State *L) { CAST_UNUSED(L); }
#endif

void cast_open_string(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "string");
  if (lua_istable(L, -1)) wrap_all(L);
  lua_pop(L, 2);
}
