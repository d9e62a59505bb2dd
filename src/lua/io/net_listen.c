/* net_listen.c - making listeners, and adopting numbers of the program's.
   SPDX-License-Identifier: MIT

   All that may raise is done before there is a descriptor: the options are
   read, and the handle is made. */
#include "../../../include/casting.h"
#include "../../host.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "net.h"
#include "net_listener.h"
#include "net_udp.h"

#include <limits.h>

/* -- options -------------------------------------------------------------- */

typedef struct options {
  int backlog;   /* 0: the system's most */
  int reuseport; /* -1: not said */
  int v6only;    /* -1: not said */
  int mode;      /* of a path; -1: not said */
  int unlink;    /* the path, when it is closed */
  int nodelay;   /* of its connections, which inherit these */
  int keepalive; /* seconds; 0: off */
} options;

/* An integer from 0 to `most`, or a boolean; otherwise what was there. */
static int number_option(
  lua_State *L, int table, const char *name, int most, int otherwise) {
  int value = otherwise;
  lua_getfield(L, table, name);
  if (lua_isboolean(L, -1)) {
    value = lua_toboolean(L, -1);
  } else if (!lua_isnil(L, -1)) {
    lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(n >= 0 && n <= most && n == (lua_Number)(int)n))
      cast_arg_error(L, table,
        lua_pushfstring(L, "%s must be an integer from 0 to %d", name, most));
    value = (int)n;
  }
  lua_pop(L, 1);
  return value;
}

/* A number, or its octal digits as a string ("660"); -1: not said. */
static int mode_option(lua_State *L, int table) {
  int mode = -1;
  lua_getfield(L, table, "mode");
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *p = lua_tostring(L, -1);
    size_t n = strspn(p, "01234567");
    if (n == 0 || n > 4 || p[n] != '\0')
      cast_arg_error(L, table, "mode must be octal digits, such as \"660\"");
    for (mode = 0; *p != '\0'; p++) mode = mode * 8 + (*p - '0');
    lua_pop(L, 1);
  } else {
    lua_pop(L, 1);
    mode = number_option(L, table, "mode", 0777, -1);
  }
  if (mode > 0777) cast_arg_error(L, table, "mode must be at most \"777\"");
  return mode;
}

static options read_options(lua_State *L, int table) {
  options o = {0, -1, -1, -1, 1, 1, 15};
  if (lua_isnoneornil(L, table)) return o;
  cast_arg_table(L, table);
  o.backlog = number_option(L, table, "backlog", INT_MAX, 0);
  o.reuseport = number_option(L, table, "reuseport", 1, -1);
  o.v6only = number_option(L, table, "v6only", 1, -1);
  o.mode = mode_option(L, table);
  o.unlink = number_option(L, table, "unlink", 1, 1);
  o.nodelay = number_option(L, table, "nodelay", 1, 1);
  o.keepalive = number_option(L, table, "keepalive", 32767, 15);
  return o;
}

/* -- listening ------------------------------------------------------------ */

/* What the system copies to each connection that is accepted, so that none
   costs a call: as net.connect sets it. */
static int set_inherited(int fd, int family, const options *o) {
  int rc = os_set_option(fd, family, OS_NODELAY, o->nodelay);
  return rc == 0 ? os_set_option(fd, family, OS_KEEPALIVE, o->keepalive) : rc;
}

static int listen_on(int fd, const os_address *a, const options *o, bool locked,
  os_socket_file *place) {
  int family = os_address_family(a), rc = 0;
  place->process = 0;
  if (os_address_has_path(a))
    return os_listen_path(fd, a, o->mode, o->backlog, locked, place);
  if (family != OS_UNIX) {
    rc = os_set_option(fd, family, OS_REUSEADDR, 1);
    if (rc == 0 && o->reuseport >= 0)
      rc = os_set_option(fd, family, OS_REUSEPORT, o->reuseport);
    if (rc == 0 && family == OS_INET6 && o->v6only >= 0)
      rc = os_set_option(fd, family, OS_V6ONLY, o->v6only);
    if (rc == 0) rc = set_inherited(fd, family, o);
  }
  if (rc == 0) rc = os_bind(fd, a);
  return rc == 0 ? os_listen(fd, o->backlog) : rc;
}

/* listen(host, port, options [, locked]): a listener for a numeric address;
   with `locked` false if another process has locked the path's directory. */
int cast_net_listen(lua_State *L) {
  cast_listener *l;
  os_address a;
  os_socket_file place;
  options o;
  bool locked = lua_toboolean(L, 4) != 0;
  int fd, rc;
  if (!cast_net_address(L, 1, 2, &a))
    cast_arg_error(L, 1, "a numeric address expected");
  o = read_options(L, 3);
  l = cast_listener_push(L);
  rc = cast_poller_make();
  fd = rc == 0 ? os_socket(os_address_family(&a), false) : rc;
  if (fd < 0) return cast_net_failure(L, fd);
  rc = listen_on(fd, &a, &o, locked, &place);
  if (rc == 0) rc = cast_listener_own(l, fd, &place, o.unlink != 0);
  if (rc == 0) return 1;
  (void)os_remove_path(&a, &place);
  os_close(fd);
  if (rc != OS_EAGAIN) return cast_net_failure(L, rc);
  lua_pushboolean(L, 0);
  return 1;
}

/* -- adopting ------------------------------------------------------------- */

/* Does the open file belong to nobody else, as far as one can tell? What the
   program was started with is used by others, too, and by io.write, which loses
   what it cannot write at once: by whatever number it is adopted. */
static bool is_own(int fd, const os_kind *kind) {
  return (kind->is_socket || kind->is_pipe) && !os_is_standard(fd);
}

static int adopt_listener(lua_State *L, int fd, const os_kind *kind) {
  cast_listener *l = cast_listener_push(L);
  int rc = kind->is_blocking ? os_nonblocking(fd, true) : 0;
  if (rc == 0) rc = cast_listener_own(l, fd, NULL, false);
  return rc == 0 ? 1 : cast_net_failure(L, rc);
}

/* One that other processes may share stays as it is, and would block. */
static int adopt_datagrams(lua_State *L, int fd, const os_kind *kind) {
  int rc = 0;
  if (!is_own(fd, kind) || kind->family == OS_OTHER) {
    lua_pushnil(L);
    lua_pushliteral(L, "this socket for datagrams cannot be adopted");
    return 2;
  }
  if (kind->is_blocking) rc = os_nonblocking(fd, true);
  if (rc != 0) return cast_net_failure(L, rc);
  (void)cast_net_udp_push(L, cast_state_find(L), fd, kind->family);
  return 1;
}

static int adopt_stream(lua_State *L, int fd, const os_kind *kind) {
  cast_stream *s;
  cast_stream_origin origin =
    kind->is_file ? CAST_STREAM_FILE : CAST_STREAM_SHARED;
  int rc = 0;
  cast_net_stream_new(L, cast_state_find(L));
  if (is_own(fd, kind)) {
    origin = kind->is_socket ? CAST_STREAM_SOCKET : CAST_STREAM_OTHER;
    rc = os_nonblocking(fd, true);
  }
  if (rc != 0) return cast_net_failure(L, rc);
  s = cast_stream_new(fd, origin);
  if (s == NULL) cast_raise_memory(L);
  s->is_socket = kind->is_socket;
  s->is_terminal = kind->is_terminal;
  cast_net_stream_give(L, -1, s);
  return 1;
}

static int refuse(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

int cast_net_adopt(lua_State *L, int fd) {
  os_kind kind;
  int rc = os_describe(fd, &kind);
  if (rc == 0) rc = cast_poller_make();
  if (rc != 0) return cast_net_failure(L, rc);
  if (cast_poller_owns(fd) || cast_hosts_own(fd))
    return refuse(L, "this descriptor is casting's own");
  if (cast_descriptor_owns(fd))
    return refuse(L, "another socket has this descriptor");
  if (kind.is_socket && !kind.is_stream && !kind.is_datagram)
    /* Nothing tells an empty packet from the end, and a read cuts others. */
    return refuse(L, "this socket of packets cannot be adopted");
  if (fd > 2) os_close_on_exec(fd);
  if (kind.is_listening) return adopt_listener(L, fd, &kind);
  if (kind.is_datagram) return adopt_datagrams(L, fd, &kind);
  return adopt_stream(L, fd, &kind);
}
