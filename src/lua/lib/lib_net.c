/* lib_net.c - the table casting.net.
   SPDX-License-Identifier: MIT

   It is made when the module's field `net` is first read, or when it is
   required. Most of its functions are written in Lua, lualib/casting/net_*.lua,
   over those of the table internal.sockets (io/net.c), which a program does not
   reach; the others are in that table themselves. The table and its functions
   have names of their own, by which they cross to other sessions. */
#include "lib_net.h"

#include "../../base.h"
#include "../compat/single.h"
#include "../session/library.h"
#include "../state/state.h"
#include "../transfer/module.h"
#include "../transfer/names.h"
#include "embed.h"

static const char net_key = 0; /* of the table, in the registry */

/* NULL: the function of that name in internal.sockets. */
static const luaL_Reg net_functions[] = {
  {"connect", cast_embed_stub},
  {"listen", cast_embed_stub},
  {"resolve", cast_embed_stub},
  {"udp", cast_embed_stub},
  {"pair", NULL},
  {"wait", NULL},
  {"from_fd", NULL},
  {NULL, NULL},
};

/* A cast_maker (single.h). */
static void make_net(lua_State *L, const void *arg) {
  int net = lua_gettop(L) + 1;
  CAST_UNUSED(arg);
  lua_newtable(L);
  cast_internal_push(L);
  lua_getfield(L, net + 1, "sockets");
  for (const luaL_Reg *f = net_functions; f->name != NULL; f++) {
    if (f->func != NULL) {
      cast_state_box(L);
      lua_pushfstring(L, "net_%s", f->name);
      lua_pushcclosure(L, f->func, 2);
    } else {
      lua_getfield(L, net + 2, f->name);
    }
    lua_setfield(L, net, f->name);
  }
  lua_settop(L, net);
}

/* Gives the table on the top and its functions their names. */
static void give_names(lua_State *L) {
  cast_state *S = cast_state_find(L);
  int net = lua_gettop(L);
  for (const luaL_Reg *f = net_functions; f->name != NULL; f++) {
    lua_getfield(L, net, f->name);
    if (lua_isfunction(L, -1)) {
      lua_pushliteral(L, CAST_NET_NAME);
      lua_pushlstring(L, "\0", 1);
      lua_pushstring(L, f->name);
      lua_concat(L, 3);
      cast_names_give(S->packer, L, net + 1);
    }
    lua_settop(L, net);
  }
  lua_pushliteral(L, CAST_NET_NAME);
  cast_names_give(S->packer, L, net);
}

void cast_lib_net_push(lua_State *L) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (!cast_single_push(L, &net_key, make_net, NULL)) return;
  give_names(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushliteral(L, CAST_NET_NAME);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* The module's __index, for a field that it lacks. */
static int index_module(lua_State *L) {
  static const char name[] = "net";
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(key, name) != 0) return 0;
  if (!cast_libs_has_net(cast_state_find(L)))
    return cast_lua_error(L, "casting.net is not available in a sandbox");
  cast_lib_net_push(L);
  lua_pushvalue(L, -1);
  lua_pushvalue(L, 2);
  lua_insert(L, -2);
  lua_rawset(L, 1);
  return 1;
}

void cast_lib_net_open(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, index_module);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "casting");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}
