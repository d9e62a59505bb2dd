/* wire.h - how Lua values lie in the bytes of a message.
   SPDX-License-Identifier: MIT

   Written by encode.c, read by decode.c, both of the same process: numbers
   are in the machine's own order and unaligned. What an encoding refers to
   (handles, shared strings, bytecode) lies in the message's references, in
   the order in which the bytes mention them.

     message := header value* tail* | header [HANDLE] outcome
     header  := one byte: how many values, WIRE_PLAIN, WIRE_REFS, WIRE_TREE;
                [u32 the number, if it is over WIRE_COUNT_MAX]
                [u32 how many registered objects, if WIRE_REFS]
     value   := scalar | string | object | BACK seq:u32
     object  := TABLE narr:u32 nrec:u32 [content]
              | CODE nups:u8 [content]           bytecode is a reference
              | SAVE n:u32 constructor arg*(n-1) tail* CALL
              | NAME size:u16 bytes              NAMED: of a table
              | NAME+MOVED                       its box is a reference
     outcome := OUTCOME                  how a task, the next reference, ended:
                                         not from encode.c, see receive.c
     content := value*narr (value value)*nrec [metatable]    of a table
              | [environment] (value | JOIN seq:u32 index:u8)*  of a function
     tail    := BODY seq:u32 narr:u32 nrec:u32 flags:u8 content
              | REMETA seq:u32 seq:u32

   1. Objects are numbered (seq) in the order of their tags, from 0.
   2. An object that anything refers to has WIRE_REG: the decoder keeps only
      these at hand.
   3. An object with WIRE_LATER has no content: a BODY brings it, before the
      end of the list (the message, or the SAVE) that it was put off in. That
      is how depth is bounded. */
#ifndef CAST_WIRE_H
#define CAST_WIRE_H

#include "../compat/compat.h"

#include <math.h>

#define WIRE_COUNT 0x1f    /* header: the number of values ... */
#define WIRE_COUNT_MAX 30u /* ... as it is up to this; 31: a u32 follows */
#define WIRE_TREE \
  0x20                  /* header: only scalars, strings that are not
                              shared, and TABLE without flags */
#define WIRE_REFS 0x40  /* header: some objects are registered */
#define WIRE_PLAIN 0x80 /* header: only nils, booleans and numbers */
#define WIRE_HEADER 9u  /* longest header */

enum {
  WIRE_NIL,
  WIRE_FALSE,
  WIRE_TRUE,
  WIRE_INT16,
  WIRE_INT32,
  WIRE_INT64,
  WIRE_FLOAT,
  WIRE_POINTER, /* light userdata */
  WIRE_STR8,    /* u8 size, bytes */
  WIRE_STR32,   /* u32 size, bytes */
  WIRE_SHARED,  /* string, next reference */
  WIRE_HANDLE,  /* next reference */
  WIRE_GLOBALS, /* the receiver's table of globals */
  WIRE_BACK,
  WIRE_JOIN,
  WIRE_BODY,
  WIRE_CALL,
  WIRE_REMETA,
  WIRE_OUTCOME,
  WIRE_STR = 0x20, /* + size, 0 to 31 */
  WIRE_TABLE = 0x40,
  WIRE_CODE = 0x50,
  WIRE_SAVE = 0x60,
  WIRE_NAME = 0x70,
  WIRE_INT = 0x80 /* + integer + 1, integers -1 to 126 */
};
#define WIRE_STR_MAX 31u
#define WIRE_SHORT (1u + WIRE_STR_MAX) /* no scalar takes more bytes */
#define WIRE_INT_MIN (-1)
#define WIRE_INT_MAX 126

enum { /* low bits of an object's tag, and the flags of a BODY */
  WIRE_REG = 1,
  WIRE_LATER = 2,
  WIRE_META = 4,        /* table: a metatable ends the content */
  WIRE_TRANSFERRED = 2, /* name: none, but userdata whose content moves */
  WIRE_NAMED = 4,       /* name: of a table; else of a function */
  WIRE_PURE = 4,        /* function: no upvalue but the globals, no content */
  WIRE_ENV = 8          /* function: an environment that is not the globals */
};

_Static_assert(sizeof(lua_Number) == sizeof(double), "numbers are doubles");

static inline unsigned char *wire_put(
  unsigned char *at, const void *from, size_t size) {
  memcpy(at, from, size);
  return at + size;
}

/* At most WIRE_STR_MAX bytes, without a call. */
static inline unsigned char *wire_put_short(
  unsigned char *at, const char *from, size_t size) {
  if (size >= 16) {
    memcpy(at, from, 16);
    memcpy(at + size - 16, from + size - 16, 16);
  } else if (size >= 8) {
    memcpy(at, from, 8);
    memcpy(at + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    memcpy(at, from, 4);
    memcpy(at + size - 4, from + size - 4, 4);
  } else if (size > 0) {
    at[0] = (unsigned char)from[0];
    at[size / 2] = (unsigned char)from[size / 2];
    at[size - 1] = (unsigned char)from[size - 1];
  }
  return at + size;
}

static inline unsigned char *wire_put_u32(unsigned char *at, uint32_t v) {
  return wire_put(at, &v, sizeof v);
}

/* Is what was written at `at`, room for WIRE_SHORT bytes, a short string that
   begins with "__"? */
static inline bool wire_is_special(const unsigned char *at) {
  return (*at & 0xe0) == WIRE_STR && *at >= WIRE_STR + 2 && at[1] == '_' &&
         at[2] == '_';
}

/* Is it the tag of a value that needs nothing but its bytes? */
static inline bool wire_is_scalar(unsigned tag) {
  return tag >= WIRE_INT || tag <= WIRE_STR32 || (tag & 0xe0) == WIRE_STR;
}

static inline uint32_t wire_get_u32(const unsigned char *at) {
  uint32_t v;
  memcpy(&v, at, sizeof v);
  return v;
}

#define WIRE_NUMBER 9u /* longest number */

static inline unsigned char *wire_put_int(unsigned char *at, int64_t v) {
  if (v >= WIRE_INT_MIN && v <= WIRE_INT_MAX) {
    *at = (unsigned char)(WIRE_INT + 1 + v);
    return at + 1;
  }
  if (v >= INT16_MIN && v <= INT16_MAX) {
    int16_t narrow = (int16_t)v;
    *at = WIRE_INT16;
    return wire_put(at + 1, &narrow, sizeof narrow);
  }
  if (v >= INT32_MIN && v <= INT32_MAX) {
    int32_t narrow = (int32_t)v;
    *at = WIRE_INT32;
    return wire_put(at + 1, &narrow, sizeof narrow);
  }
  *at = WIRE_INT64;
  return wire_put(at + 1, &v, sizeof v);
}

static inline unsigned char *wire_put_float(unsigned char *at, double v) {
  *at = WIRE_FLOAT;
  return wire_put(at + 1, &v, sizeof v);
}

/* The number at idx, in at most WIRE_NUMBER bytes. Where Lua has one kind of
   number, the small whole ones still travel as integers, for their size; all
   others, and -0.0, as they are. */
static inline unsigned char *wire_put_number(
  lua_State *L, int idx, unsigned char *at) {
#if CAST_LUA >= 503
  if (lua_isinteger(L, idx)) return wire_put_int(at, lua_tointeger(L, idx));
  return wire_put_float(at, lua_tonumber(L, idx));
#else
  double v = lua_tonumber(L, idx);
  if (v >= INT32_MIN && v <= INT32_MAX && v == (double)(int32_t)v &&
      (v != 0.0 || !signbit(v)))
    return wire_put_int(at, (int32_t)v);
  return wire_put_float(at, v);
#endif
}

#endif
