/* strcache.c - a cache of short strings that come again and again.
   SPDX-License-Identifier: MIT

   The cache has one place for each value of a few bits of a hash. A string gets
   its place when it comes twice with no other one for the same place in
   between. So strings that come once cost little more than without a cache, and
   two that take turns do not drive each other out all the time.

   The strings lie in a Lua table, which has a place in the registry of its own,
   as the packer's table would be one step more; what C knows of them lies in a
   userdata. At most 64 strings of 16 bytes stay alive for it. All room is made
   at once. To let the registry grow, with a key for each string, was rejected:
   LuaJIT loses what is in a table when there is no memory for it to grow.

   Owner: the state's packer. */
#include "strcache.h"

#include "../../base.h"
#include "../compat/compat.h"
#include "packer.h"

/* Makes the table, and what says which strings are in it; unless a finalizer
   that ran meanwhile has received a message, and made them. */
static CAST_NOINLINE void make(cast_packer *p, lua_State *L) {
  cast_packer_table(p, L);
  cast_strcache *words = cast_lua_newuserdata(L, sizeof *words);
  memset(words, 0, sizeof *words);
  lua_createtable(L, (int)CAST_STRCACHE_KEPT, 0);
  if (p->strcache != NULL) {
    lua_pop(L, 3);
    return;
  }
  cast_packer_set(L, p->strcache_ref);
  lua_rawseti(L, -2, CAST_SLOT_STRCACHE);
  lua_pop(L, 1);
  p->strcache = words;
}

void cast_strcache_table(cast_packer *p, lua_State *L) {
  if (CAST_UNLIKELY(p->strcache == NULL)) make(p, L);
  cast_packer_find(L, p->strcache_ref);
}

/* A string that was the latest one to miss this place takes it now. No place is
   taken in a closing state. */
void cast_strcache_miss(cast_packer *p, lua_State *L, int t, uint64_t hash,
  const char *s, size_t size) {
  unsigned i = (unsigned)(hash >> (64 - CAST_STRCACHE_BITS));
  cast_strcache_entry *w = &p->strcache->at[i];
  lua_pushlstring(L, s, size);
  if (w->tried != (uint32_t)hash || p->closed) {
    w->tried = (uint32_t)hash;
    return;
  }
  w->size = 0; /* no string, should the next lines raise */
  lua_pushvalue(L, -1);
  lua_rawseti(L, t, (int)i + 1);
  w->first = cast_strcache_load(s, size, &w->last);
  w->size = (uint32_t)size;
}
