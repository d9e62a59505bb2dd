/* words.c - short strings that come again and again, kept at hand.
   SPDX-License-Identifier: MIT

   A table with one place for each value of a few bits of a hash. Who comes
   twice, with no other one for the same place in between, has the place: so
   strings that come once cost little more than without, and two that take
   turns do not drive each other out all the time.

   Owner: the state's packer. The strings are anchored in the registry, each
   with an integer key of its own, since nothing else is reached with so few
   steps: a table of the packer's would have to be pushed in each message. At
   most 64 strings of 16 bytes stay alive for it. The keys are never given
   back: a packer lives as long as its state.

   1. A word with a size has a ref, and there is its string. */
#include "words.h"

void cast_words_new(cast_packer *p, lua_State *L) {
  cast_packer_table(p, L);
  cast_words *words = cast_lua_newuserdata(L, sizeof *words);
  memset(words, 0, sizeof *words);
  lua_rawseti(L, -2, CAST_SLOT_WORDS);
  lua_pop(L, 1);
  p->words = words;
}

void cast_words_miss(cast_packer *p, lua_State *L, cast_word *w, uint64_t hash,
  const char *s, size_t size) {
  lua_pushlstring(L, s, size);
  if (w->tried != (uint32_t)hash || p->closed) {
    w->tried = (uint32_t)hash;
    return;
  }
  w->size = 0; /* should the next call raise */
  lua_pushvalue(L, -1);
  if (w->ref == 0)
    w->ref = luaL_ref(L, LUA_REGISTRYINDEX);
  else
    lua_rawseti(L, LUA_REGISTRYINDEX, w->ref);
  w->first = cast_word_load(s, size, &w->last);
  w->size = (uint32_t)size;
}
