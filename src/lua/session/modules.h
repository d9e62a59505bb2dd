/* modules.h - the modules that a sandbox may load.
   SPDX-License-Identifier: MIT */
#ifndef CAST_MODULES_H
#define CAST_MODULES_H

#include "../../base.h"
#include "../compat/compat.h"

/* In a new sandbox: it may load modules of these names, each of which has a
   zero byte behind it, besides casting; and the table package is for require
   alone from now on. Raises. */
void cast_modules_set(lua_State *L, cast_chars names);
/* Pushes the same text; nil: this is no sandbox. */
void cast_modules_push(lua_State *L);
/* Is that one of the names? In a sandbox. */
bool cast_modules_has(lua_State *L, const char *name);
/* May the module be loaded? Everywhere. */
bool cast_modules_may(lua_State *L, const char *name);
/* Pushes what a searcher says of a module that may not be loaded. */
void cast_modules_refuse(lua_State *L);
/* Pushes the table that require finds modules by: the table package, or what
   the program has put in its place; in a sandbox, which cannot do that, one
   that it does not reach. Something else than a table if there is none. */
void cast_modules_package(lua_State *L);

#endif
