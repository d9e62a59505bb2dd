/* stock.h - what a new Lua state is like.
   SPDX-License-Identifier: MIT */
#ifndef CAST_STOCK_H
#define CAST_STOCK_H

#include "compat.h"

/* Calls fn(L) with `arg` as light userdata in a new state that is then closed.
   False: it has raised an error, or there was no memory. */
bool cast_stock_run(lua_CFunction fn, void *arg);

/* Finds out what a new state has, unless that was done: before any of the
   functions below is called. */
void cast_stock_learn(void);
/* What lua_gethook returns where the program has used debug.sethook; NULL: not
   known. */
lua_Hook cast_stock_hook(void);
/* Is f the function os.exit of a new state, or collectgarbage? */
bool cast_stock_is_exit(lua_CFunction f);
bool cast_stock_is_collect(lua_CFunction f);
/* Is there a library of that name (the globals' is "_G")? */
bool cast_stock_has_library(const char *name);
/* Does that library have such a member? */
bool cast_stock_has_member(const char *library, const char *key);

#endif
