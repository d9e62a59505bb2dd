/* state.c - the way from a Lua state to its cast_state.
   SPDX-License-Identifier: MIT

   The registry holds a box, a userdata with the pointer. It is a userdata so
   that functions can have it as an upvalue: when casting has closed in the
   state, all of them find it empty. A second pointer, if it is not NULL, says
   that what the state had stays in memory.
   Owner: the session's. */
#include "state.h"

#include "../../context.h"
#include "../../host.h"
#include "../../sysmon.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "handle.h"

/* What cast_handle.tag points to. */
const char cast_handle_tag = 0;

/* In the registry: the box. */
static const char state_key = 0;

void cast_state_box(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
}

cast_state *cast_state_find_in_hook(lua_State *L) {
  cast_state **box;
  cast_state_box(L);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL ? *box : NULL;
}

cast_state *cast_state_find(lua_State *L) {
  luaL_checkstack(L, 1, NULL);
  return cast_state_find_in_hook(L);
}

/* Whoever sets the pointer has to call cast_state_keep_box as well. */
cast_state **cast_state_push_box(lua_State *L, lua_CFunction gc) {
  cast_state **box = cast_lua_newuserdata(L, 2 * sizeof *box);
  box[0] = box[1] = NULL;
  cast_lua_know_addresses(L);
  if (gc != NULL) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
  }
  return box;
}

/* Whatever was there before has no effect any more: an earlier attempt's
   box. */
void cast_state_keep_box(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

bool cast_state_is_kept(lua_State *L) {
  cast_state **box;
  if (!lua_checkstack(L, 1)) return true;
  cast_state_box(L);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL && box[1] != NULL;
}

void cast_state_keep(lua_State *L) {
  cast_state **box;
  cast_state_box(L);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  box[1] = box[0];
}

#if CAST_LUAJIT
void cast_state_check_depth(lua_State *L, const cast_state *S) {
  const cast_runner *r = S->session.runner;
  if (r != NULL && r->at != NULL && cast_runner_left(r) < CAST_STACK_SPARE)
    cast_lua_error(L, "C stack overflow");
}
#endif

void cast_state_prepare(lua_State *L, cast_state *S) {
  if (S->host == NULL || S->host->prepared) return;
  if (cast_sysmon_start() != 0) cast_raise_thread(L);
  if (cast_host_prepare(S->host) != 0) cast_raise_memory(L);
}
