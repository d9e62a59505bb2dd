/* packer.c - what a state needs to pack and unpack messages.
   SPDX-License-Identifier: MIT

   Small things that the other files of this room share, below all of them. The
   life of a packer is in pack.c, which knows the others.

   Owner: the state; see packer.h. */
#include "packer.h"

#include "../../base.h"
#include "../../mem.h"
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

void cast_decode_corrupt(lua_State *L) {
  cast_lua_error(L, "cannot receive a damaged message");
  cast_panic(__FILE__, __LINE__, "luaL_error returned");
}
