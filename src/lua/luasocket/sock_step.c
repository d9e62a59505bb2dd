/* sock_step.c - what LuaSocket's calls do between waits.
   SPDX-License-Identifier: MIT

   None of these waits. Where the system says "not now" the first result is
   false, and the caller, in lualib/casting/socket_*.lua, waits and tries again.
   Hosts are numeric here; of a Unix socket there is a path in their place. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../compat/auxiliary.h"
#include "../task/enter.h"
#include "../task/turn.h"
#include "sock.h"

#include <limits.h>

static cast_session *self_of(lua_State *L) {
  return &cast_state_here(L)->session;
}

static bool is_unix(const cast_sock *k) {
  return (CAST_SOCK(k->class) & (CAST_UNIX_ANY | CAST_DGRAM_ANY)) != 0;
}

/* -- making them ---------------------------------------------------------- */

/* A descriptor of that family in place of what it has: 0 or a result of the
   system's. Raises without memory. */
static int renew(lua_State *L, cast_sock *k, int family) {
  int fd = os_socket(family, cast_sock_is_datagram(k));
  if (fd < 0) return fd;
  if (family == OS_INET6) (void)os_set_option(fd, family, OS_V6ONLY, 1);
  cast_sock_own(L, k, fd);
  k->family = family;
  return 0;
}

/* The same, unless it has one of that family already. */
static int provide(lua_State *L, cast_sock *k, int family) {
  return cast_sock_stream(k) != NULL && k->family == family
           ? 0
           : renew(L, k, family);
}

/* new(kind, family): an object: "tcp", "udp", "stream" or "dgram"; "inet",
   "inet6", "unix", or none; or nil, why. */
static int make_sock(lua_State *L) {
  static const char *const kinds[] = {"tcp", "udp", "stream", "dgram", NULL};
  static const cast_sock_class classes[] = {CAST_TCP_MASTER,
    CAST_UDP_UNCONNECTED, CAST_UNIX_MASTER, CAST_DGRAM_UNCONNECTED};
  static const char *const families[] = {"inet", "inet6", "unix", "none", NULL};
  static const int values[] = {OS_INET, OS_INET6, OS_UNIX, OS_OTHER};
  cast_sock_class class = classes[luaL_checkoption(L, 1, NULL, kinds)];
  int family = values[luaL_checkoption(L, 2, "none", families)];
  cast_sock *k = cast_sock_push(L, cast_state_here(L), class, family);
  int rc = family == OS_OTHER ? 0 : renew(L, k, family);
  return rc == 0 ? 1 : cast_sock_failure(L, k, rc);
}

/* family(object): "inet", "inet6", or "unspec". */
static int tell_family(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  lua_pushstring(L, k->family == OS_INET    ? "inet"
                    : k->family == OS_INET6 ? "inet6"
                                            : "unspec");
  return 1;
}

/* timeouts(object): that of each wait, that of each call; below 0: none. */
static int tell_timeouts(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  lua_pushnumber(L, k->block >= 0 ? k->block : -1);
  lua_pushnumber(L, k->total >= 0 ? k->total : -1);
  return 2;
}

/* seconds(object): how long a call may wait; nil: there is no end. */
static int tell_seconds(lua_State *L) {
  double seconds = cast_sock_seconds(cast_sock_check(L, 1, CAST_SOCK_ANY));
  if (seconds >= 0)
    lua_pushnumber(L, seconds);
  else
    lua_pushnil(L);
  return 1;
}

/* closes(object): how often it was closed: with another number than before a
   wait, it must not get a descriptor after it. */
static int tell_closes(lua_State *L) {
  lua_pushnumber(L, cast_sock_check(L, 1, CAST_SOCK_ANY)->ncloses);
  return 1;
}

/* refuse(object): nil, and that it is closed. */
static int refuse_closed(lua_State *L) {
  return cast_sock_failure(
    L, cast_sock_check(L, 1, CAST_SOCK_ANY), CASTING_ECLOSED);
}

/* become(object, connected): the class that it has from now on. */
static int become(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  bool connected = lua_toboolean(L, 2);
  cast_sock_class class;
  if (CAST_SOCK(k->class) & CAST_TCP_ANY)
    class = CAST_TCP_CLIENT;
  else if (CAST_SOCK(k->class) & CAST_UNIX_ANY)
    class = CAST_UNIX_CLIENT;
  else if (CAST_SOCK(k->class) & CAST_UDP_ANY)
    class = connected ? CAST_UDP_CONNECTED : CAST_UDP_UNCONNECTED;
  else
    class = connected ? CAST_DGRAM_CONNECTED : CAST_DGRAM_UNCONNECTED;
  cast_sock_become(L, 1, k, class);
  return 0;
}

/* -- addresses ------------------------------------------------------------ */

/* The address that is at index 2, and its port at 3. False: nil and why are
   pushed. */
static bool read_address(lua_State *L, const cast_sock *k, os_address *a) {
  size_t size;
  const char *host = luaL_checklstring(L, 2, &size);
  if (!is_unix(k)) {
    if (os_address_parse(a, host, (uint16_t)luaL_checkinteger(L, 3)))
      return true;
    lua_pushnil(L);
    lua_pushliteral(L, "host or service not provided, or not known");
    return false;
  }
  if (os_address_unix(a, host, size)) return true;
  lua_pushnil(L);
  lua_pushstring(L, size > OS_PATH_MOST ? "path too long" : "Invalid argument");
  return false;
}

/* A Unix socket that a call has failed for is closed, as LuaSocket does. */
static int conclude(lua_State *L, cast_sock *k, intptr_t rc) {
  cast_stream *s = cast_sock_stream(k);
  if (rc != 0 && is_unix(k) && s != NULL) cast_stream_close(s, self_of(L));
  return cast_sock_outcome(L, k, rc);
}

/* bind(object, host, port), bind(object, path) */
static int bind_to(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  os_address a;
  int rc;
  if (!read_address(L, k, &a)) return 2;
  if (is_unix(k) && cast_sock_stream(k) == NULL)
    return cast_sock_failure(L, k, OS_EBADF);
  rc = provide(L, k, os_address_family(&a));
  if (rc == 0) rc = os_bind(cast_sock_fd(k), &a);
  return conclude(L, k, rc);
}

/* It is connected, perhaps not for the first time. */
static void begin_anew(cast_stream *s) {
  s->ended = s->broken = s->shut = s->drained = s->full = false;
}

/* connect(object, host, port), connect(object, path): false: it is under way,
   or, if "full" is the second result, to be tried again: a Unix socket's
   backlog has no room, and nothing tells when it has. */
static int connect_to(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  os_address a;
  int rc;
  if (!read_address(L, k, &a)) return 2;
  if (is_unix(k) && cast_sock_stream(k) == NULL)
    return cast_sock_failure(L, k, CASTING_ECLOSED);
  rc = provide(L, k, os_address_family(&a));
  if (rc != 0) return cast_sock_failure(L, k, rc);
  rc = os_connect(cast_sock_fd(k), &a);
  if (rc == 0 && !cast_sock_is_datagram(k))
    rc = os_check_peer(cast_sock_fd(k), &a);
  if (rc == OS_EAGAIN || os_is_full(rc)) {
    lua_pushboolean(L, 0);
    lua_pushstring(L, rc == OS_EAGAIN ? "under way" : "full");
    return 2;
  }
  if (rc == 0)
    begin_anew(k->handle.stream);
  else /* why nothing comes is asked anew */
    k->handle.stream->ended = k->handle.stream->broken = false;
  return conclude(L, k, rc);
}

/* connected(object): is it now? false: it is under way. */
static int is_connected(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  cast_stream *s = cast_sock_stream(k);
  int rc;
  if (s == NULL) return cast_sock_failure(L, k, CASTING_ECLOSED);
  rc = cast_net_connect_ask(s, self_of(L));
  if (rc == 0) begin_anew(s);
  if (rc != OS_EAGAIN) return conclude(L, k, rc);
  lua_pushboolean(L, 0);
  return 1;
}

/* forget(object): its family is not chosen any more, so the next time that it
   connects it has a new descriptor. */
static int forget_family(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_TCP_ANY);
  k->family = OS_OTHER;
  return 0;
}

/* disconnect(object): a socket for datagrams has no peer any more. */
static int disconnect(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_UDP_ANY);
  if (cast_sock_stream(k) != NULL) (void)os_disconnect(cast_sock_fd(k));
  return cast_sock_outcome(L, k, 0);
}

/* -- what waits ----------------------------------------------------------- */

/* accept(server [, spare]): a client; nil, why; or false, nil, and an object to
   be given to the next try. */
static int accept_one(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_SERVER);
  cast_stream *s;
  cast_sock *client;
  os_address peer;
  int fd, nfailed = 0;
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    (void)cast_sock_push(L, cast_state_here(L),
      k->class == CAST_TCP_SERVER ? CAST_TCP_CLIENT : CAST_UNIX_CLIENT,
      k->family);
    lua_replace(L, 2);
  }
  client = cast_sock_check(L, 2, CAST_SOCK_CLIENT);
  s = cast_sock_stream(k);
  if (s == NULL || !cast_descriptor_begin(s->file))
    return cast_sock_failure(L, k, CASTING_ECLOSED);
  cast_descriptor_try(s->file, CAST_READ);
  do fd = os_accept(s->file->fd, &peer);
  while (fd < 0 && os_is_undone(fd) && ++nfailed < CAST_ACCEPT_FAILED);
  cast_descriptor_end(s->file);
  if (fd != OS_EAGAIN) cast_descriptor_pass(s->file, CAST_READ, self_of(L));
  if (fd == OS_EAGAIN) {
    lua_pushboolean(L, 0);
    lua_pushnil(L);
    lua_pushvalue(L, 2);
    return 3;
  }
  if (fd < 0) return cast_sock_failure(L, k, fd);
  cast_sock_own(L, client, fd);
  return 1;
}

/* What came of a step for datagrams, if it is no success. */
static int push_failure(lua_State *L, const cast_sock *k, intptr_t rc) {
  if (rc != OS_EAGAIN) return cast_sock_failure(L, k, rc);
  lua_pushboolean(L, 0);
  return 1;
}

/* Pushes the sender of a datagram: host and port, or a path: how many. */
static int push_sender(lua_State *L, const os_address *from) {
  char host[OS_HOST_SIZE];
  uint16_t port;
  (void)os_address_text(from, host, &port);
  lua_pushstring(L, host);
  if (from->size == 0 || os_address_family(from) == OS_UNIX) return 1;
  lua_pushinteger(L, port);
  return 2;
}

/* take(object, n, sender): the next datagram, cut to n bytes, and its sender if
   that is asked for; false: there is none. */
static int take_datagram(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_DATAGRAMS);
  lua_Number n = luaL_checknumber(L, 2);
  bool sender = lua_toboolean(L, 3);
  size_t most =
    n > 0 ? (size_t)(n < CAST_DATAGRAM_MOST ? n : CAST_DATAGRAM_MOST) : 0;
  void *to = cast_lua_newuserdata(L, most + 1);
  cast_stream *s = cast_sock_stream(k);
  os_address from = {.size = 0};
  intptr_t rc;
  if (s == NULL || !cast_descriptor_begin(s->file))
    return cast_sock_failure(L, k, CASTING_ECLOSED);
  cast_descriptor_try(s->file, CAST_READ);
  rc = os_receive_some(s->file->fd, to, most, &from);
  cast_descriptor_end(s->file);
  if (rc != OS_EAGAIN) cast_descriptor_pass(s->file, CAST_READ, self_of(L));
  if (rc < 0) return push_failure(L, k, rc);
  s->nread += (uint64_t)rc;
  lua_pushlstring(L, to, (size_t)rc);
  return 1 + (sender ? push_sender(L, &from) : 0);
}

/* give(object, data [, host, port]), give(object, data, path): how many bytes
   went; false; or nil, why. */
static int give_datagram(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_DATAGRAMS);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  bool has_to = !lua_isnoneornil(L, 3);
  cast_stream *s;
  os_address to;
  intptr_t rc;
  if (has_to) {
    lua_pushvalue(L, 2); /* stays, while the address is at 2 and 3 */
    lua_remove(L, 2);
    if (!read_address(L, k, &to)) return 2;
    if (k->family == OS_OTHER) {
      rc = provide(L, k, os_address_family(&to));
      if (rc != 0) return cast_sock_failure(L, k, rc);
    }
  }
  s = cast_sock_stream(k);
  if (s == NULL || !cast_descriptor_begin(s->file))
    return cast_sock_failure(L, k, CASTING_ECLOSED);
  cast_descriptor_try(s->file, CAST_WRITE);
  rc = os_send(s->file->fd, data, size, has_to ? &to : NULL);
  cast_descriptor_end(s->file);
  if (rc != OS_EAGAIN) cast_descriptor_pass(s->file, CAST_WRITE, self_of(L));
  if (rc < 0) return push_failure(L, k, rc);
  s->nwritten += (uint64_t)rc;
  lua_pushnumber(L, (lua_Number)rc);
  return 1;
}

/* lose(fd): the number is about to be closed by other code. Who waits for it is
   told that it is closed. */
static int lose(lua_State *L) {
  lua_Number fd = luaL_checknumber(L, 1);
  if (fd >= 0 && fd <= INT_MAX && !cast_descriptor_owns((int)fd))
    cast_descriptor_lost((int)fd);
  return 0;
}

/* due(): shall the task let others have their turn? (turn.h) It has done much,
   so the slice is over with it. */
static int is_due(lua_State *L) {
  cast_state *S = cast_state_here(L);
  bool due = S->session.current != NULL &&
             cast_turn_is_due(S, cast_ltask_of(S->session.current));
  if (due) cast_session_hurry(&S->session);
  lua_pushboolean(L, due);
  return 1;
}

/* number(v): what is a number, or a string that is one; nil: v is neither. */
static int to_number(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnumber(L, 1))
    lua_pushnumber(L, lua_tonumber(L, 1));
  else
    lua_pushnil(L);
  return 1;
}

const luaL_Reg cast_sock_steps[] = {
  {"number", to_number},
  {"new", make_sock},
  {"family", tell_family},
  {"timeouts", tell_timeouts},
  {"seconds", tell_seconds},
  {"closes", tell_closes},
  {"refuse", refuse_closed},
  {"become", become},
  {"bind", bind_to},
  {"connect", connect_to},
  {"connected", is_connected},
  {"forget", forget_family},
  {"disconnect", disconnect},
  {"accept", accept_one},
  {"take", take_datagram},
  {"give", give_datagram},
  {"due", is_due},
  {"lose", lose},
  {"wait", cast_sock_wait},
  {"poll", cast_sock_poll},
  {"wait_all", cast_sock_wait_all},
  {"receive_within", cast_sock_receive_within},
  {"send_within", cast_sock_send_within},
  {NULL, NULL},
};
