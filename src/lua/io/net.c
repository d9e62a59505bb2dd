/* net.c - the C part of casting.net.
   SPDX-License-Identifier: MIT

   Small functions that lua/casting/net_*.lua put together, in a table that
   programs do not reach (internal.sockets); lib/lib_net.c makes casting.net.
   Sockets that are made here have all their options before they are connected
   or bound. */
#include "net.h"

#include "../../../include/casting.h"
#include "../../limits.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "net_listener.h"
#include "net_udp.h"

/* Gives the handle a stream with that descriptor. */
static void own(lua_State *L, cast_stream **at, int fd) {
  *at = cast_stream_new(fd, true);
  if (*at == NULL) cast_raise_memory(L);
}

/* pair(): two streams that are connected. */
static int net_pair(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream **a = cast_net_stream_new(L, S), **b = cast_net_stream_new(L, S);
  int fd[2], rc = os_socket_pair(fd);
  if (rc != 0) return cast_net_failure(L, rc);
  *a = cast_stream_new(fd[0], true);
  if (*a == NULL) os_close(fd[1]);
  if (*a == NULL) cast_raise_memory(L);
  own(L, b, fd[1]);
  return 2;
}

/* An option of the table at 3, as a number; a boolean is 0 or 1. */
static bool option(lua_State *L, int table, const char *name, int *value) {
  bool is = false;
  if (!lua_istable(L, table)) return false;
  lua_getfield(L, table, name);
  if (lua_isboolean(L, -1)) {
    *value = lua_toboolean(L, -1);
    is = true;
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    *value = (int)lua_tointeger(L, -1);
    is = true;
  }
  lua_pop(L, 1);
  return is;
}

static int set(lua_State *L, int table, const char *name, int fd, int family,
  os_option what, int otherwise) {
  int value = otherwise;
  if (!option(L, table, name, &value) && otherwise < 0) return 0;
  return os_set_option(fd, family, what, value);
}

/* socket(host, port, options, bound): an unconnected stream of the family of a
   numeric address; bound to the address in options.bind, if there is one. */
static int net_socket(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream **at = cast_net_stream_new(L, S);
  os_address a, own_address;
  int family, fd, rc = 0;
  if (!cast_net_address(L, 1, 2, &a))
    cast_arg_error(L, 1, "a numeric address expected");
  family = os_address_family(&a);
  fd = os_socket(family, false);
  if (fd < 0) return cast_net_failure(L, fd);
  own(L, at, fd);
  if (family != OS_UNIX) {
    rc = set(L, 3, "nodelay", fd, family, OS_NODELAY, 1);
    if (rc == 0) rc = set(L, 3, "keepalive", fd, family, OS_KEEPALIVE, 15);
  }
  if (rc == 0 && lua_istable(L, 3)) {
    lua_getfield(L, 3, "bind");
    if (lua_type(L, -1) == LUA_TSTRING) {
      if (!os_address_parse(&own_address, lua_tostring(L, -1), 0))
        cast_arg_error(L, 3, "bind must be a numeric address");
      rc = os_bind(fd, &own_address);
    }
    lua_pop(L, 1);
  }
  if (rc != 0) return cast_net_failure(L, rc);
  return 1;
}

static int listen_on(
  lua_State *L, int fd, const os_address *a, int family, int options) {
  int backlog = 0, rc = 0;
  if (family != OS_UNIX) {
    rc = os_set_option(fd, family, OS_REUSEADDR, 1);
    if (rc == 0)
      rc = set(L, options, "reuseport", fd, family, OS_REUSEPORT, -1);
    if (rc == 0 && family == OS_INET6)
      rc = set(L, options, "v6only", fd, family, OS_V6ONLY, -1);
  }
  if (rc == 0) rc = os_bind(fd, a);
  (void)option(L, options, "backlog", &backlog);
  return rc == 0 ? os_listen(fd, backlog) : rc;
}

/* listen(host, port, options): a listener for a numeric address. */
static int net_listen(lua_State *L) {
  os_address a;
  int family, fd, rc;
  const char *host;
  if (!cast_net_address(L, 1, 2, &a))
    cast_arg_error(L, 1, "a numeric address expected");
  family = os_address_family(&a);
  fd = os_socket(family, false);
  if (fd < 0) return cast_net_failure(L, fd);
  rc = listen_on(L, fd, &a, family, 3);
  if (rc != 0) {
    os_close(fd);
    return cast_net_failure(L, rc);
  }
  host = lua_tostring(L, 1);
  cast_listener_push(
    L, fd, family == OS_UNIX && host[5] != '@' ? host + 5 : NULL);
  return 1;
}

/* numeric(host): "inet", "inet6" or "unix"; nil: it is a name. What is wrong
   with it, if anything is, is a second result. */
static int net_numeric(lua_State *L) {
  os_address a;
  size_t n;
  const char *host = cast_arg_string(L, 1, &n), *problem = NULL;
  if (n > 5 && memcmp(host, "unix:", 5) == 0) {
    if (n > 5 + OS_PATH_MOST)
      problem = "the path of a socket has at most 107 bytes";
    lua_pushliteral(L, "unix");
  } else if (n == 0 || n > CAST_NAME_MOST) {
    problem = "a name must have 1 to 253 bytes";
    lua_pushnil(L);
  } else if (strlen(host) != n) {
    problem = "a name has no zero bytes";
    lua_pushnil(L);
  } else if (os_address_parse(&a, host, 0)) {
    lua_pushstring(L, os_address_family(&a) == OS_INET ? "inet" : "inet6");
  } else {
    lua_pushnil(L);
  }
  lua_pushstring(L, problem); /* or nil */
  return 2;
}

static const luaL_Reg functions[] = {
  {"numeric", net_numeric},
  {"pair", net_pair},
  {"socket", net_socket},
  {"connect", cast_net_connect},
  {"listen", net_listen},
  {"resolve", cast_net_resolve},
  {"udp", cast_net_udp_new},
  {"wait", cast_net_wait},
  {"until_closed", cast_net_until_closed},
  {NULL, NULL},
};

void cast_net_open(lua_State *L) {
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, functions, 1);
}
