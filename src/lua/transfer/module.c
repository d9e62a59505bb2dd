/* module.c - the table that require "casting" returns.
   SPDX-License-Identifier: MIT

   It is made when it is first needed: by require, or for an error that has a
   metatable of the module. Sessions that need it for neither do not pay for it.

   Owner: the state. */
#include "module.h"

#include "../compat/compat.h"
#include "../state/state.h"
#include "pack.h"

/* Where the registry has the module: the program may take it out of
   package.loaded. */
static const char module_key = 0;

void cast_module_need(lua_State *L) {
  cast_state *S = cast_state_find(L);
  if (S == NULL || S->opened) return;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  S->binding->open_module(L);
  if (S->opened) { /* by a finalizer that ran meanwhile */
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  cast_packer_own(S->packer, L);
  /* Raw: a sandbox may have given package.loaded a __newindex, and this is done
     for the error that stops it, too. */
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_insert(L, -2);
  lua_pushliteral(L, "casting");
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  S->opened = true;
}

void cast_module_push(lua_State *L) {
  cast_module_need(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key);
}
