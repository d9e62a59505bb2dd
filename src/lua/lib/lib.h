/* lib.h - the functions of the module, which several files implement.
   SPDX-License-Identifier: MIT

   Each is a lua_CFunction with the state's box as its upvalue (state.h). What
   they take and return is in docs/manual/, function by function. */
#ifndef CAST_LIB_H
#define CAST_LIB_H

#include "../../base.h"
#include "../compat/compat.h"

int cast_lib_broadcast(lua_State *L);
int cast_lib_channel(lua_State *L);
int cast_lib_named(lua_State *L);
int cast_lib_after(lua_State *L);
int cast_lib_every(lua_State *L);
int cast_lib_select(lua_State *L);
int cast_lib_subscribe(lua_State *L);
int cast_lib_peek(lua_State *L);
int cast_lib_limiter(lua_State *L);
int cast_lib_semaphore(lua_State *L);
int cast_lib_spawn(lua_State *L);
int cast_lib_self(lua_State *L);
int cast_lib_yield(lua_State *L);
int cast_lib_sleep(lua_State *L);
int cast_lib_session(lua_State *L);
int cast_lib_source_problem(lua_State *L);
int cast_lib_usable(lua_State *L);
int cast_lib_pack(lua_State *L);
int cast_lib_transferable(lua_State *L);
int cast_lib_spawnable(lua_State *L);
int cast_lib_pack_code(lua_State *L);
int cast_lib_with_timeout(lua_State *L);
int cast_lib_shield(lua_State *L);
int cast_lib_run(lua_State *L);
int cast_lib_poll(lua_State *L);
int cast_lib_fd(lua_State *L);

/* For tests: makes the allocations of a host's Lua state fail as well; and
   internal.starve. See starve.c. */
#if CAST_DEBUG >= 1
void cast_starve_host(lua_State *L);
int cast_starve(lua_State *L);
#else
static inline void cast_starve_host(lua_State *L) { CAST_UNUSED(L); }
#endif

#endif
