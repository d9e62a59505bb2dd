/* pieces.c - what is to be written: a string, or a list of several.
   SPDX-License-Identifier: MIT */
#include "pieces.h"

#include "../../limits.h"
#include "../state/argument.h"

#include <math.h>
#include <string.h>

/* The list below the top has n items and then a nil, at the top. Is that all of
   it? There may be a hole, with items behind it: what the length of a list with
   holes is differs from version to version. A table without items is a list if
   it is empty and plain. */
static bool is_list(lua_State *L, lua_Integer n) {
  if (n == 0 && lua_getmetatable(L, -2)) return false;
  while (lua_next(L, -2) != 0) {
    lua_Number key =
      lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : (lua_Number)0;
    if (n == 0 || (key > (lua_Number)n && key == floor(key))) return false;
    lua_pop(L, 1);
  }
  lua_pushnil(L); /* in place of what lua_next has taken */
  return true;
}

/* What is collected. */
typedef struct collected {
  int arg;         /* the argument that it is of */
  int list;        /* the index of the table that gets the strings */
  uint32_t nlists; /* so far: empty ones take time, too */
} collected;

/* Puts the strings of the value at the top into the table, in order, from item
   `n` on. The value is item `at` of the list that holds it. */
static uint32_t flatten(
  lua_State *L, collected *c, uint32_t n, int at, int depth) {
  int arg = c->arg;
  int type = lua_type(L, -1);
  lua_Integer i;
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    (void)lua_tostring(L, -1);
    lua_rawseti(L, c->list, (int)n + 1);
    return n + 1;
  }
  if (type != LUA_TTABLE)
    cast_arg_error(L, arg,
      lua_pushfstring(L, "list of strings expected, item %d is a %s", at,
        luaL_typename(L, -1)));
  if (depth == CAST_PIECES_DEPTH)
    cast_arg_error(L, arg, "lists in lists, too deep");
  if (++c->nlists > CAST_PIECES_MOST) cast_arg_error(L, arg, "too many lists");
  luaL_checkstack(L, 4, NULL);
  for (i = 1;; i++) {
    lua_rawgeti(L, -1, (int)i);
    if (lua_isnil(L, -1)) break;
    if (n >= CAST_PIECES_MOST) cast_arg_error(L, arg, "too many strings");
    n = flatten(L, c, n, (int)i, depth + 1);
  }
  if (!is_list(L, i - 1))
    cast_arg_error(L, arg,
      lua_pushfstring(L, "list of strings expected, item %d is nil", (int)i));
  lua_pop(L, 2);
  return n;
}

static _Noreturn void refuse(lua_State *L, int arg) {
  cast_arg_type_error(L, arg, "string, number or list of these");
}

void cast_pieces_need(lua_State *L, int arg) {
  if (lua_isnone(L, arg)) refuse(L, arg);
}

uint32_t cast_pieces_read(lua_State *L, int arg, os_bytes **pieces) {
  os_bytes *all;
  uint32_t n;
  collected c = {arg, 0, 0};
  if (lua_type(L, arg) != LUA_TTABLE) {
    if (!lua_isstring(L, arg)) refuse(L, arg);
    (void)lua_tostring(L, arg); /* a number becomes one, before it is copied */
    lua_pushvalue(L, arg);
    all = cast_lua_newuserdata(L, sizeof *all);
    all->at = lua_tolstring(L, -2, &all->size);
    *pieces = all;
    return 1;
  }
  lua_newtable(L);
  c.list = lua_gettop(L);
  lua_pushvalue(L, arg);
  n = flatten(L, &c, 0, 0, 0);
  all = cast_lua_newuserdata(L, (n + 1) * sizeof *all);
  for (uint32_t i = 0; i < n; i++) {
    lua_rawgeti(L, c.list, (int)i + 1);
    all[i].at = lua_tolstring(L, -1, &all[i].size);
    lua_pop(L, 1);
  }
  *pieces = all;
  return n;
}

size_t cast_pieces_size(const os_bytes *pieces, uint32_t n) {
  size_t total = 0;
  for (uint32_t i = 0; i < n; i++) total += pieces[i].size;
  return total;
}

void cast_pieces_copy(const os_bytes *pieces, uint32_t n, char *to) {
  for (uint32_t i = 0; i < n; i++) {
    if (pieces[i].size > 0) memcpy(to, pieces[i].at, pieces[i].size);
    to += pieces[i].size;
  }
}
