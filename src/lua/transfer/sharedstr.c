/* sharedstr.c - pairs of a Lua string and the shared bytes it equals.
   SPDX-License-Identifier: MIT

   A large string travels as cast_bytes, copied once on its way out of a state
   and once into another. The state remembers the last few pairs: a string
   that came in goes out again as the same bytes, one that is sent to many
   channels is copied once, and bytes that come again are the same string.

   A string can not be a weak key of a Lua table, so a pair keeps it alive. To
   keep none for long, a sentinel (a userdata that nothing refers to) is made
   along with the first pair. The collector finalizes it once in each of its
   cycles: then the pairs are dropped that were not used since the last time.
   And their bytes are limited. The limit is low, for what is kept drives other
   things out of the processor's caches: with eight strings of 1 MiB kept, these
   move half as fast. But the strings of the latest message all stay until the
   next one.

   Rejected: to hand the bytes themselves to Lua 5.5, as external strings. Its
   collector does not count them: a session that receives 1 MiB strings came to
   800 MB of garbage, and half the speed of one that copies them, and a limit
   of memory did not hold.

   Owner: the state's packer. sharedstrs[i] has slot i + 1 of the array in
   CAST_SLOT_SHAREDSTR, where false is no string.

   1. No pair is there unless a sentinel is alive, or its __gc is under way. */
#include "sharedstr.h"

#include "../../base.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "packer.h"

/* Drops what C has of a pair: the Lua string may stay for a while. */
static void drop(cast_packer *p, uint32_t i) {
  cast_bytes *b = p->sharedstrs[i].bytes;
  if (b == NULL) return;
  p->sharedstr_bytes -= b->size;
  p->sharedstrs[i].bytes = NULL;
  p->sharedstrs[i].at = NULL;
  cast_unref(&b->object);
}

void cast_sharedstr_fini(cast_packer *p) {
  for (uint32_t i = 0; i < CAST_SHAREDSTR_KEPT; i++) drop(p, i);
}

/* Drops both of a pair; the array of strings is on top of the stack. */
static void drop_slot(cast_packer *p, lua_State *L, uint32_t i) {
  drop(p, i);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, (int)i + 1);
}

/* Makes a sentinel; the metatable is its argument. In a protected call, as a
   finalizer has nobody to tell of an error. */
static int new_sentinel(lua_State *L) {
  (void)cast_lua_newuserdata(L, 1);
  lua_pushvalue(L, 1);
  lua_setmetatable(L, -2);
  return 0;
}

/* __gc of the sentinel; upvalue: the packer. A cycle of the collector ends:
   drops what was not used in it, and makes a new sentinel if anything is left.
   If that cannot be made everything is dropped, for nothing would do so later
   (1). */
static int sentinel_gc(lua_State *L) {
  cast_packer *p = lua_touserdata(L, lua_upvalueindex(1));
  bool left = false;
  p->sentinel = false;
  if (p->closed) return 0; /* nothing is remembered any more */
  cast_packer_table(p, L);
  if (!lua_istable(L, -1)) return 0; /* the state is closing */
  cast_packer_get(L, -1, CAST_SLOT_SHAREDSTR);
  if (!lua_istable(L, -1)) return 0;
  for (uint32_t i = 0; i < CAST_SHAREDSTR_KEPT; i++) {
    if (!p->sharedstrs[i].used) drop_slot(p, L, i);
    left = left || p->sharedstrs[i].used;
    p->sharedstrs[i].used = false;
  }
  if (!left) return 0;
  lua_pushcfunction(L, new_sentinel);
  lua_getmetatable(L, 1);
  p->sentinel = lua_pcall(L, 1, 0, 0) == LUA_OK;
  if (p->sentinel) return 0;
  lua_pop(L, 1);
  for (uint32_t i = 0; i < CAST_SHAREDSTR_KEPT; i++) drop_slot(p, L, i);
  return 0;
}

/* The array of strings. */
static void make_strings(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_createtable(L, (int)CAST_SHAREDSTR_KEPT, 0);
  for (uint32_t i = 0; i < CAST_SHAREDSTR_KEPT; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

/* Sees to the array and to a sentinel; may raise. Called before a pair is there
   to be remembered, so that keep() cannot fail. */
static void prepare(cast_packer *p, lua_State *L, int t) {
  cast_sharedstr *texts;
  if (p->sentinel || p->closed) return;
  texts =
    cast_packer_array(p, p->sharedstrs, CAST_SHAREDSTR_KEPT, sizeof *texts);
  if (texts == NULL) cast_raise_memory(L);
  p->sharedstrs = texts;
  (void)cast_single_push_in(L, t, CAST_SLOT_SHAREDSTR, make_strings, NULL);
  lua_pop(L, 1);
  (void)cast_lua_newuserdata(L, 1);
  cast_packer_meta(p, L, t, CAST_SLOT_SENTINEL, sentinel_gc);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  p->sentinel = true;
}

/* Makes room for a pair: drops others, the oldest first. Those of the same
   message stay, up to CAST_SHAREDSTR_LARGEST, as what comes in together is
   passed on together. The array is on top. */
static void make_room(cast_packer *p, lua_State *L, size_t size) {
  drop_slot(p, L, p->next_sharedstr);
  for (uint32_t k = 1; k < CAST_SHAREDSTR_KEPT; k++) {
    uint32_t i = (p->next_sharedstr + k) % CAST_SHAREDSTR_KEPT;
    if (p->sharedstrs[i].bytes == NULL) continue;
    if (p->sharedstr_bytes + size <= CAST_SHAREDSTR_BYTES) return;
    if (p->sharedstrs[i].message != p->message ||
        p->sharedstr_bytes + size > CAST_SHAREDSTR_LARGEST)
      drop_slot(p, L, i);
  }
}

/* Remembers the pair; neither allocates nor raises. */
static void keep(cast_packer *p, lua_State *L, int t, int idx, cast_bytes *b) {
  if (!p->sentinel || p->closed || b->size > CAST_SHAREDSTR_LARGEST) return;
  /* A sandbox would have the bytes without being charged for them. */
  if (CAST_UNLIKELY(p->account != NULL)) return;
  cast_packer_get(L, t, CAST_SLOT_SHAREDSTR);
  uint32_t i = p->next_sharedstr;
  make_room(p, L, b->size);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, (int)i + 1);
  lua_pop(L, 1);
  p->sharedstrs[i].at = lua_tostring(L, idx);
  p->sharedstrs[i].bytes = cast_ref(&b->object);
  p->sharedstrs[i].used = true;
  p->sharedstrs[i].message = p->message;
  p->sharedstr_bytes += b->size;
  p->next_sharedstr = (i + 1) % CAST_SHAREDSTR_KEPT;
}

/* A Lua string is known by the address of its bytes, which stays the same while
   it lives; and a pair keeps it alive. */
cast_bytes *cast_sharedstr_get(cast_packer *p, lua_State *L, int t, int idx) {
  size_t size;
  const char *s = lua_tolstring(L, idx, &size);
  idx = lua_absindex(L, idx);
  for (uint32_t i = 0; i < CAST_SHAREDSTR_KEPT; i++) {
    if (p->sharedstrs[i].at != s || p->sharedstrs[i].bytes == NULL) continue;
    p->sharedstrs[i].used = true;
    return cast_ref(&p->sharedstrs[i].bytes->object);
  }
  prepare(p, L, t);
  cast_bytes *b = cast_bytes_new(size);
  if (b == NULL) return NULL;
  memcpy(b->data, s, size);
  keep(p, L, t, idx, b);
  return b;
}

void cast_sharedstr_push(cast_packer *p, lua_State *L, cast_bytes *b) {
  cast_packer_table(p, L);
  int t = lua_gettop(L);
  for (uint32_t i = 0; i < CAST_SHAREDSTR_KEPT; i++) {
    if (p->sharedstrs[i].bytes != b) continue; /* b is not NULL */
    cast_packer_get(L, t, CAST_SLOT_SHAREDSTR);
    lua_rawgeti(L, -1, (int)i + 1);
    lua_replace(L, t);
    lua_settop(L, t);
    p->sharedstrs[i].used = true;
    return;
  }
  /* The collector may run here, and take the sentinel: so it is seen to after
     this. */
  lua_pushlstring(L, b->data, b->size);
  prepare(p, L, t);
  keep(p, L, t, t + 1, b);
  lua_replace(L, t);
}
