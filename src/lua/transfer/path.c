/* path.c - text of a path to a value in a message.
   SPDX-License-Identifier: MIT

   Keys are the program's: they may be long, and have any bytes. They are shown
   so that the error stays one line of text, and cut off where they are long.

   Owner: the caller, as of the struct. */
#include "path.h"

#include "../../limits.h"
#include "../compat/compat.h"

#include <ctype.h>
#include <stdio.h>

/* snprintf returned n: what did not fit is cut off. */
static void added(cast_path *path, int n) {
  size_t room = sizeof path->text - path->size;
  if (n > 0) path->size += (size_t)n < room ? (size_t)n : room - 1;
}

#define add(path, ...)                              \
  added(path, snprintf((path)->text + (path)->size, \
                sizeof(path)->text - (path)->size, __VA_ARGS__))

/* What comes between the number and the first step. */
static void add_step(cast_path *path) {
  if (!path->inside) add(path, ": ");
  path->inside = true;
}

void cast_path_start(cast_path *path, const char *what, int number) {
  path->size = 0;
  path->inside = false;
  if (number > 0)
    add(path, "%s %d", what, number);
  else
    add(path, "%s", what);
}

/* Can the key be written behind a dot, as in Lua? */
static bool is_name(const char *s, size_t size) {
  if (size == 0 || size > CAST_PATH_KEY_MAX || isdigit((unsigned char)s[0]))
    return false;
  for (size_t i = 0; i < size; i++)
    if (!isalnum((unsigned char)s[i]) && s[i] != '_') return false;
  return true;
}

/* Control characters, and what would end the text, as in a Lua string. */
static void add_quoted(cast_path *path, const char *s, size_t size) {
  add(path, "[\"");
  for (size_t i = 0; i < size && i < CAST_PATH_KEY_MAX; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c < 32 || c == 127 || c == '"' || c == '\\')
      add(path, "\\%03d", c);
    else
      add(path, "%c", c);
  }
  add(path, "%s", size > CAST_PATH_KEY_MAX ? "...\"]" : "\"]");
}

/* Integers without a decimal point, also where Lua has one kind of number. */
static void add_number(cast_path *path, lua_State *L, int idx) {
  double v = lua_tonumber(L, idx);
  if (lua_isinteger(L, idx))
    add(path, "[%lld]", (long long)lua_tointeger(L, idx));
  else
    add(path, "[%.14g]", v);
}

/* A key that is an object is shown by its type: it has no other text that could
   be had without running Lua code. */
void cast_path_key(cast_path *path, lua_State *L, int idx) {
  size_t size;
  const char *s;
  add_step(path);
  switch (lua_type(L, idx)) {
  case LUA_TSTRING:
    s = lua_tolstring(L, idx, &size);
    if (is_name(s, size))
      add(path, ".%s", s);
    else
      add_quoted(path, s, size);
    break;
  case LUA_TNUMBER: add_number(path, L, idx); break;
  case LUA_TBOOLEAN:
    add(path, "%s", lua_toboolean(L, idx) ? "[true]" : "[false]");
    break;
  default: add(path, "[%s]", luaL_typename(L, idx)); break;
  }
}

void cast_path_index(cast_path *path, uint32_t index) {
  add_step(path);
  add(path, "[%lu]", (unsigned long)index);
}

void cast_path_word(cast_path *path, const char *word, const char *name) {
  if (path->inside) add(path, " ");
  add_step(path);
  if (name != NULL)
    add(path, "%s '%.*s'", word, CAST_PATH_KEY_MAX, name);
  else
    add(path, "%s", word);
}

void cast_path_gap(cast_path *path, uint32_t steps) {
  if (!path->inside) add(path, ":");
  path->inside = true;
  if (steps > 0)
    add(path, " ... %lu levels ... ", (unsigned long)steps);
  else
    add(path, "... ");
}
