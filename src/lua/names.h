/* names.h - values that cross by name: modules, their functions and classes.
   SPDX-License-Identifier: MIT

   A name is the module's, then keys: "string\0format", "geometry\0Point". It
   has at most 65535 bytes. */
#ifndef CAST_NAMES_H
#define CAST_NAMES_H

#include "packer.h"

#define CAST_NAME_MAX 65535u

/* What stands for a module in the names of things that the program is not to
   reach: it is in no table, but p->module knows it. A module of the program's
   that is called so has no name. */
#define CAST_NAMES_OWN "casting.internal"
static inline bool cast_names_own(const char *name, size_t size) {
  return size == sizeof CAST_NAMES_OWN - 1 &&
         memcmp(name, CAST_NAMES_OWN, size) == 0;
}

/* `t` is everywhere the stack index of the packer's table. All raise Lua's
   memory error, and nothing else, except as said. */

/* Takes note of modules loaded since the last call, with their classes. True
   if there were any. */
bool cast_names_refresh(cast_packer *p, lua_State *L, int t);

/* Whether the table at this address may have a name (it is false for nearly
   all that have none). */
static inline bool cast_names_maybe(const cast_packer *p, const void *table) {
  uint64_t h = (uint64_t)(uintptr_t)table * UINT64_C(0x9e3779b97f4a7c15);
  uint32_t bit = (uint32_t)(h >> 40) % CAST_NAMES_BITS;
  return (p->named[bit / 64] >> (bit % 64)) & 1;
}

/* The name of the object on top, if it is noted and still holds: pushes it,
   a string. */
bool cast_names_find(cast_packer *p, lua_State *L, int t);

/* As find, but looks through all loaded modules for the object. */
bool cast_names_search(cast_packer *p, lua_State *L, int t);

/* As search, but only for what is in a module that is none of the standard
   libraries. */
bool cast_names_search_modules(cast_packer *p, lua_State *L, int t);

/* Was the table on top looked at before, and found to be no module? Notes that
   it is looked at now. */
bool cast_names_looked(lua_State *L, int t);

/* As search, for tables, but remembers those that have no name. */
bool cast_names_search_once(cast_packer *p, lua_State *L, int t);

/* Notes the name on top for the object at idx; pops it. */
void cast_names_give(cast_packer *p, lua_State *L, int idx);

/* Pushes what has that name here; the module is required if need be. False:
   what is pushed is the error's value. */
bool cast_names_resolve(
  cast_packer *p, lua_State *L, const char *name, size_t size);

/* Pushes a name as people write it: 'string.format'. */
void cast_names_describe(lua_State *L, const char *name, size_t size);

#endif
