/* net.c - the C part of casting.net.
   SPDX-License-Identifier: MIT

   Small functions that lualib/casting/net_*.lua put together, in a table that
   programs do not reach (internal.sockets); lib/lib_part.c makes casting.net.
   Sockets that are made here have all their options before they are connected
   or bound. */
#include "net.h"

#include "../../../include/casting.h"
#include "../../limits.h"
#include "../compat/auxiliary.h"
#include "../session/library.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "net_udp.h"
#include "net_wait.h"

/* pair(): two streams that are connected. */
static int net_pair(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream *s[2];
  int fd[2], rc, top = lua_gettop(L);
  cast_net_stream_new(L, S);
  cast_net_stream_new(L, S);
  rc = cast_poller_make();
  if (rc == 0) rc = os_socket_pair(fd);
  if (rc != 0) return cast_net_failure(L, rc);
  s[0] = cast_stream_new(fd[0], CAST_STREAM_SOCKET);
  s[1] = cast_stream_new(fd[1], CAST_STREAM_SOCKET);
  for (int i = 0; i < 2; i++) {
    if (s[i] != NULL)
      cast_net_stream_give(L, top + i + 1, s[i]);
    else
      os_close(fd[i]);
  }
  if (s[0] != NULL && s[1] != NULL) return 2;
  if (s[0] != NULL) cast_stream_close(s[0], &S->session);
  cast_raise_memory(L);
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

/* The numeric address in options.bind, if there is one. */
static bool own_address(lua_State *L, int table, os_address *a) {
  bool is;
  if (!lua_istable(L, table)) return false;
  lua_getfield(L, table, "bind");
  is = lua_type(L, -1) == LUA_TSTRING;
  if (is && !os_address_parse(a, lua_tostring(L, -1), 0))
    cast_arg_error(L, table, "bind must be a numeric address");
  lua_pop(L, 1);
  return is;
}

/* socket(host, port, options, bound): an unconnected stream of the family of a
   numeric address; bound to the address in options.bind, if there is one. */
static int net_socket(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream *s;
  os_address a, own;
  bool binds;
  int family, fd, rc = 0;
  if (!cast_net_address(L, 1, 2, &a))
    cast_arg_error(L, 1, "a numeric address expected");
  binds = own_address(L, 3, &own);
  cast_net_stream_new(L, S);
  family = os_address_family(&a);
  rc = cast_poller_make();
  fd = rc == 0 ? os_socket(family, false) : rc;
  if (fd < 0) return cast_net_failure(L, fd);
  s = cast_stream_new(fd, CAST_STREAM_SOCKET);
  if (s == NULL) {
    os_close(fd);
    cast_raise_memory(L);
  }
  cast_net_stream_give(L, -1, s);
  if (family != OS_UNIX) {
    rc = set(L, 3, "nodelay", fd, family, OS_NODELAY, 1);
    if (rc == 0) rc = set(L, 3, "keepalive", fd, family, OS_KEEPALIVE, 15);
  }
  if (rc == 0 && binds) rc = os_bind(fd, &own);
  if (rc == 0) return 1;
  cast_stream_close(s, &S->session); /* now, and not when it is collected */
  return cast_net_failure(L, rc);
}

/* from_fd(fd): the stream, listener or socket for datagrams that it is. */
static int net_from_fd(lua_State *L) {
  cast_state_here(L);
  if (!cast_net_is_fd(L, 1)) {
    const char *got = cast_arg_got(L, 1), *hint = cast_net_fd_hint(L, 1);
    bool is_plain = strcmp(hint, CAST_NET_FD) == 0;
    cast_arg_error(
      L, 1, is_plain ? lua_pushfstring(L, CAST_NET_FD ", got %s", got) : hint);
  }
  return cast_net_adopt(L, (int)lua_tonumber(L, 1));
}

/* was_reset(stream): was it, by the other side? Reads say "closed" then, as at
   the end. */
static int net_was_reset(lua_State *L) {
  const cast_stream *s = cast_net_stream_test(L, 1);
  lua_pushboolean(L, s != NULL && s->broken && !s->closed);
  return 1;
}

/* numeric(host): "inet", "inet6" or "unix"; nil: it is a name. What is wrong
   with it, if anything is, is a second result. */
static int net_numeric(lua_State *L) {
  os_address a;
  size_t n;
  const char *host = cast_arg_string(L, 1, &n), *problem = NULL;
  if (n > 5 && memcmp(host, "unix:", 5) == 0) {
    if (n > 5 + OS_PATH_MOST + (host[5] == '@'))
      problem = "the path of a socket has at most 107 bytes";
    else if (host[5] != '@' && strlen(host) != n)
      problem = "not a path of a socket";
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

const luaL_Reg cast_net_functions[] = {
  {"numeric", net_numeric},
  {"was_reset", net_was_reset},
  {"pair", net_pair},
  {"socket", net_socket},
  {"connect", cast_net_connect},
  {"listen", cast_net_listen},
  {"resolve", cast_net_resolve},
  {"udp", cast_net_udp_new},
  {"wait", cast_net_wait},
  {"is_layered", cast_net_is_layered},
  {"tell", cast_net_tell},
  {"close_now", cast_net_close_now},
  {"from_fd", net_from_fd},
  {NULL, NULL},
};

/* A sandbox without the library may have been given a listener, and what that
   needs is here; what makes sockets is not. */
void cast_net_open(lua_State *L) {
  static const char *const kept[] = {
    "numeric", "was_reset", "is_layered", "tell", "close_now"};
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, cast_net_functions, 1);
  if (cast_libs_has(cast_state_find(L), CAST_LIB_NET)) return;
  lua_newtable(L);
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    lua_getfield(L, -2, kept[i]);
    lua_setfield(L, -2, kept[i]);
  }
  lua_remove(L, -2);
}
