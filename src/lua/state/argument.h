/* argument.h - the arguments of library functions, and errors about them.
   SPDX-License-Identifier: MIT

   As luaL_argerror and the luaL_check* functions, except that errors name the
   function as the manual does. Lua knows only the name of the variable that it
   was called by, and none at all where a C function has called it
   (`pcall(ch.receive, ch, -1)`). */
#ifndef CAST_ARGUMENT_H
#define CAST_ARGUMENT_H

#include "../../base.h"
#include "../compat/compat.h"

/* "bad argument #i to 'f' (text)". Arguments are counted as the call is
   written: without the object, if that is a method call. */
_Noreturn void cast_arg_error(lua_State *L, int i, const char *text);
/* The same, with "X expected, got Y" for the text. */
_Noreturn void cast_arg_type_error(lua_State *L, int i, const char *expected);
static inline void cast_arg_check(
  lua_State *L, bool ok, int i, const char *text) {
  if (CAST_UNLIKELY(!ok)) cast_arg_error(L, i, text);
}

/* Pushes what "..., got X" says of a value that is refused: a number is quoted,
   of anything else the type is named, so that a number and a string of its
   digits differ. The value is not changed. */
const char *cast_arg_got(lua_State *L, int i);

/* The same where a word is expected: a string is quoted. */
const char *cast_arg_word(lua_State *L, int i);
/* Pushes how an error shows a value that somebody has given: CAST_QUOTE_MAX
   bytes of it at most, on one line. The value is not changed. */
const char *cast_arg_quote(lua_State *L, int i);

/* Argument i, an integer from 0 to `most`, or math.huge. Else raises "what must
   be a non-negative integer or math.huge, got X". */
lua_Number cast_arg_count(
  lua_State *L, int i, const char *what, lua_Number most);

/* The argument i of that type; these raise if it is missing or of another. */
lua_Number cast_arg_number(lua_State *L, int i);
const char *cast_arg_string(lua_State *L, int i, size_t *size);
/* The same, for the system: raises also if a zero byte would cut it. */
const char *cast_arg_text(lua_State *L, int i);
/* Is the value at i that string, to its last byte, and no number? */
bool cast_arg_is(lua_State *L, int i, const char *text);
void cast_arg_table(lua_State *L, int i);
void cast_arg_function(lua_State *L, int i);
void cast_arg_any(lua_State *L, int i);
cast_chars cast_arg_string_or_none(lua_State *L, int i);

/* Raises "f: text", about misuse of the function f that is not one of an
   argument. */
_Noreturn void cast_misuse(lua_State *L, const char *text);
/* The deadline of the timeout at argument i, a number of seconds, or nil or
   none: OS_FOREVER. Raises. */
uint64_t cast_deadline(lua_State *L, int i);

#endif
