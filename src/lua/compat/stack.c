/* stack.c - a coroutine's stack: how deep it is, and what it is as text.
   SPDX-License-Identifier: MIT

   The text is what luaL_traceback of the same version would make, on which
   tests of programs may depend. It goes into a buffer of C, see stack.h. */
#include "stack.h"

#include "../../base.h"
#include "../../buffer.h"
#include "compat.h"

/* How many levels are shown at the top and at the bottom of a deep stack: as in
   luaL_traceback of the version. */
#if CAST_LUA >= 503
#define FIRST 10
#define LAST 11
#else
#define FIRST 12
#define LAST 10
#endif

/* A name, of which not more is shown: a field may be called anything. */
#define NAME "%.200s"

int cast_stack_depth(lua_State *co) {
  lua_Debug ar;
  int known = 0, beyond = 1;
  while (lua_getstack(co, beyond - 1, &ar)) {
    known = beyond;
    beyond *= 2;
  }
  while (beyond - known > 1) {
    int middle = known + (beyond - known) / 2;
    if (lua_getstack(co, middle - 1, &ar))
      known = middle;
    else
      beyond = middle;
  }
  return known;
}

/* -- what a function is called -------------------------------------------- */

#if CAST_LUA >= 502

/* Adds the function at index `at` as a field of the module whose name and table
   are on the top. False: it is no field of that. */
static bool add_member(cast_buffer *b, lua_State *L, int at) {
  int module = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, module) != 0; lua_pop(L, 1)) {
    const char *name = lua_tostring(L, module - 1);
    if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, at)) continue;
    if (strcmp(name, "_G") == 0)
      cast_buffer_form(b, "function '" NAME "'", lua_tostring(L, -2));
    else
      cast_buffer_form(
        b, "function '" NAME "." NAME "'", name, lua_tostring(L, -2));
    return true;
  }
  return false;
}

/* The same for the first loaded module of which it is a field. */
static bool add_loaded(cast_buffer *b, lua_State *L, int at) {
  int loaded = at + 1;
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (!lua_istable(L, loaded)) return false;
  for (lua_pushnil(L); lua_next(L, loaded) != 0; lua_settop(L, loaded + 1)) {
    if (lua_type(L, loaded + 1) != LUA_TSTRING) continue;
    if (lua_rawequal(L, loaded + 2, at)) {
      cast_buffer_form(b, "function '" NAME "'", lua_tostring(L, loaded + 1));
      return true;
    }
    if (lua_istable(L, loaded + 2) && add_member(b, L, at)) return true;
  }
  return false;
}

/* The same for the function of *ar, a level of co. */
static bool add_global(
  cast_buffer *b, lua_State *L, lua_State *co, lua_Debug *ar) {
  int top = lua_gettop(L);
  bool found;
  lua_getinfo(co, "f", ar);
  if (co != L) lua_xmove(co, L, 1);
  found = add_loaded(b, L, top + 1);
  lua_settop(L, top);
  return found;
}

/* Adds what the function of a level is called. */
static void add_function(
  cast_buffer *b, lua_State *L, lua_State *co, lua_Debug *ar) {
  bool named = *ar->namewhat != '\0';
  if ((CAST_LUA >= 503 || (!named && *ar->what == 'C')) &&
      add_global(b, L, co, ar))
    return;
  if (named)
    cast_buffer_form(b, "%s '" NAME "'",
      CAST_LUA >= 503 ? ar->namewhat : "function", ar->name);
  else if (*ar->what == 'm')
    cast_buffer_add(b, "main chunk");
  else if (*ar->what == 'C')
    cast_buffer_add(b, "?");
  else
    cast_buffer_form(b, "function <%s:%d>", ar->short_src, ar->linedefined);
}

static void add_level(
  cast_buffer *b, lua_State *L, lua_State *co, lua_Debug *ar) {
  lua_getinfo(co, "Slnt", ar);
  cast_buffer_form(b, "\n\t%s:", ar->short_src);
  if (ar->currentline > 0) cast_buffer_form(b, "%d:", ar->currentline);
  cast_buffer_add(b, " in ");
  add_function(b, L, co, ar);
  if (ar->istailcall) cast_buffer_add(b, "\n\t(...tail calls...)");
}

#else

static void add_level(
  cast_buffer *b, lua_State *L, lua_State *co, lua_Debug *ar) {
  CAST_UNUSED(L);
  lua_getinfo(co, "Snl", ar);
  cast_buffer_form(b, "\n\t%s:", ar->short_src);
  if (ar->currentline > 0) cast_buffer_form(b, "%d:", ar->currentline);
  if (*ar->namewhat != '\0')
    cast_buffer_form(b, " in function '" NAME "'", ar->name);
  else if (*ar->what == 'm')
    cast_buffer_add(b, " in main chunk");
  else if (*ar->what == 'C' || *ar->what == 't')
    cast_buffer_add(b, " ?");
  else
    cast_buffer_form(b, " in function <%s:%d>", ar->short_src, ar->linedefined);
}

#endif

/* -- the whole ------------------------------------------------------------ */

void cast_stack_write(cast_buffer *b, lua_State *L, lua_State *co, int level) {
  lua_Debug ar;
  size_t from = b->size;
  int last = cast_stack_depth(co) - 1, skip = -1;
  if (last - level > FIRST + LAST) skip = level + FIRST;
  cast_buffer_add(b, "stack traceback:");
  for (; lua_getstack(co, level, &ar); level++) {
    if (level == skip) {
      level = last - LAST;
      cast_buffer_add(b, "\n\t...");
      if (CAST_LUA >= 504)
        cast_buffer_form(b, "\t(skipping %d levels)", level + 1 - skip);
    } else {
      add_level(b, L, co, &ar);
    }
  }
  cast_buffer_tame(b, from);
}
