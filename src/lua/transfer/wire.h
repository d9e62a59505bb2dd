/* wire.h - how Lua values lie in the bytes of a message.
   SPDX-License-Identifier: MIT

   This is the one place for the format. Written by encode.c and what it uses,
   by tree.c and by pack.c (scalars); read by decode.c, tree.c and pack.c, and
   by ../api/api_read.c for C. Some short messages are written elsewhere:
   ../task/failure.c, ../lib/lib_monitor.c. A message never leaves the process,
   so numbers are in the machine's own order, unaligned, and there is no version
   number. What an encoding refers to (handles, shared strings, bytecode, boxes)
   lies in the message's references, in the order in which the bytes mention
   them; "next reference" below means the next one in that order.

     message := header value* body* remeta*
     header  := one byte: how many values, WIRE_PLAIN, WIRE_REFS, WIRE_TREE;
                [u32 the number, if it is over WIRE_COUNT_MAX]
                [u32 how many registered objects, if WIRE_REFS];
                or one byte: how many values, WIRE_MONITOR
     value   := scalar | text | object
              | SHARED              a large string: the next reference
              | HANDLE              of a channel, task ...: the next reference
              | GLOBALS             the receiver's table of globals
              | BACK seq:u32        an object that has come already
              | OUTCOME             how a task, the next reference, ended
     scalar  := NIL | FALSE | TRUE
              | INT + 1 + i                  integers from -1 to 126
              | INT16 i16 | INT32 i32 | INT64 i64 | FLOAT double
              | POINTER address              light userdata
     text    := STR + size bytes             strings of 0 to 31 bytes
              | STR8 size:u8 bytes | STR32 size:u32 bytes
     object  := TABLE narr:u32 nrec:u32 [content]
              | CODE nups:u8 [content]       its bytecode: the next reference
              | SAVE n:u32 constructor argument*(n-1) body* CALL
              | NAME size:u16 bytes          NAMED: of a table
              | NAME+TRANSFERRED             its box: the next reference
     content := value*narr (value value)*nrec [metatable]    of a table
              | [environment] (value | join)*nups            of a function
     join    := JOIN seq:u32 index:u8        the same variable as that upvalue
                                             of another function
     body    := BODY seq:u32 narr:u32 nrec:u32 flags:u8 content
                                             of a function: narr is nups
     remeta  := REMETA seq:u32 seq:u32       an object gets its metatable again

   1. Objects are numbered (seq) in the order of their tags, from 0.
   2. An object that anything refers to by number has WIRE_REG: the decoder
      keeps only these at hand.
   3. An object with WIRE_LATER has no content: a BODY brings it, before the
      end of the list (the message, or the SAVE) that it was put off in. That
      is how depth is bounded, of both stacks and on both sides.
   4. The constructor of a SAVE is called at CALL, with complete arguments: what
      they lead to has had its BODY by then, also if it was put off before the
      SAVE. Only objects that contain the SAVE itself are not complete.
   5. REMETA is there for objects whose metatable had not got its __gc when it
      was set: Lua looks for that at this moment only.
   6. OUTCOME is only written by lib_monitor.c, as the last value of a message
      whose header has WIRE_MONITOR, and made into values by receive.c. To
      others it is the task's handle. The header alone tells: the bytes behind
      it may be those of values that a program has sent. */
#ifndef CAST_WIRE_H
#define CAST_WIRE_H

#include "../compat/compat.h"

#include <math.h>

/* -- the header's first byte ---------------------------------------------- */

#define WIRE_COUNT 0x1f    /* the number of values ... */
#define WIRE_COUNT_MAX 30u /* ... as it is up to this; 31: a u32 follows */
/* Only scalars, strings that are not shared, and TABLE without flags: tree.c
   can read it. */
#define WIRE_TREE 0x20
#define WIRE_REFS 0x40  /* some objects are registered, or there is a SAVE */
#define WIRE_PLAIN 0x80 /* only nils, booleans and numbers */
/* A monitor's. No message of values has both of these. */
#define WIRE_MONITOR (WIRE_PLAIN | WIRE_TREE)
#define WIRE_HEADER 9u /* bytes of the longest header */

/* -- tags ----------------------------------------------------------------- */

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
  /* Tags up to here need nothing but their bytes: wire_is_scalar. */
  WIRE_SHARED,  /* a string, which is the next reference */
  WIRE_HANDLE,  /* of the next reference */
  WIRE_GLOBALS, /* the receiver's table of globals */
  WIRE_BACK,    /* an object that has a number already */
  WIRE_JOIN,    /* instead of an upvalue: the variable of another one */
  WIRE_BODY,    /* the content of an object with WIRE_LATER */
  WIRE_CALL,    /* ends a SAVE: calls the constructor */
  WIRE_REMETA,  /* sets a metatable once more */
  WIRE_OUTCOME, /* of a task, which is the next reference */
  /* These leave room for more in the tag itself. */
  WIRE_STR = 0x20,   /* + size, 0 to 31 */
  WIRE_TABLE = 0x40, /* + flags */
  WIRE_CODE = 0x50,  /* + flags; a function written in Lua */
  WIRE_SAVE = 0x60,  /* + flags; an object that had a __save */
  WIRE_NAME = 0x70,  /* + flags; what the receiver has under that name */
  WIRE_INT = 0x80    /* + integer + 1, integers -1 to 126 */
};
#define WIRE_STR_MAX 31u
#define WIRE_SHORT (1u + WIRE_STR_MAX) /* bytes of the longest scalar or STR */
#define WIRE_INT_MIN (-1)
#define WIRE_INT_MAX 126

enum {            /* low bits of an object's tag, and the flags of a BODY */
  WIRE_REG = 1,   /* something refers to it by number */
  WIRE_LATER = 2, /* its content comes in a BODY */
  WIRE_META = 4,  /* table: a metatable ends the content */
  WIRE_TRANSFERRED = 2, /* name: none, but userdata whose content moves */
  WIRE_NAMED = 4,       /* name: of a table; else of a function */
  WIRE_PURE = 4,        /* function: no upvalue but the globals, no content */
  WIRE_ENV = 8          /* function: an environment that is not the globals */
};

_Static_assert(sizeof(lua_Number) == sizeof(double), "numbers are doubles");

/* -- writing and reading -------------------------------------------------- */

/* What is called wire_put* writes to where there is room, and returns its end;
   none of them checks that. */

static inline unsigned char *wire_put(
  unsigned char *at, const void *from, size_t size) {
  memcpy(at, from, size);
  return at + size;
}

/* At most WIRE_STR_MAX bytes, without a call: a few moves of fixed size, which
   overlap in the middle. memcpy of a size that is not known costs more than the
   rest of a short string. */
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

/* Is what was written at `at`, where there is room for WIRE_SHORT bytes, a
   short string that begins with "__"? A table with such a key may be a
   metatable. */
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

#define WIRE_NUMBER 9u /* bytes of the longest number */

/* In as few bytes as it takes. */
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
