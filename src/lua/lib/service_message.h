/* service_message.h - short messages to a service, and back.
   SPDX-License-Identifier: MIT

   Most calls have an integer as argument and as result. Their messages are
   those that pack.c would write, written and read with no call in between, as
   in number.h: callgrind counts a fifth less for a call. */
#ifndef CAST_SERVICE_MESSAGE_H
#define CAST_SERVICE_MESSAGE_H

#include "../../base.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "../state/state.h"
#include "../transfer/number.h"
#include "../transfer/wire.h"

#if CAST_LUA >= 503 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* The first bytes of the message of true and an integer of 32 bits. */
#define CAST_SERVICE_ANSWER \
  ((uint64_t)((WIRE_PLAIN | 2) | WIRE_TRUE << 8 | WIRE_INT32 << 16))

/* The answer true and the integer at 2, the only result. */
static inline bool cast_service_pack_answer(lua_State *L, cast_msg *m) {
  int64_t v;
  if (lua_gettop(L) != 2 || !lua_isinteger(L, 2)) return false;
  v = (int64_t)lua_tointeger(L, 2);
  if (v != (int32_t)v) return false;
  m->u.word = CAST_SERVICE_ANSWER | (uint64_t)(uint32_t)v << 24;
  m->size = 3 + sizeof(int32_t);
  m->nrefs = 0;
  return true;
}

static inline bool cast_service_unpack_answer(lua_State *L, cast_msg *m) {
  uint64_t word = m->u.word;
  if (m->size != 3 + sizeof(int32_t) ||
      (word & 0xffffff) != CAST_SERVICE_ANSWER || m->nrefs != 0)
    return false;
  m->size = 0;
  lua_pushboolean(L, 1);
  lua_pushinteger(L, (int32_t)(uint32_t)(word >> 24));
  return true;
}

/* The name at 2, with the integer at 3 if that is the only argument. */
static inline bool cast_service_pack_request(
  lua_State *L, const cast_state *S, cast_msg *m) {
  unsigned char *at = m->u.bytes;
  size_t size;
  const char *name;
  if (lua_gettop(L) != 3 || !lua_isinteger(L, 3)) return false;
  if (CAST_UNLIKELY(S->session.account != NULL)) return false;
  name = lua_tolstring(L, 2, &size);
  if (size > WIRE_STR_MAX) return false;
  *at++ = 2;
  *at++ = (unsigned char)(WIRE_STR + size);
  at = wire_put_short(at, name, size);
  at = wire_put_int(at, (int64_t)lua_tointeger(L, 3));
  m->size = (uint32_t)(at - m->u.bytes);
  m->nrefs = 0;
  return true;
}

/* Pushes the name, which is most often that of the last call: the function's
   third upvalue. */
static inline void cast_service_push_name(
  lua_State *L, const char *name, size_t size) {
  size_t last_size;
  const char *last = lua_tolstring(L, lua_upvalueindex(3), &last_size);
  if (CAST_LIKELY(size == last_size && memcmp(name, last, size) == 0)) {
    lua_pushvalue(L, lua_upvalueindex(3));
    return;
  }
  lua_pushlstring(L, name, size);
  lua_pushvalue(L, -1);
  lua_replace(L, lua_upvalueindex(3));
}

/* Makes the values out of a copy: a finalizer may run meanwhile, and use the
   task's waiter. */
static inline bool cast_service_unpack_request(lua_State *L, cast_msg *m) {
  cast_msg copy;
  const unsigned char *at = copy.u.bytes, *after;
  size_t size;
  if (m->nrefs != 0 || m->size > CAST_MSG_INLINE || m->u.bytes[0] != 2 ||
      (m->u.bytes[1] & ~WIRE_STR_MAX) != WIRE_STR)
    return false;
  copy.u = m->u;
  size = at[1] & WIRE_STR_MAX;
  after = at + 2 + size;
  if (*after < WIRE_INT && *after != WIRE_INT16 && *after != WIRE_INT32 &&
      *after != WIRE_INT64)
    return false;
  m->size = 0;
  cast_service_push_name(L, (const char *)at + 2, size);
  lua_pushinteger(L, (lua_Integer)cast_number_int(*after, after + 1));
  return true;
}
#else
#define cast_service_pack_answer(L, m) false
#define cast_service_unpack_answer(L, m) false
#define cast_service_pack_request(L, S, m) false
#define cast_service_unpack_request(L, m) false
#endif

#endif
