/* single.h - what a Lua state has one of, and makes when it is first needed.
   SPDX-License-Identifier: MIT

   To make such a thing may run a finalizer, which may need the same thing, and
   make it; or it may wait, and then other tasks may make it. The one that is
   there first stays: two metatables of one class, or two tables of which one
   lacks what C believes to be in it, would be worse than a table that was made
   for nothing. */
#ifndef CAST_SINGLE_H
#define CAST_SINGLE_H

#include "compat.h"

/* Pushes one value; may raise. */
typedef void (*cast_maker)(lua_State *L, const void *arg);

/* Pushes what the registry has under `key`, if that is not nil; else what
   make(L, arg) pushes, which the registry has from then on: true. Raises. */
bool cast_single_push(
  lua_State *L, const void *key, cast_maker make, const void *arg);
/* The same with item `slot` of the table at index t; false counts as nil. */
bool cast_single_push_in(
  lua_State *L, int t, int slot, cast_maker make, const void *arg);
/* A maker: a table. */
void cast_make_table(lua_State *L, const void *arg);
/* A maker: a table that is weak; arg: its mode, "k" or "v". */
void cast_make_weak(lua_State *L, const void *arg);
/* A maker: a metatable; arg: a pointer to its __gc, a lua_CFunction. */
void cast_make_meta(lua_State *L, const void *arg);

#endif
