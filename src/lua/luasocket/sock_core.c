/* sock_core.c - the modules "socket.core" and "socket.unix".
   SPDX-License-Identifier: MIT

   What may wait several times is written in Lua (lualib/casting/socket_*.lua).
   The loaders have no upvalues: so they cross to new sessions as the other
   loaders of package.preload do. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "../session/library.h"
#include "sock_method.h"

/* -- the classes ---------------------------------------------------------- */

/* A method that is written in Lua. As in LuaSocket the object is checked first,
   and then `n` arguments that are strings. */
static int call_for(
  lua_State *L, unsigned classes, int n, const char *file, const char *name) {
  (void)cast_sock_check(L, 1, classes);
  for (int i = 2; i < 2 + n; i++) (void)luaL_checkstring(L, i);
  lua_settop(L, 1 + n);
  return cast_state_here(L)->binding->call(L, file, name);
}

static int tcp_connect(lua_State *L) {
  return call_for(L, CAST_TCP_ANY, 2, "socket_connect", "connect");
}
static int tcp_bind(lua_State *L) {
  return call_for(L, CAST_SOCK(CAST_TCP_MASTER), 2, "socket_bind", "bind");
}
static int stream_accept(lua_State *L) {
  return call_for(L, CAST_SOCK_SERVER, 0, "socket_accept", "accept");
}
static int unix_connect(lua_State *L) {
  return call_for(L, CAST_SOCK(CAST_UNIX_MASTER) | CAST_DGRAM_ANY, 1,
    "socket_connect_path", "connect");
}
static int unix_bind(lua_State *L) {
  return call_for(L,
    CAST_SOCK(CAST_UNIX_MASTER) | CAST_SOCK(CAST_DGRAM_UNCONNECTED), 1,
    "socket_bind_path", "bind");
}
static int udp_setsockname(lua_State *L) {
  return call_for(
    L, CAST_SOCK(CAST_UDP_UNCONNECTED), 2, "socket_setsockname", "setsockname");
}
/* ("*") takes the peer away. */
static int udp_setpeername(lua_State *L) {
  (void)cast_sock_check(L, 1, CAST_UDP_ANY);
  return call_for(L, CAST_UDP_ANY,
    strcmp(luaL_checkstring(L, 2), "*") == 0 ? 1 : 2, "socket_setpeername",
    "setpeername");
}

#define UNCONNECTED \
  (CAST_SOCK(CAST_UDP_UNCONNECTED) | CAST_SOCK(CAST_DGRAM_UNCONNECTED))
#define CONNECTED \
  (CAST_SOCK(CAST_UDP_CONNECTED) | CAST_SOCK(CAST_DGRAM_CONNECTED))

static int receive_datagram(
  lua_State *L, unsigned classes, const char *file, const char *name) {
  (void)cast_sock_check(L, 1, classes);
  lua_pushnumber(L, luaL_optnumber(L, 2, 8192));
  lua_replace(L, 2);
  lua_settop(L, 2);
  return cast_state_here(L)->binding->call(L, file, name);
}
static int dgram_receive(lua_State *L) {
  lua_settop(L, 2);
  return receive_datagram(L, CAST_SOCK_DATAGRAMS, "socket_take", "receive");
}
static int dgram_receivefrom(lua_State *L) {
  lua_settop(L, 2);
  return receive_datagram(L, UNCONNECTED, "socket_takefrom", "receivefrom");
}
static int dgram_send(lua_State *L) {
  return call_for(L, CONNECTED, 1, "socket_give", "send");
}
static int dgram_sendto(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, UNCONNECTED);
  return call_for(L, UNCONNECTED, k->class == CAST_UDP_UNCONNECTED ? 3 : 2,
    "socket_giveto", "sendto");
}

/* What objects of all classes have. */
#define COMMON                                                                \
  {"close", cast_sock_close}, {"dirty", cast_sock_dirty},                     \
    {"getfd", cast_sock_getfd}, {"setfd", cast_sock_setfd},                   \
    {"setoption", cast_sock_setoption}, {"settimeout", cast_sock_settimeout}, \
  {                                                                           \
    "getsockname", cast_sock_getsockname                                      \
  }
/* Those of streams. */
#define STREAM                                                    \
  {"accept", stream_accept}, {"getstats", cast_sock_getstats},    \
    {"listen", cast_sock_listen}, {"receive", cast_sock_receive}, \
    {"send", cast_sock_send}, {"setstats", cast_sock_setstats}, { \
    "shutdown", cast_sock_shutdown                                \
  }
/* Those for datagrams. */
#define DATAGRAM                                                    \
  {"gettimeout", cast_sock_gettimeout}, {"receive", dgram_receive}, \
    {"receivefrom", dgram_receivefrom}, {"send", dgram_send}, {     \
    "sendto", dgram_sendto                                          \
  }

const luaL_Reg cast_sock_tcp_methods[] = {COMMON, STREAM, {"bind", tcp_bind},
  {"connect", tcp_connect}, {"getfamily", cast_sock_getfamily},
  {"getoption", cast_sock_getoption}, {"getpeername", cast_sock_getpeername},
  {"gettimeout", cast_sock_gettimeout}, {"setpeername", tcp_connect},
  {"setsockname", tcp_bind}, {NULL, NULL}};

const luaL_Reg cast_sock_udp_methods[] = {COMMON, DATAGRAM,
  {"getfamily", cast_sock_getfamily}, {"getoption", cast_sock_getoption},
  {"getpeername", cast_sock_getpeername}, {"setpeername", udp_setpeername},
  {"setsockname", udp_setsockname}, {NULL, NULL}};

const luaL_Reg cast_sock_unix_methods[] = {COMMON, STREAM, {"bind", unix_bind},
  {"connect", unix_connect}, {"setpeername", unix_connect},
  {"setsockname", unix_bind}, {NULL, NULL}};

const luaL_Reg cast_sock_dgram_methods[] = {COMMON, DATAGRAM,
  {"bind", unix_bind}, {"connect", unix_connect}, {"setpeername", unix_connect},
  {"setsockname", unix_bind}, {NULL, NULL}};

/* -- the functions -------------------------------------------------------- */

/* Pushes the table of modules that are loaded. */
static void push_loaded(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
}

/* Pushes package.preload. */
static void push_preload(lua_State *L) {
  push_loaded(L);
  lua_getfield(L, -1, "package");
  lua_remove(L, -2);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "preload");
    lua_remove(L, -2);
  }
  if (!lua_istable(L, -1)) cast_lua_error(L, "there is no package.preload");
}

/* require(name): the module of that name that is not in package.preload, also
   while the loader of that one runs. */
static int require_behind(lua_State *L) {
  int preload = 2, status;
  (void)luaL_checkstring(L, 1);
  lua_settop(L, 1);
  push_preload(L);
  lua_pushvalue(L, 1);
  lua_gettable(L, preload); /* 3: the loader */
  push_loaded(L);
  if (!lua_isnil(L, 3)) {
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    lua_settable(L, preload);
    lua_pushvalue(L, 1);
    lua_pushnil(L); /* 5.1 notes there that it is being loaded */
    lua_settable(L, -3);
  }
  lua_getglobal(L, "require");
  lua_pushvalue(L, 1);
  status = lua_pcall(L, 1, 1, 0);
  /* The loader is there again, for a program that requires it anew. */
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  lua_settable(L, preload);
  return status == LUA_OK ? 1 : lua_error(L);
}

/* methods(name): those of the class whose metatable the registry has by that
   name; nil: there is none. */
static int methods_of(lua_State *L) {
  luaL_getmetatable(L, luaL_checkstring(L, 1));
  if (!lua_istable(L, -1)) return 0;
  lua_getfield(L, -1, "__index");
  return lua_istable(L, -1) ? 1 : 0;
}

/* skip(n, ...): all arguments but the first n. */
static int skip(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  lua_Integer left = lua_gettop(L) - n - 1;
  return left >= 0 && left < lua_gettop(L) ? (int)left : 0;
}

/* gettime(): seconds since 1970, with a fraction. */
static int gettime(lua_State *L) {
  lua_pushnumber(L, (lua_Number)os_wall_ns() / 1e9);
  return 1;
}

static int unload(lua_State *L) {
  CAST_UNUSED(L);
  return 0;
}

static const luaL_Reg functions[] = {
  {"skip", skip},
  {"gettime", gettime},
  {"__unload", unload},
  {"require", require_behind},
  {"methods", methods_of},
  {NULL, NULL},
};

void cast_sock_open(lua_State *L) {
  const luaL_Reg *const all[] = {functions, cast_sock_steps, cast_sock_names};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    cast_state_box(L);
    luaL_setfuncs(L, all[i], 1);
  }
  lua_pushinteger(L, CAST_SOCK_SETSIZE);
  lua_setfield(L, -2, "_SETSIZE");
}

/* Both modules are made in Lua, by functions of these files. */
static int make_core(lua_State *L) {
  return cast_state_here(L)->binding->call(L, "socket_core", "require");
}
static int make_unix(lua_State *L) {
  return cast_state_here(L)->binding->call(L, "socket_unix", "require");
}

/* LuaSec, which is not ours. */
static int make_ssl(lua_State *L) {
  return cast_state_here(L)->binding->call(L, "socket_ssl", "require");
}

static int open_module(lua_State *L, lua_CFunction make) {
  cast_state *S = cast_state_find(L);
  if (S == NULL) cast_raise_closed(L);
  if (!cast_libs_has(S, CAST_LIB_NET))
    return cast_lua_error(L, "casting.socket is not available in a sandbox");
  cast_state_box(L);
  lua_pushcclosure(L, make, 1);
  lua_call(L, 0, 1);
  return 1;
}

int cast_sock_open_core(lua_State *L) { return open_module(L, make_core); }
int cast_sock_open_unix(lua_State *L) { return open_module(L, make_unix); }
int cast_sock_open_ssl(lua_State *L) { return open_module(L, make_ssl); }

/* -- install -------------------------------------------------------------- */

/* Raises if the table of modules at the top has LuaSocket's own core. */
static void check_loaded(lua_State *L) {
  lua_getfield(L, -1, "socket.core");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "tcp");
    if (lua_iscfunction(L, -1))
      cast_lua_error(L, "install: LuaSocket's own core is loaded already: call "
                        "it before anything requires \"socket\"");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

int cast_sock_install(lua_State *L) {
  static const luaL_Reg loaders[] = {
    {"socket.core", cast_sock_open_core},
    {"socket.unix", cast_sock_open_unix},
    {"ssl", cast_sock_open_ssl},
  };
  lua_settop(L, 0);
  if (!cast_libs_has(cast_state_here(L), CAST_LIB_NET))
    return cast_lua_error(L, "casting.socket is not available in a sandbox");
  push_loaded(L);
  check_loaded(L);
  push_preload(L);
  for (size_t i = 0; i < sizeof loaders / sizeof *loaders; i++) {
    lua_pushcfunction(L, loaders[i].func);
    lua_setfield(L, -2, loaders[i].name);
  }
  lua_pushboolean(L, 1);
  return 1;
}
