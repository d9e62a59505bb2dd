/* strlib.c - functions of strings that need much of the C stack.
   SPDX-License-Identifier: MIT

   5.1 matches a pattern by recursion without a limit (later versions and LuaJIT
   stop at a depth of 200), so a pattern with many quantifiers overflows the C
   stack. In a session such a pattern is refused, with the error of the later
   versions. Each quantifier takes one level of recursion, for which 80 to 96
   bytes were measured. All levels together may take half of the stack
   (CAST_PATTERN_FRAME bytes each); the other half is for the 200 nested calls
   that Lua allows.

   A task of a main program has the functions of that program, unchecked, as the
   program itself has: the C stacks of its tasks are as large as the program's
   (context.c). */
#include "../../base.h"
#include "../../context.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "library.h"

#if CAST_LUA == 501 && !CAST_LUAJIT

#define QUANTIFIERS "*+-?"

/* Raises if argument 2, the pattern, has more quantifiers than the C stack has
   room for. A short one need not be looked at. */
static void check_pattern(lua_State *L) {
  size_t most = cast_contexts_size() / 2 / CAST_PATTERN_FRAME, n = 0, size;
  const char *p;
  if (lua_type(L, 2) != LUA_TSTRING || lua_objlen(L, 2) <= most) return;
  p = lua_tolstring(L, 2, &size);
  for (size_t i = 0; i < size; i++)
    n += p[i] != '\0' && strchr(QUANTIFIERS, p[i]) != NULL;
  if (n > most) luaL_error(L, "pattern too complex");
}

/* gmatch, gsub and match. */
static int str_checked(lua_State *L) {
  check_pattern(L);
  return cast_libs_pass(L);
}

static int str_find(lua_State *L) {
  if (!lua_toboolean(L, 4)) check_pattern(L); /* else it is a plain text */
  return cast_libs_pass(L);
}

/* Replaces the functions of the table on the top. */
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
