/* strcache.h - a cache of short strings that come again and again.
   SPDX-License-Identifier: MIT

   A string cache, as Lua's own strcache for strings of the C API: that one goes
   by the address of the C string, which is another one in each message; this
   one goes by the bytes. Records have the same keys in each message. To push
   such a key costs Lua a hash over its bytes, a search for it in the table of
   all short strings and a comparison; here it is found with two loads and stays
   a Lua value. See strcache.c. */
#ifndef CAST_STRCACHE_H
#define CAST_STRCACHE_H

#include "../../base.h"
#include "../../limits.h"
#include "../compat/compat.h"
#include "packer.h"

#define CAST_STRCACHE_LONGEST 16u /* bytes of the longest one */

#define CAST_STRCACHE_KEPT (1u << CAST_STRCACHE_BITS)

/* What C knows of one string of the cache. */
typedef struct cast_strcache_entry {
  uint64_t first, last; /* its bytes: see cast_strcache_load */
  uint32_t size;        /* its size; 0: there is none in this place */
  uint32_t tried;       /* hash of the latest one here that is not kept */
} cast_strcache_entry;

struct cast_strcache {
  cast_strcache_entry at[CAST_STRCACHE_KEPT]; /* at[i]: item i + 1 */
};

/* Pushes the table with the strings, made on first use. May raise. */
void cast_strcache_table(cast_packer *p, lua_State *L);

/* In strcache.c: pushes the string, which is not the one kept there. */
void cast_strcache_miss(cast_packer *p, lua_State *L, int t, uint64_t hash,
  const char *s, size_t size);

/* All bytes of a string of 1 to CAST_STRCACHE_LONGEST, as two numbers, which
   overlap where it is shorter than both. Together with the size they are one
   string's only, so to compare them is to compare the strings. */
static inline uint64_t cast_strcache_load(
  const char *s, size_t size, uint64_t *last) {
  uint64_t first = 0;
  uint32_t low, high;
  *last = 0;
  if (size >= 8) {
    memcpy(&first, s, 8);
    memcpy(last, s + size - 8, 8);
  } else if (size >= 4) {
    memcpy(&low, s, 4);
    memcpy(&high, s + size - 4, 4);
    first = low | (uint64_t)high << 32;
  } else {
    const unsigned char *b = (const unsigned char *)s;
    first = b[0] | (unsigned)b[size / 2] << 8 | (unsigned)b[size - 1] << 16;
  }
  return first;
}

/* Pushes a string; `t` is where the table lies. Raises when out of memory.
   Takes two stack slots. Empty strings (size - 1 is huge) and long ones are
   left to Lua. */
static inline void cast_strcache_push(
  cast_packer *p, lua_State *L, int t, const char *s, size_t size) {
  if (CAST_UNLIKELY(size - 1 >= CAST_STRCACHE_LONGEST)) {
    lua_pushlstring(L, s, size);
    return;
  }
  uint64_t last, first = cast_strcache_load(s, size, &last);
  uint64_t hash =
    (first ^ (last << 23 | last >> 41) ^ size) * UINT64_C(0x9e3779b97f4a7c15);
  unsigned i = (unsigned)(hash >> (64 - CAST_STRCACHE_BITS));
  const cast_strcache_entry *w = &p->strcache->at[i];
  if (CAST_LIKELY(w->first == first && w->last == last && w->size == size))
    lua_rawgeti(L, t, (int)i + 1);
  else
    cast_strcache_miss(p, L, t, hash, s, size);
}

#endif
