/* lib_casting.h - the module table.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_CASTING_H
#define CAST_LIB_CASTING_H

#include "../../../include/casting_import.h"
#include "../state/state.h"

/* What require "casting.net" and so on call. */
CASTING_API int luaopen_casting_net(lua_State *L);
CASTING_API int luaopen_casting_process(lua_State *L);
CASTING_API int luaopen_casting_fs(lua_State *L);
CASTING_API int luaopen_casting_socket(lua_State *L);

/* All functions of casting.h, for C modules (casting_import.h). Set when the
   library is loaded, by ../api/functions.c. */
extern const casting_functions *cast_module_functions;

/* What the rooms below this one call in those above them (state.h). */
extern const cast_binding cast_module_binding;

#endif
