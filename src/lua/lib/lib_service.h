/* lib_service.h - services for Lua.
   SPDX-License-Identifier: MIT */
#ifndef CAST_LIB_SERVICE_H
#define CAST_LIB_SERVICE_H

#include "../../calls.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "../state/state.h"

/* What services are in Lua. */
extern const cast_class cast_service_class;

/* The calls of the service whose handle is argument i. Raises. */
cast_calls *cast_service_calls(lua_State *L, int i);
/* Pushes the task that serves, or has done so last; false: there was none. */
bool cast_service_push_server(lua_State *L, cast_state *S, cast_calls *c);

/* casting.named_service(name) */
int cast_lib_named_service(lua_State *L);
/* What the library's Lua files use; see lib_service.c and lib_serving.c. */
int cast_lib_service_new(lua_State *L);
int cast_lib_service_spec(lua_State *L);
int cast_lib_service_open(lua_State *L);
int cast_lib_service_drain(lua_State *L);

#endif
