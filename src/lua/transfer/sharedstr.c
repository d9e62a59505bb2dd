/* sharedstr.c - pairs of a Lua string and the shared bytes it equals.
   SPDX-License-Identifier: MIT

   A large string travels as cast_bytes, copied once on its way out of a state
   and once into another. The state remembers the last few pairs: a string
   that came in goes out again as the same bytes, one that is sent to many
   channels is copied once, and bytes that come again are the same string.

   A Lua string can not be a weak key, so a pair keeps it alive. To keep none
   for long, a sentinel (a userdata that nothing refers to) is made along with
   the first pair: when the collector takes it, so once in each of its cycles,
   the pairs go that were not used since the last time. And their bytes are
   limited. The limit is low, for what is kept drives other things out of the
   processor's caches: with eight strings of 1 MiB kept, these move half as
   fast. But the strings of the latest message all stay until the next one.

   Rejected: to hand the bytes themselves to Lua 5.5, as external strings. Its
   collector does not count them: a session that receives 1 MiB strings came to
   800 MB of garbage, and half the speed of one that copies them, and a limit
   of memory did not hold.

   Owner: the state's packer. text[i] belongs to slot i + 1 of the array in
   CAST_SLOT_STRINGS, where false is no string.

   1. No pair is there unless a sentinel is alive, or its __gc is under way. */
#include "sharedstr.h"

#include "../../base.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "packer.h"

static void drop(cast_packer *p, uint32_t i) {
  cast_bytes *b = p->texts[i].bytes;
  if (b == NULL) return;
  p->text_bytes -= b->size;
  p->texts[i].bytes = NULL;
  p->texts[i].at = NULL;
  cast_unref(&b->object);
}

void cast_strings_fini(cast_packer *p) {
  for (uint32_t i = 0; i < CAST_STRINGS_KEPT; i++) drop(p, i);
}

/* Also drops the strings; the array is on top of the stack. */
static void drop_slot(cast_packer *p, lua_State *L, uint32_t i) {
  drop(p, i);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, (int)i + 1);
}

/* Makes a sentinel; the metatable is its argument. */
static int new_sentinel(lua_State *L) {
  (void)cast_lua_newuserdata(L, 1);
  lua_pushvalue(L, 1);
  lua_setmetatable(L, -2);
  return 0;
}

/* __gc of the sentinel; upvalue: the packer. */
static int sentinel_gc(lua_State *L) {
  cast_packer *p = lua_touserdata(L, lua_upvalueindex(1));
  bool left = false;
  p->sentinel = false;
  if (p->closed) return 0; /* nothing is remembered any more */
  cast_packer_table(p, L);
  if (!lua_istable(L, -1)) return 0; /* the state is closing */
  cast_packer_get(L, -1, CAST_SLOT_STRINGS);
  if (!lua_istable(L, -1)) return 0;
  for (uint32_t i = 0; i < CAST_STRINGS_KEPT; i++) {
    if (!p->texts[i].used) drop_slot(p, L, i);
    left = left || p->texts[i].used;
    p->texts[i].used = false;
  }
  if (!left) return 0;
  lua_pushcfunction(L, new_sentinel);
  lua_getmetatable(L, 1);
  p->sentinel = lua_pcall(L, 1, 0, 0) == LUA_OK;
  if (p->sentinel) return 0;
  lua_pop(L, 1);
  for (uint32_t i = 0; i < CAST_STRINGS_KEPT; i++) drop_slot(p, L, i);
  return 0;
}

/* The sentinels' metatable. */
static void make_meta(lua_State *L, const void *arg) {
  lua_createtable(L, 0, 1);
  lua_pushlightuserdata(L, (void *)(uintptr_t)arg);
  lua_pushcclosure(L, sentinel_gc, 1);
  lua_setfield(L, -2, "__gc");
}

/* The array of strings. */
static void make_strings(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_createtable(L, (int)CAST_STRINGS_KEPT, 0);
  for (uint32_t i = 0; i < CAST_STRINGS_KEPT; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

/* Sees to the array and to a sentinel; may raise. */
static void prepare(cast_packer *p, lua_State *L, int t) {
  cast_text *texts;
  if (p->sentinel || p->closed) return;
  texts = cast_packer_array(p, p->texts, CAST_STRINGS_KEPT, sizeof *texts);
  if (texts == NULL) cast_packer_nomem(L);
  p->texts = texts;
  (void)cast_single_in(L, t, CAST_SLOT_STRINGS, make_strings, NULL);
  lua_pop(L, 1);
  (void)cast_lua_newuserdata(L, 1);
  (void)cast_single_in(L, t, CAST_SLOT_SENTINEL, make_meta, p);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  p->sentinel = true;
}

/* Makes room for a pair, the oldest first. Those of the same message stay:
   what comes in together is passed on together. The array is on top. */
static void make_room(cast_packer *p, lua_State *L, size_t size) {
  drop_slot(p, L, p->next_text);
  for (uint32_t k = 1; k < CAST_STRINGS_KEPT; k++) {
    uint32_t i = (p->next_text + k) % CAST_STRINGS_KEPT;
    if (p->texts[i].bytes == NULL) continue;
    if (p->text_bytes + size <= CAST_STRINGS_BYTES) return;
    if (p->texts[i].message != p->message ||
        p->text_bytes + size > CAST_STRINGS_LARGEST)
      drop_slot(p, L, i);
  }
}

/* Remembers the pair; neither allocates nor raises. */
static void keep(cast_packer *p, lua_State *L, int t, int idx, cast_bytes *b) {
  if (!p->sentinel || p->closed || b->size > CAST_STRINGS_LARGEST) return;
  cast_packer_get(L, t, CAST_SLOT_STRINGS);
  uint32_t i = p->next_text;
  make_room(p, L, b->size);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, (int)i + 1);
  lua_pop(L, 1);
  p->texts[i].at = lua_tostring(L, idx);
  p->texts[i].bytes = cast_ref(&b->object);
  p->texts[i].used = true;
  p->texts[i].message = p->message;
  p->text_bytes += b->size;
  p->next_text = (i + 1) % CAST_STRINGS_KEPT;
}

cast_bytes *cast_strings_get(cast_packer *p, lua_State *L, int t, int idx) {
  size_t size;
  const char *s = lua_tolstring(L, idx, &size);
  idx = lua_absindex(L, idx);
  for (uint32_t i = 0; i < CAST_STRINGS_KEPT; i++) {
    if (p->texts[i].at != s || p->texts[i].bytes == NULL) continue;
    p->texts[i].used = true;
    return cast_ref(&p->texts[i].bytes->object);
  }
  prepare(p, L, t);
  cast_bytes *b = cast_bytes_new(size);
  if (b == NULL) return NULL;
  memcpy(b->data, s, size);
  keep(p, L, t, idx, b);
  return b;
}

void cast_strings_push(cast_packer *p, lua_State *L, cast_bytes *b) {
  cast_packer_table(p, L);
  int t = lua_gettop(L);
  for (uint32_t i = 0; i < CAST_STRINGS_KEPT; i++) {
    if (p->texts[i].bytes != b) continue; /* that is not NULL */
    cast_packer_get(L, t, CAST_SLOT_STRINGS);
    lua_rawgeti(L, -1, (int)i + 1);
    lua_replace(L, t);
    lua_settop(L, t);
    p->texts[i].used = true;
    return;
  }
  /* May be what makes the collector take the sentinel. */
  lua_pushlstring(L, b->data, b->size);
  prepare(p, L, t);
  keep(p, L, t, t + 1, b);
  lua_replace(L, t);
}
