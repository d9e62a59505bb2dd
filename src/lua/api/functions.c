/* functions.c - the functions of casting.h, for modules that ask for them.
   SPDX-License-Identifier: MIT */
#include "functions.h"

#include "../../../include/casting_import.h"

#define NAME(result, name, parameters, arguments) name,
#define NAME_VOID(name, parameters, arguments) name,

static const casting_functions all = {
  sizeof(casting_functions), CASTING_FUNCTIONS(NAME, NAME_VOID)};

void cast_functions_open(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&all);
  lua_setfield(L, LUA_REGISTRYINDEX, CASTING_FUNCTIONS_KEY);
}
