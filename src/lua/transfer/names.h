/* names.h - values that cross by name: modules, and what is in them.
   SPDX-License-Identifier: MIT

   What comes from a module that the receiver can require as well is not copied:
   a C function cannot be, and a class of the receiver's must be its own, or its
   objects would be of another class there.

   A name is the module's, then keys: "string\0format", "geometry\0Point". It
   has at most CAST_NAME_MAX bytes, and no key in it has a '\0' of its own. */
#ifndef CAST_NAMES_H
#define CAST_NAMES_H

#include "../compat/compat.h"
#include "packer.h"

#define CAST_NAME_MAX 65535u /* its size is a u16: wire.h */

/* A module that only names have: the program is not meant to reach what is in
   it, so it is in no table, and p->module finds it. A module of the program's
   that is called so has no name. */
#define CAST_NAMES_OWN "casting.internal"
static inline bool cast_names_is_own(const char *name, size_t size) {
  return size == sizeof CAST_NAMES_OWN - 1 &&
         memcmp(name, CAST_NAMES_OWN, size) == 0;
}

/* `t` is everywhere the stack index of the packer's table. All raise Lua's
   memory error, and nothing else, except as said. */

/* -- from objects to names (names.c) -------------------------------------- */

/* Brings the notes up to date with package.loaded. The others rely on that: it
   is called before them for each message, and after Lua code has run. */
void cast_names_refresh(cast_packer *p, lua_State *L, int t);

/* Whether the table at this address may have a name. A Bloom filter with one
   bit a table: it is false for nearly all that have none. */
static inline uint32_t cast_names_bit(const void *table) {
  uint64_t h = (uint64_t)(uintptr_t)table * UINT64_C(0x9e3779b97f4a7c15);
  return (uint32_t)(h >> 40) % CAST_NAMES_BITS;
}
static inline bool cast_names_may_have(
  const cast_packer *p, const void *table) {
  uint32_t bit = cast_names_bit(table);
  return (p->named[bit / 64] >> (bit % 64)) & 1;
}

/* The name of the object on top, if it is noted and still holds: pushes it,
   a string. Modules are always noted; others when they have been found. */
bool cast_names_find(cast_packer *p, lua_State *L, int t);

/* As find, but looks through all loaded modules for the function on top. */
bool cast_names_search(cast_packer *p, lua_State *L, int t);

/* As find, but looks for the table or function on top in the modules that are
   none of the standard libraries. */
bool cast_names_search_modules(cast_packer *p, lua_State *L, int t);

/* As find, but looks for the table on top, which has a key that begins with
   "__", among those in such modules and one level deeper (classes.c).
   *prepared, which is the caller's: the set of these is up to date, as this has
   been called for the message since Lua code has run. */
bool cast_names_class(cast_packer *p, lua_State *L, int t, bool *prepared);
/* The state closes: frees that set. */
void cast_names_fini(cast_packer *p);

/* Has the table on top a key that begins with "__"? */
bool cast_names_has_special_key(lua_State *L, int t);

/* A hash of two addresses. Fingerprints are sums of these, so they do not
   depend on the order in which a table is walked through. */
static inline uint64_t cast_names_mix(const void *a, const void *b) {
  uint64_t h = (uint64_t)(uintptr_t)a * UINT64_C(0x9e3779b97f4a7c15);
  h ^= (uint64_t)(uintptr_t)b * UINT64_C(0xc2b2ae3d27d4eb4f);
  h ^= h >> 32;
  h *= UINT64_C(0xd6e8feb86659fd93);
  return h ^ h >> 29;
}

/* The name on top is that of the object at idx from now on, and is not looked
   up before it is used; pops it. */
void cast_names_give(cast_packer *p, lua_State *L, int idx);

/* -- from names to objects (resolve.c) ------------------------------------ */

/* Pushes what has that name now, without a call of Lua code; or nil. */
void cast_names_look(
  cast_packer *p, lua_State *L, int t, const char *name, size_t size);

/* Pushes what has that name here, a value of that type (LUA_TNONE: a table or
   function); the module is required if it is not loaded, which runs Lua code.
   False: what is pushed is the error's value. */
bool cast_names_resolve(
  cast_packer *p, lua_State *L, const char *name, size_t size, int type);

/* Pushes a name as people write it: 'string.format'. */
void cast_names_describe(lua_State *L, const char *name, size_t size);

#endif
