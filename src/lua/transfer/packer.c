/* packer.c - what a state needs to pack and unpack messages.
   SPDX-License-Identifier: MIT

   Small things that the other files of this room share, below all of them. The
   life of a packer is in pack.c, which knows the others.

   Owner: the state; see packer.h. */
#include "packer.h"

#include "../../account.h"
#include "../../base.h"
#include "../../block.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"

const uint64_t
  cast_packer_nothing[CAST_SHAREDSTR_KEPT * sizeof(cast_sharedstr) / 8];

_Static_assert(
  sizeof(cast_loaded) * CAST_BYTECODE_KEPT <= sizeof cast_packer_nothing &&
    sizeof(cast_recent) * CAST_BYTECODE_KEPT <= sizeof cast_packer_nothing,
  "nothing is as large as anything");

/* Nothing is written to it: cast_packer_array comes first. */
void *cast_packer_none(void) { return (void *)(uintptr_t)cast_packer_nothing; }

void *cast_packer_array(cast_packer *p, void *old, size_t n, size_t size) {
  if (CAST_LIKELY(old != cast_packer_nothing)) return old;
  return p->closed ? NULL : cast_calloc(n * size);
}

void *cast_packer_drop_array(void *array) {
  if (array != cast_packer_nothing) cast_free(array);
  return cast_packer_none();
}

/* What make_meta needs, which gets a single pointer. */
typedef struct finalizer {
  cast_packer *p;   /* its upvalue */
  lua_CFunction gc; /* itself */
} finalizer;

/* The upvalue is a light userdata: the packer lives as long as the state. */
static void make_meta(lua_State *L, const void *arg) {
  const finalizer *f = arg;
  lua_createtable(L, 0, 1);
  lua_pushlightuserdata(L, f->p);
  lua_pushcclosure(L, f->gc, 1);
  lua_setfield(L, -2, "__gc");
}

void cast_packer_meta(
  cast_packer *p, lua_State *L, int t, int slot, lua_CFunction gc) {
  finalizer f = {p, gc};
  (void)cast_single_push_in(L, t, slot, make_meta, &f);
}

/* Lua's limit is a million slots, LuaJIT's 65,500: a stack of a few thousand is
   far from both. */
void cast_packer_stack(lua_State *L, int slots) {
  if (CAST_LIKELY(lua_checkstack(L, slots))) return;
  if (slots < 1000 && lua_gettop(L) < 4000) cast_raise_memory(L);
  cast_lua_error(L, "stack overflow (message)");
}

/* What the message takes where it is queued, too; and the strings that lie
   outside of it, each time they are sent: whoever has it last may be this
   message. */
static size_t message_bytes(
  size_t bytes, cast_object *const *items, uint32_t n) {
  bytes += sizeof(cast_msg) + sizeof(cast_block) + (n + 1) * sizeof *items;
  for (uint32_t i = 0; i < n; i++)
    if (items[i] != NULL && items[i]->type == &cast_bytes_type)
      bytes += CAST_CONTAINER(items[i], cast_bytes, object)->size;
  return bytes;
}

cast_object *cast_packer_charge(cast_packer *p, lua_State *L, size_t bytes,
  cast_object *const *items, uint32_t n) {
  cast_charge *c;
  bytes = message_bytes(bytes, items, n);
  c = cast_charge_new(p->account, bytes);
  if (c == NULL) {
    lua_gc(L, LUA_GCCOLLECT, 0); /* packed messages, channels and the like */
    c = cast_charge_new(p->account, bytes);
  }
  return c != NULL ? &c->object : NULL;
}

void cast_decode_corrupt(lua_State *L) {
  cast_lua_error(L, "cannot receive a damaged message");
  cast_panic(__FILE__, __LINE__, "luaL_error returned");
}
