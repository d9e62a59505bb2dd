/* scalar.h - writes and pushes values that need nothing but their bytes.
   SPDX-License-Identifier: MIT

   What encode.c, decode.c and tree.c have in common: see wire.h for the format.
   To write a value that is no object is a look at its type and a copy of its
   bytes, so these are inlined where it is done most. */
#ifndef CAST_SCALAR_H
#define CAST_SCALAR_H

#include "../../base.h"
#include "../compat/compat.h"
#include "packer.h"
#include "wire.h"

/* -- writing -------------------------------------------------------------- */

/* Writes the scalar or short string at idx, of that type, to where there is
   room for WIRE_SHORT bytes; returns its end, or NULL if it is something
   else. */
static CAST_INLINE unsigned char *cast_scalar_put(
  lua_State *L, int idx, int type, unsigned char *at) {
  const char *s;
  size_t size;
  void *pointer;
  switch (type) {
  case LUA_TSTRING:
    s = lua_tolstring(L, idx, &size);
    if (CAST_UNLIKELY(size > WIRE_STR_MAX)) return NULL;
    *at = (unsigned char)(WIRE_STR + size);
    return wire_put_short(at + 1, s, size);
  case LUA_TNUMBER: return wire_put_number(L, idx, at);
  case LUA_TBOOLEAN:
    *at = lua_toboolean(L, idx) ? WIRE_TRUE : WIRE_FALSE;
    return at + 1;
  case LUA_TNIL: *at = WIRE_NIL; return at + 1;
  case LUA_TLIGHTUSERDATA:
    pointer = lua_touserdata(L, idx);
    *at = WIRE_POINTER;
    return wire_put(at + 1, &pointer, sizeof pointer);
  default: return NULL;
  }
}

/* Writes the number at idx if it is of the kind that arrays mostly have: an
   integer where Lua has these, else any number. Else NULL. */
static inline unsigned char *cast_scalar_put_integer(
  lua_State *L, int idx, unsigned char *at) {
#if CAST_LUA >= 503
  if (!lua_isinteger(L, idx)) return NULL;
  return wire_put_int(at, (int64_t)lua_tointeger(L, idx));
#else
  if (lua_type(L, idx) != LUA_TNUMBER) return NULL;
  return wire_put_number(L, idx, at);
#endif
}

/* Is the value at idx this number? */
static inline bool cast_scalar_is(lua_State *L, int idx, uint32_t i) {
#if CAST_LUA >= 503
  return lua_isinteger(L, idx) && lua_tointeger(L, idx) == (lua_Integer)i;
#else
  return lua_type(L, idx) == LUA_TNUMBER && lua_tonumber(L, idx) == (double)i;
#endif
}

/* The key at -2 of a table at `at`, if it continues the array of which `next`
   is the next index: after it come only nils, and Lua takes it for one array,
   too. Else 0. */
static inline uint32_t cast_scalar_index(lua_State *L, int at, uint32_t next) {
#if CAST_LUA >= 503
  if (!lua_isinteger(L, -2)) return 0;
  int64_t key = lua_tointeger(L, -2);
#else
  if (lua_type(L, -2) != LUA_TNUMBER) return 0;
  double number = lua_tonumber(L, -2);
  if (!(number >= 1 && number <= INT32_MAX)) return 0;
  int64_t key = (int64_t)number;
  if ((double)key != number) return 0;
#endif
  if (CAST_LIKELY(key == next)) return next;
  if (key < next || key > 2 * (int64_t)next + 32 || key > INT32_MAX ||
      (size_t)key > lua_rawlen(L, at))
    return 0;
  return (uint32_t)key;
}

/* Does the string at idx begin with "__"? A table with such a key may be a
   metatable. */
static inline bool cast_scalar_is_special(lua_State *L, int idx) {
  size_t size;
  const char *s = lua_tolstring(L, idx, &size);
  return size >= 2 && s[0] == '_' && s[1] == '_';
}

/* -- pushing -------------------------------------------------------------- */

/* The room that a table of n elements is given at once, where `left` bytes of
   the message are left: each element takes one of them at least, so a number
   that is not true cannot make Lua ask for more memory than the message is
   worth. */
static inline int cast_scalar_hint(size_t left, uint32_t n) {
  if (n > left) n = (uint32_t)left;
  return n > INT32_MAX ? INT32_MAX : (int)n;
}

/* So many bytes must be left: guards against a message that is cut off within a
   value. */
static inline void cast_scalar_need(
  lua_State *L, const unsigned char *at, const unsigned char *end, size_t n) {
  if (CAST_UNLIKELY((size_t)(end - at) < n)) cast_decode_corrupt(L);
}

/* Guards against a size that is larger than what is left. */
static inline const unsigned char *cast_scalar_string(lua_State *L, size_t size,
  const unsigned char *at, const unsigned char *end) {
  cast_scalar_need(L, at, end, size);
  lua_pushlstring(L, (const char *)at, size);
  return at + size;
}

/* Pushes the number whose tag was before `at`. */
static inline const unsigned char *cast_scalar_number(lua_State *L,
  unsigned tag, const unsigned char *at, const unsigned char *end) {
  int16_t narrow;
  int32_t wide;
  int64_t widest;
  double v;
  size_t size = tag == WIRE_INT16 ? 2 : tag == WIRE_INT32 ? 4 : 8;
  cast_scalar_need(L, at, end, size);
  switch (tag) {
  case WIRE_INT16:
    memcpy(&narrow, at, sizeof narrow);
    lua_pushinteger(L, narrow);
    break;
  case WIRE_INT32:
    memcpy(&wide, at, sizeof wide);
    lua_pushinteger(L, wide);
    break;
  case WIRE_INT64:
    memcpy(&widest, at, sizeof widest);
    lua_pushinteger(L, (lua_Integer)widest);
    break;
  default:
    memcpy(&v, at, sizeof v);
    lua_pushnumber(L, v);
    break;
  }
  return at + size;
}

/* Pushes the value whose tag was before `at`; returns its end. Raises the
   error of a damaged message if the tag is not one of these, or the value is
   cut off. */
static inline const unsigned char *cast_scalar_push(lua_State *L, unsigned tag,
  const unsigned char *at, const unsigned char *end) {
  void *pointer;
  if (tag >= WIRE_INT) {
    lua_pushinteger(L, (int)tag - WIRE_INT - 1);
    return at;
  }
  if ((tag & 0xe0) == WIRE_STR)
    return cast_scalar_string(L, tag & 0x1f, at, end);
  switch (tag) {
  case WIRE_NIL: lua_pushnil(L); return at;
  case WIRE_FALSE:
  case WIRE_TRUE: lua_pushboolean(L, tag == WIRE_TRUE); return at;
  case WIRE_INT16:
  case WIRE_INT32:
  case WIRE_INT64:
  case WIRE_FLOAT: return cast_scalar_number(L, tag, at, end);
  case WIRE_POINTER:
    cast_scalar_need(L, at, end, sizeof pointer);
    memcpy(&pointer, at, sizeof pointer);
    lua_pushlightuserdata(L, pointer);
    return at + sizeof pointer;
  case WIRE_STR8:
    cast_scalar_need(L, at, end, 1);
    return cast_scalar_string(L, *at, at + 1, end);
  case WIRE_STR32:
    cast_scalar_need(L, at, end, 4);
    return cast_scalar_string(L, wire_get_u32(at), at + 4, end);
  default: cast_decode_corrupt(L);
  }
}

#endif
