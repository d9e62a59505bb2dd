/* pack.c - the packer of a state, and messages of scalars only.
   SPDX-License-Identifier: MIT

   Most messages are a few numbers, booleans and short strings. These are
   written straight into the message here, without the packer and without asking
   for memory. So nothing can fail, and no other code runs in between. All
   others: encode.c, decode.c.

   Owner: the state; see packer.h. */
#include "pack.h"

#include "../../base.h"
#include "../../context.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../compat/peek.h"
#include "../compat/stock.h"
#include "../state/handle.h"
#include "bytecode.h"
#include "names.h"
#include "packer.h"
#include "sharedstr.h"
#include "transferable.h"
#include "wire.h"

/* -- life ----------------------------------------------------------------- */

/* Finalizers that run later find it closed, and remember nothing. */
void cast_packer_close(cast_packer *p, bool stuck) {
  p->closed = true;
  p->stuck = stuck;
  cast_sharedstr_fini(p);
  cast_bytecode_fini(p);
  cast_encoder_close(p);
  p->freed = true;
  cast_names_fini(p);
  p->sharedstrs = cast_packer_drop_array(p->sharedstrs);
  p->recent = cast_packer_drop_array(p->recent);
  p->loaded = cast_packer_drop_array(p->loaded);
}

/* The registry has the packer, so it is finalized only when the state closes.
   If tasks of a host still unwind then (`end`), it is closed by what lets
   them. */
static int packer_gc(lua_State *L) {
  cast_packer *p = lua_touserdata(L, 1);
  if (p->end == NULL || p->end(L, true)) cast_packer_close(p, false);
  return 0;
}

static void set_string(lua_State *L, int t, int slot, const char *s) {
  lua_pushstring(L, s);
  lua_rawseti(L, t, slot);
}

/* Fills the packer's table at t. */
static void open_slots(cast_packer *p, lua_State *L, int t) {
  for (int i = 1; i <= CAST_SLOT_LAST; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, t, i);
  }
  lua_pushglobaltable(L);
  p->globals = lua_topointer(L, -1);
  lua_rawseti(L, t, CAST_SLOT_GLOBALS);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L); /* no libraries at all */
  }
  p->modules = lua_topointer(L, -1);
  lua_rawseti(L, t, CAST_SLOT_LOADED);
  set_string(L, t, CAST_SLOT_SAVE, "__save");
  set_string(L, t, CAST_SLOT_TRANSFER, "__transfer");
  set_string(L, t, CAST_SLOT_INDEX, "__index");
  set_string(L, t, CAST_SLOT_GC, "__gc");
  set_string(L, t, CAST_SLOT_REQUIRE, "require");
  set_string(L, t, CAST_SLOT_CLOSE, "__close");
}

/* All slots are made at once, and the metatable last: an error before leaves a
   userdata that has nothing to be freed. */
cast_packer *cast_packer_open(lua_State *L, cast_runner *const *runner) {
  int top = lua_gettop(L);
  cast_packer_stack(L, LUA_MINSTACK);
  lua_createtable(L, CAST_SLOT_LAST, 0);
  cast_packer *p = cast_lua_newuserdata(L, sizeof *p);
  memset(p, 0, sizeof *p);
  p->runner = runner;
  p->peek = cast_peek_learn();
  cast_stock_learn();
  p->sharedstrs = cast_packer_none();
  p->recent = cast_packer_none();
  p->loaded = cast_packer_none();
  cast_list_init(&p->codes);
  cast_list_init(&p->encoders);
  open_slots(p, L, top + 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, packer_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, top + 2);
  lua_rawseti(L, top + 1, CAST_SLOT_PACKER);
  lua_pushboolean(L, 0);
#if CAST_LUA < 504
  cast_packer_set(L, p->strcache_ref);
  cast_packer_set(L, p->ref);
#else
  p->strcache_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  p->ref = luaL_ref(L, LUA_REGISTRYINDEX);
#endif
  lua_settop(L, top);
  return p;
}

/* The notes of names are made anew with it at the next message. */
void cast_packer_own(cast_packer *p, lua_State *L) {
  cast_packer_stack(L, 2);
  cast_packer_table(p, L);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, CAST_SLOT_OWN);
  lua_pop(L, 1);
  p->own = lua_topointer(L, -1);
  p->loads = 0;
}

void cast_packer_push(cast_packer *p, lua_State *L, int slot) {
  cast_packer_table(p, L);
  cast_packer_get(L, -1, slot);
  lua_remove(L, -2);
}

/* -- scalars -------------------------------------------------------------- */

/* Writes the scalar or short string at idx before `end`. Returns where it
   ends, or NULL if it is another type or there is no room. */
static unsigned char *put_inline(lua_State *L, int idx, unsigned char *at,
  const unsigned char *end, bool *plain) {
  unsigned char number[WIRE_NUMBER];
  const char *s;
  size_t size;
  switch (lua_type(L, idx)) {
  case LUA_TNIL:
    *number = WIRE_NIL;
    size = 1;
    break;
  case LUA_TBOOLEAN:
    *number = lua_toboolean(L, idx) ? WIRE_TRUE : WIRE_FALSE;
    size = 1;
    break;
  case LUA_TNUMBER:
    size = (size_t)(wire_put_number(L, idx, number) - number);
    break;
  case LUA_TSTRING:
    s = lua_tolstring(L, idx, &size);
    if (size > WIRE_STR_MAX || size + 1 > (size_t)(end - at)) return NULL;
    *plain = false;
    *at++ = (unsigned char)(WIRE_STR + size);
    return wire_put(at, s, size);
  default: return NULL;
  }
  if (size > (size_t)(end - at)) return NULL;
  return wire_put(at, number, size);
}

/* An inline message has no room for references, nor for many values. */
bool cast_pack_inline(lua_State *L, int first, int n, cast_msg *out) {
  unsigned char *at = out->u.bytes + 1;
  const unsigned char *end = out->u.bytes + CAST_MSG_INLINE;
  bool plain = true;
  if (n > (int)WIRE_COUNT_MAX) return false;
  for (int i = 0; i < n; i++) {
    at = put_inline(L, first + i, at, end, &plain);
    if (at == NULL) return false;
  }
  out->u.bytes[0] = (unsigned char)(n | (plain ? WIRE_PLAIN : 0));
  out->size = (uint32_t)(at - out->u.bytes);
  out->nrefs = 0;
  return true;
}

/* Raises if there are too many values: a receiver may have less room on its
   stack than the sender. */
static void check_count(
  cast_packer *p, lua_State *L, int n, cast_pack_how how) {
  int most = CAST_LUA == 501 ? CAST_MESSAGE_VALUES_FEW : CAST_MESSAGE_VALUES;
  if (CAST_LIKELY(n <= most)) return;
  p->packing = NULL;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (cast_pack_tries(how))
    lua_pushliteral(L, "");
  else
    cast_lua_where(L);
  lua_pushfstring(
    L, "cannot send %d values: a message has at most %d", n, most);
  lua_concat(L, 2);
  lua_error(L);
}

void cast_pack_as(cast_packer *p, lua_State *L, int first, int n,
  const char *what, int base, cast_pack_how how, cast_msg *out) {
  CAST_ASSERT(n >= 1 && cast_msg_is_empty(out));
  first = lua_absindex(L, first);
  if (CAST_LIKELY(p->account == NULL && cast_pack_inline(L, first, n, out)))
    return;
  check_count(p, L, n, how);
  cast_encode(p, L, first, n, what, base, how, out);
}

void cast_pack(cast_packer *p, lua_State *L, int first, int n, const char *what,
  int base, cast_msg *out) {
  cast_pack_as(p, L, first, n, what, base, CAST_PACK_SEND, out);
}

void cast_pack_undo(cast_packer *p, lua_State *L, cast_msg *m) {
  for (uint32_t i = 0; i < m->nrefs; i++) {
    cast_object *o = cast_msg_items(m)[i];
    const cast_giving *giving = o != NULL ? cast_handle_giving(L, o) : NULL;
    if (giving != NULL) giving->undo(L, o);
  }
  cast_transferable_undo(p, L, m);
}

void cast_pack_results(cast_packer *p, cast_object *task) { p->packing = task; }

/* A timer's thread has no Lua state. */
void cast_pack_number(double v, cast_msg *out) {
  unsigned char *bytes = out->u.bytes;
  bytes[0] = WIRE_PLAIN | 1;
  out->size = (uint32_t)(wire_put_float(bytes + 1, v) - bytes);
  out->nrefs = 0;
}

void cast_pack_text(const char *text, cast_msg *out) {
  size_t size = strlen(text);
  unsigned char *at = out->u.bytes;
  CAST_ASSERT(size <= WIRE_STR_MAX);
  *at++ = 1;
  *at++ = (unsigned char)(WIRE_STR + size);
  out->size = (uint32_t)(wire_put(at, text, size) - out->u.bytes);
  out->nrefs = 0;
}

/* The number of bytes after the tag of a scalar or a short string; for any
   other tag a number that no message has. */
static inline size_t simple_size(const unsigned char *at) {
  unsigned tag = *at;
  if (tag >= WIRE_INT) return 0;
  if ((tag & 0xe0) == WIRE_STR) return tag & 0x1f;
  switch (tag) {
  case WIRE_NIL:
  case WIRE_FALSE:
  case WIRE_TRUE: return 0;
  case WIRE_INT16: return 2;
  case WIRE_INT32: return 4;
  case WIRE_INT64:
  case WIRE_FLOAT: return 8;
  default: return SIZE_MAX / 2;
  }
}

/* Is everything in the inline message such a value? Guards against a number of
   values, or a size, that is larger than the message. */
static bool is_simple(const unsigned char *at, const unsigned char *end) {
  int n = *at & WIRE_COUNT;
  if ((*at & (WIRE_REFS | WIRE_TREE)) != 0 || n > (int)WIRE_COUNT_MAX)
    return false;
  for (at++; n > 0; n--) {
    size_t size;
    if (at >= end || (size = simple_size(at)) > (size_t)(end - at - 1))
      return false;
    at += 1 + size;
  }
  return true;
}

/* The header says what is in it, so one look is enough; the values' bounds are
   checked as they are pushed. */
int cast_unpack_plain(lua_State *L, cast_msg *msg) {
  if (msg->nrefs > 0 || msg->size > CAST_MSG_INLINE ||
      (*msg->u.bytes & WIRE_PLAIN) == 0 ||
      (*msg->u.bytes & WIRE_COUNT) > LUA_MINSTACK)
    return -1;
  return cast_decode_scalars(L, msg);
}

/* There is no bit for "short strings" in the header: the tags are looked at. */
int cast_unpack_simple(lua_State *L, cast_msg *msg) {
  const unsigned char *at = msg->u.bytes;
  if (msg->nrefs > 0 || msg->size > CAST_MSG_INLINE) return -1;
  if ((*at & WIRE_PLAIN) == 0 && !is_simple(at, at + msg->size)) return -1;
  return cast_decode_scalars(L, msg);
}
