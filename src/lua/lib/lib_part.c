/* lib_part.c - fields that are made when they are read: casting.net, stdin ...
   SPDX-License-Identifier: MIT

   Each is a table that is made when the module's field is first read, or when
   it is required. Most of the functions are written in Lua, as in
   lualib/casting/net_connect.lua, over those of a table of C functions
   (internal.sockets, for example), which a program does not reach; the others
   are in that table themselves. The parts and their functions have names of
   their own, by which they cross to other sessions. */
#include "lib_part.h"

#include "../../base.h"
#include "../compat/single.h"
#include "../io/net.h"
#include "../luasocket/sock.h"
#include "../session/library.h"
#include "../state/state.h"
#include "../transfer/module.h"
#include "../transfer/names.h"
#include "embed.h"
#include "lib_signals.h"

#define MODULE "casting."

/* NULL: the function of that name in the table of C functions. */
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

static const luaL_Reg process_functions[] = {
  {"spawn", cast_embed_stub},
  {"run", cast_embed_stub},
  {"signals", cast_lib_signals},
  {NULL, NULL},
};

static const luaL_Reg fs_functions[] = {
  {"read", cast_embed_stub},
  {"write", cast_embed_stub},
  {"open", cast_embed_stub},
  {"lines", cast_embed_stub},
  {"stat", cast_embed_stub},
  {"list", cast_embed_stub},
  {"walk", cast_embed_stub},
  {"mkdir", cast_embed_stub},
  {"rename", cast_embed_stub},
  {"remove", cast_embed_stub},
  {"temp", cast_embed_stub},
  {"tempdir", cast_embed_stub},
  {"watch", cast_embed_stub},
  {NULL, NULL},
};

/* What the program `casting` calls; not for others. */
static const luaL_Reg launcher_functions[] = {
  {"main", cast_embed_stub},
  {NULL, NULL},
};

static const luaL_Reg socket_functions[] = {
  {"install", cast_sock_install},
  {NULL, NULL},
};

/* The address of one of these is a key of the registry, for its table. */
static const struct part {
  const char *name;          /* as in cast_lib_parts, without MODULE */
  const char *table;         /* of the C functions, in `internal` */
  const luaL_Reg *functions; /* those that programs see */
} parts[] = {
  {"net", "sockets", net_functions},
  {"process", "processes", process_functions},
  {"fs", "files", fs_functions},
  {"socket", "luasocket", socket_functions},
  {"launcher", "terminals", launcher_functions},
};

static const struct part *find_part(const char *name) {
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (strcmp(parts[i].name, name) == 0) return &parts[i];
  return NULL;
}

/* A cast_maker (single.h). */
static void make_part(lua_State *L, const void *arg) {
  const struct part *p = arg;
  int table = lua_gettop(L) + 1;
  lua_newtable(L);
  cast_internal_push(L);
  lua_getfield(L, table + 1, p->table);
  for (const luaL_Reg *f = p->functions; f->name != NULL; f++) {
    if (f->func == cast_embed_stub) {
      cast_state_box(L);
      lua_pushfstring(L, "%s_%s", p->name, f->name);
      lua_pushcclosure(L, f->func, 2);
    } else if (f->func != NULL) {
      cast_state_box(L);
      lua_pushcclosure(L, f->func, 1);
    } else {
      lua_getfield(L, table + 2, f->name);
    }
    lua_setfield(L, table, f->name);
  }
  lua_settop(L, table);
}

/* Gives the table on the top and its functions their names. */
static void give_names(lua_State *L, const struct part *p) {
  cast_state *S = cast_state_find(L);
  int table = lua_gettop(L);
  for (const luaL_Reg *f = p->functions; f->name != NULL; f++) {
    lua_getfield(L, table, f->name);
    if (lua_isfunction(L, -1)) {
      lua_pushfstring(L, MODULE "%s", p->name);
      lua_pushlstring(L, "\0", 1);
      lua_pushstring(L, f->name);
      lua_concat(L, 3);
      cast_names_give(S->packer, L, table + 1);
    }
    lua_settop(L, table);
  }
  lua_pushfstring(L, MODULE "%s", p->name);
  cast_names_give(S->packer, L, table);
}

void cast_lib_part_push(lua_State *L, const char *name) {
  const struct part *p = find_part(name + strlen(MODULE));
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  CAST_ASSERT(p != NULL);
  if (!cast_single_push(L, p, make_part, p)) return;
  give_names(L, p);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushfstring(L, MODULE "%s", p->name);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* casting.stdin, stdout and stderr; false: that is none of these. */
static bool push_standard(lua_State *L, const char *key) {
  const cast_state *S = cast_state_find(L);
  for (int i = 0; i < 3; i++) {
    if (strcmp(key, cast_net_standard_names[i]) != 0) continue;
    if (S != NULL && S->sandbox != NULL)
      cast_lua_error(L, "casting.%s is not available in a sandbox", key);
    cast_net_standard_push(L, i);
    return true;
  }
  return false;
}

/* The value at the top is the module's field from now on: it is returned. */
static int keep_field(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

/* The module's __index, for a field that it lacks. */
static int index_module(lua_State *L) {
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  const cast_lib_part *part;
  if (push_standard(L, key)) return keep_field(L);
  if (find_part(key) == NULL) return 0;
  part = cast_libs_part(lua_pushfstring(L, MODULE "%s", key));
  if (!cast_libs_has(cast_state_find(L), part->lib))
    return cast_lua_error(
      L, lua_pushfstring(L, "%s is not available in a sandbox", part->name));
  cast_lib_part_push(L, part->name);
  return keep_field(L);
}

void cast_lib_parts_open(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, index_module);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "casting");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
}
