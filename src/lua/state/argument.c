/* argument.c - the arguments of library functions, and errors about them.
   SPDX-License-Identifier: MIT

   The name of a function is looked for among those that the binding has
   registered (cast_binding), when an error is raised: so names cost nothing
   before that. */
#include "argument.h"

#include "../../base.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "handle.h"
#include "state.h"

#include <math.h>

/* -- names ---------------------------------------------------------------- */

/* The name of f in a list; NULL: it is not there. */
static const char *name_in(const luaL_Reg *list, lua_CFunction f) {
  for (; list != NULL && list->name != NULL; list++)
    if (list->func == f) return list->name;
  return NULL;
}

static const char *name_in_class(const cast_class *c, lua_CFunction f) {
  const luaL_Reg *const lists[] = {
    c->methods, c->meta, c->our_methods, c->our_meta};
  const char *name = NULL;
  for (size_t i = 0; name == NULL && i < sizeof lists / sizeof *lists; i++)
    name = name_in(lists[i], f);
  return name;
}

/* The name of the C function that runs, with what Lua knows of the call in *ar;
   NULL: it is none of ours. */
static const char *own_name(lua_State *L, lua_Debug *ar) {
  const cast_state *S = cast_state_find(L);
  const char *name;
  lua_CFunction f;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (S == NULL || !lua_getstack(L, cast_lua_level(L), ar) ||
      !lua_getinfo(L, "fn", ar))
    return NULL;
  f = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  if (f == NULL) return NULL;
  name = name_in(S->binding->functions, f);
  if (name == NULL) name = name_in(S->binding->of_handles, f);
  for (const cast_class *const *c = S->binding->classes;
       name == NULL && *c != NULL; c++)
    name = name_in_class(*c, f);
  for (int i = 0; name == NULL && i < CAST_METHODS; i++)
    name = name_in(S->binding->methods[i], f);
  return name;
}

/* -- errors --------------------------------------------------------------- */

/* In a method call the object is argument 1 for Lua, and not counted here. */
void cast_arg_error(lua_State *L, int i, const char *text) {
  lua_Debug ar;
  const char *name = own_name(L, &ar);
  if (name == NULL)
    luaL_argerror(L, i, text);
  else if (strcmp(ar.namewhat, "method") == 0 && --i == 0)
    cast_lua_error(L, "calling '%s' on bad self (%s)", name, text);
  else
    cast_lua_error(L, "bad argument #%d to '%s' (%s)", i, name, text);
  cast_panic(__FILE__, __LINE__, "cast_lua_error returned");
}

/* What a value is called in an error. May push the text. */
static const char *type_of(lua_State *L, int i) {
  const cast_object *o = cast_handle_test(L, i);
  if (lua_isnone(L, i)) return "no value";
  if (o != NULL) return o->type->name;
  if (cast_handle_at(L, i) != NULL) return "a closed handle";
  if (lua_type(L, i) == LUA_TLIGHTUSERDATA) return "light userdata";
  if (luaL_getmetafield(L, i, "__name") && lua_type(L, -1) == LUA_TSTRING) {
    const char *name = cast_arg_quote(L, -1);
    return strncmp(name, "casting.", 8) == 0 ? name + 8 : name;
  }
  return luaL_typename(L, i);
}

const char *cast_arg_got(lua_State *L, int i) {
  const cast_object *o = cast_handle_test(L, i);
  luaL_checkstack(L, 6, NULL);
  if (lua_type(L, i) == LUA_TNUMBER) return cast_lua_describe(L, i);
  if (lua_isnoneornil(L, i)) return lua_pushliteral(L, "nil"), "nil";
  return lua_pushfstring(
    L, "a %s", o != NULL ? o->type->name : luaL_typename(L, i));
}

/* Control characters are not shown, nor a part of a character of UTF-8. */
const char *cast_arg_quote(lua_State *L, int i) {
  char shown[CAST_QUOTE_MAX];
  size_t size, n;
  const char *text;
  luaL_checkstack(L, 6, NULL);
  (void)cast_lua_describe(L, i); /* pushed */
  text = lua_tolstring(L, -1, &size);
  n = size;
  if (size > sizeof shown)
    for (n = sizeof shown; n > 0 && (text[n] & 0xC0) == 0x80; n--) {}
  for (size_t k = 0; k < n; k++)
    shown[k] = (unsigned char)text[k] < ' ' ? '?' : text[k];
  lua_pushlstring(L, shown, n);
  if (n < size) lua_pushfstring(L, "%s...", lua_tostring(L, -1));
  return lua_tostring(L, -1);
}

const char *cast_arg_word(lua_State *L, int i) {
  if (lua_type(L, i) != LUA_TSTRING) return cast_arg_got(L, i);
  return lua_pushfstring(L, "\"%s\"", cast_arg_quote(L, i));
}

/* Is the value a handle of a state that closes, or has closed? */
static bool is_dead(lua_State *L, int i) {
  const cast_handle *h = cast_handle_at(L, i);
  const cast_state *S = cast_state_find(L);
  return h != NULL && h->object == NULL && (S == NULL || S->closing);
}

void cast_arg_type_error(lua_State *L, int i, const char *expected) {
  i = lua_absindex(L, i);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  /* Such a handle is no misuse: 5.1 finalizes a handle before a finalizer of
     the program that uses it. */
  if (is_dead(L, i)) cast_raise_closed(L);
  cast_arg_error(
    L, i, lua_pushfstring(L, "%s expected, got %s", expected, type_of(L, i)));
}

void cast_misuse(lua_State *L, const char *text) {
  lua_Debug ar;
  const char *name = own_name(L, &ar);
  if (name != NULL) cast_lua_error(L, "%s: %s", name, text);
  cast_lua_error(L, "%s", text);
  cast_panic(__FILE__, __LINE__, "cast_lua_error returned");
}

void cast_raise_closed(lua_State *L) {
  if (cast_forked) cast_lua_error(L, CAST_FORKED_TEXT);
  cast_misuse(L, cast_state_find(L) != NULL
                   ? "the session has been closed"
                   : "casting has closed in this Lua state");
}

/* -- checks --------------------------------------------------------------- */

lua_Number cast_arg_number(lua_State *L, int i) {
  if (CAST_UNLIKELY(!lua_isnumber(L, i))) cast_arg_type_error(L, i, "number");
  return lua_tonumber(L, i);
}

lua_Number cast_arg_count(
  lua_State *L, int i, const char *what, lua_Number most) {
  lua_Number n = cast_arg_number(L, i);
  if (CAST_LIKELY(
        (n >= 0 && n <= most && n == floor(n)) || n == (lua_Number)HUGE_VAL))
    return n;
  lua_pushvalue(L, i); /* lua_tostring would convert the argument */
  cast_arg_error(L, i,
    lua_pushfstring(L, "%s must be a non-negative integer or math.huge, got %s",
      what, lua_tostring(L, -1)));
}

const char *cast_arg_string(lua_State *L, int i, size_t *size) {
  const char *s = lua_tolstring(L, i, size);
  if (CAST_UNLIKELY(s == NULL)) cast_arg_type_error(L, i, "string");
  return s;
}

const char *cast_arg_text(lua_State *L, int i) {
  size_t n;
  const char *s = cast_arg_string(L, i, &n);
  cast_arg_check(L, strlen(s) == n, i, "a name has no zero bytes");
  return s;
}

bool cast_arg_is(lua_State *L, int i, const char *text) {
  size_t n = strlen(text), size;
  const char *s;
  if (lua_type(L, i) != LUA_TSTRING) return false;
  s = lua_tolstring(L, i, &size);
  return size == n && memcmp(s, text, n) == 0;
}

cast_chars cast_arg_string_or_none(lua_State *L, int i) {
  cast_chars s = {NULL, 0};
  if (!lua_isnoneornil(L, i)) s.at = cast_arg_string(L, i, &s.size);
  return s;
}

static void check_type(lua_State *L, int i, int type) {
  if (CAST_UNLIKELY(lua_type(L, i) != type))
    cast_arg_type_error(L, i, lua_typename(L, type));
}

void cast_arg_table(lua_State *L, int i) { check_type(L, i, LUA_TTABLE); }

void cast_arg_function(lua_State *L, int i) { check_type(L, i, LUA_TFUNCTION); }

void cast_arg_any(lua_State *L, int i) {
  if (CAST_UNLIKELY(lua_isnone(L, i))) cast_arg_error(L, i, "value expected");
}

uint64_t cast_deadline(lua_State *L, int i) {
  double seconds;
  if (lua_isnoneornil(L, i)) return OS_FOREVER;
  seconds = cast_arg_number(L, i);
  cast_arg_check(
    L, seconds >= 0, i, "timeout must be a number of seconds, zero or more");
  return cast_deadline_in(seconds);
}
