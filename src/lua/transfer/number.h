/* number.h - messages of one number, without a call in between.
   SPDX-License-Identifier: MIT

   Most messages are one number or a few. The functions here write and read one
   number as pack.c does (wire.h), but are inlined where values are sent and
   received: there, calls cost as much as the rest of the work. */
#ifndef CAST_NUMBER_H
#define CAST_NUMBER_H

#include "../../base.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "wire.h"

/* The value at idx alone becomes the message *m, which was empty: true. False
   if it is no number, or one that takes more than a look to see: from 5.3 on
   these are floats, which pack.c writes. */
static inline bool cast_number_pack(lua_State *L, int idx, cast_msg *m) {
  unsigned char *at = m->u.bytes;
#if CAST_LUA >= 503
  int64_t v;
  if (!lua_isinteger(L, idx)) return false;
  v = (int64_t)lua_tointeger(L, idx);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (CAST_LIKELY(v == (int32_t)v)) {
    /* One store for header, tag and number, and one for the sizes: read as it
       was written, it comes out of the store buffer (cast_msg_move). */
    m->u.word =
      (WIRE_PLAIN | 1) | WIRE_INT32 << 8 | (uint64_t)(uint32_t)v << 16;
    m->size = 2 + sizeof(int32_t);
    m->nrefs = 0;
    return true;
  }
#endif
  at[0] = WIRE_PLAIN | 1;
  at = wire_put_int(at + 1, v);
#else
  if (lua_type(L, idx) != LUA_TNUMBER) return false;
  at[0] = WIRE_PLAIN | 1;
  at = wire_put_number(L, idx, at + 1);
#endif
  m->size = (uint32_t)(at - m->u.bytes);
  m->nrefs = 0;
  return true;
}

/* The integer behind that tag. */
static inline int64_t cast_number_int(unsigned tag, const unsigned char *at) {
  int16_t narrow;
  int32_t wide;
  int64_t widest;
  if (tag >= WIRE_INT) return (int64_t)tag - WIRE_INT - 1;
  if (tag == WIRE_INT16) return memcpy(&narrow, at, sizeof narrow), narrow;
  if (tag == WIRE_INT32) return memcpy(&wide, at, sizeof wide), wide;
  return memcpy(&widest, at, sizeof widest), widest;
}

/* Pushes the value of *m, which becomes empty, if it is one number: true. The
   stack has room for it. The bounds need no check: an inline message that has
   this header has room for the longest number, whatever its size says. */
static inline bool cast_number_unpack(lua_State *L, cast_msg *m) {
  const unsigned char *at = m->u.bytes;
  double number;
  unsigned tag;
  if (m->size > 1 + WIRE_NUMBER || m->nrefs != 0 || at[0] != (WIRE_PLAIN | 1))
    return false;
  tag = at[1];
  if (tag < WIRE_INT16) return false; /* nil, false or true */
  if (tag == WIRE_FLOAT) {
    memcpy(&number, at + 2, sizeof number);
    lua_pushnumber(L, number);
  } else {
    lua_pushinteger(L, (lua_Integer)cast_number_int(tag, at + 2));
  }
  m->size = 0;
  return true;
}

#endif
