/* lib_message.c - packed messages for Lua, and casting.transferable.
   SPDX-License-Identifier: MIT

   casting.pack encodes values once. The message that it returns can be sent any
   number of times, to channels and tasks, and they share its one block of
   memory. It is a handle like those of channels. As the only value of a send it
   stands for its values; elsewhere it crosses as itself (packed.c). */
#include "lib_message.h"

#include "../../msg.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/rebuild.h"
#include "../task/scratch.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "lib.h"

/* -- the functions -------------------------------------------------------- */

/* casting.pack(v, ...). A message alone is returned as it is: packed again it
   would be the same. */
int cast_lib_pack(lua_State *L) {
  cast_state *S = cast_state_here(L);
  int n = lua_gettop(L);
  if (lua_isnoneornil(L, 1))
    cast_arg_error(L, 1,
      n == 0 ? "a message needs at least one value"
             : "the first value of a message cannot be nil");
  if (n == 1 && cast_message_at(L, 1) != NULL) return 1;
  cast_message_new(L, S, 1, n, NULL, CAST_PACK_COPY);
  return 1;
}

/* message:unpack(): makes the values anew. */
static int message_unpack(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_handle_check(L, 1, &cast_message_type);
  cast_ltask *t = cast_scratch(L, S);
  cast_msg_dup(&t->base.waiter.msg, &cast_message_at(L, 1)->msg);
  return cast_rebuild_values(L, S, t, &t->base.waiter.msg);
}

/* #message: the number of its values. */
static int message_count(lua_State *L) {
  cast_handle_check(L, 1, &cast_message_type);
  lua_pushinteger(L, cast_message_at(L, 1)->n);
  return 1;
}

/* Protected: packs the value at 1, with the state as light userdata at 2, and
   throws the result away. Values that would move stay (CAST_PACK_TRY). At 3: is
   it to be spawned? */
static int try_pack(lua_State *L) {
  cast_state *S = lua_touserdata(L, 2);
  cast_ltask *t = cast_scratch(L, S);
  cast_pack_as(S->packer, L, 1, 1, "value", -1,
    lua_toboolean(L, 3) ? CAST_PACK_TRY_SPAWN : CAST_PACK_TRY,
    &t->base.waiter.msg);
  cast_msg_drop(&t->base.waiter.msg);
  return 0;
}

/* true; or nil and why v cannot be sent, or spawned. To pack it is the only
   test, since __save of the program may decide. */
static int try_value(lua_State *L, bool spawn) {
  cast_state *S = cast_state_here(L);
  cast_arg_any(L, 1);
  lua_settop(L, 1);
  lua_pushcfunction(L, try_pack);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, S);
  lua_pushboolean(L, spawn);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (cast_is_memory_error(L, -1)) return lua_error(L);
  (void)cast_lua_describe(L, -1); /* pushed */
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* casting.transferable(v) */
int cast_lib_transferable(lua_State *L) { return try_value(L, false); }

/* internal.spawnable(v): the same for the function of a task, or one of its
   arguments. */
int cast_lib_spawnable(lua_State *L) { return try_value(L, true); }

/* internal.pack_code(v): as casting.pack, for what will be spawned. */
int cast_lib_pack_code(lua_State *L) {
  cast_arg_any(L, 1);
  cast_message_new(L, cast_state_here(L), 1, 1, NULL, CAST_PACK_LOADER);
  return 1;
}

static const luaL_Reg message_methods[] = {
  {"unpack", message_unpack},
  {NULL, NULL},
};

static const luaL_Reg message_meta[] = {
  {"__len", message_count},
  {NULL, NULL},
};

const cast_class cast_message_class = {
  .type = &cast_message_type,
  .title = "casting.message",
  .methods = message_methods,
  .meta = message_meta,
};
