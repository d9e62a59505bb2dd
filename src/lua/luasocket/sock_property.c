/* sock_property.c - methods of LuaSocket's objects that are done at once.
   SPDX-License-Identifier: MIT */
#include "../../../include/casting.h"
#include "../compat/auxiliary.h"
#include "sock_method.h"

#include <limits.h>

/* For what needs a descriptor: false if there is none. */
static bool begin(const cast_sock *k) {
  const cast_stream *s = cast_sock_stream(k);
  return s != NULL && cast_descriptor_begin(s->file);
}
static void end(const cast_sock *k) {
  cast_descriptor_end(k->handle.stream->file);
}

/* -- the descriptor ------------------------------------------------------- */

int cast_sock_close(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  cast_stream *s = cast_sock_stream(k);
  k->ncloses++;
  if (s != NULL) cast_stream_close(s, &cast_state_here(L)->session);
  return cast_sock_outcome(L, k, 0);
}

int cast_sock_getfd(lua_State *L) {
  lua_pushnumber(L, cast_sock_fd(cast_sock_check(L, 1, CAST_SOCK_ANY)));
  return 1;
}

/* The number that the object has is the program's from now on, which may have
   given it to another library: LuaSec takes a connection over like that. It
   stays open, and tasks that wait for it here are told that it is closed. Then
   the object has the number n, unless that is below 0, or not open. A standard
   descriptor keeps its flags, since other processes share these. */
int cast_sock_setfd(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  lua_Number n = luaL_checknumber(L, 2);
  cast_state *S = cast_state_here(L);
  cast_stream *s = cast_sock_stream(k);
  cast_stream_origin origin = CAST_STREAM_SHARED;
  os_kind kind;
  k->ncloses++;
  if (s != NULL) (void)cast_stream_release(s, &S->session);
  if (!(n >= 0 && n <= INT_MAX) || os_describe((int)n, &kind) != 0) return 0;
  if (!os_is_standard((int)n) && os_nonblocking((int)n, true) == 0)
    origin = CAST_STREAM_SOCKET;
  if (!cast_sock_take(L, k, (int)n, origin)) cast_raise_memory(L);
  return 0;
}

/* Bytes that were read and that nobody has taken. */
int cast_sock_dirty(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  const cast_stream *s = cast_sock_stream(k);
  lua_pushboolean(L, s != NULL && cast_stream_left(s) > 0);
  return 1;
}

int cast_sock_getfamily(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_TCP_ANY | CAST_UDP_ANY);
  lua_pushstring(L, k->family == OS_INET6 ? "inet6" : "inet4");
  return 1;
}

int cast_sock_shutdown(lua_State *L) {
  static const char *const ways[] = {"both", "send", "receive", NULL};
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  int way = luaL_checkoption(L, 2, "both", ways);
  cast_stream *s = cast_sock_stream(k);
  if (s == NULL) return cast_sock_outcome(L, k, 0);
  if (way < 2) (void)cast_stream_shut(s);
  if (way != 1 && begin(k)) {
    (void)os_shutdown_read(s->file->fd);
    end(k);
    cast_descriptor_pass(s->file, CAST_READ, &cast_state_here(L)->session);
  }
  return cast_sock_outcome(L, k, 0);
}

/* -- timeouts ------------------------------------------------------------- */

int cast_sock_settimeout(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  double seconds = luaL_optnumber(L, 2, -1);
  const char *mode = luaL_optstring(L, 3, "b");
  switch (mode[0]) {
  case 'b': k->block = seconds; break;
  case 'r':
  case 't': k->total = seconds; break;
  default: return luaL_argerror(L, 3, "invalid timeout mode");
  }
  return cast_sock_outcome(L, k, 0);
}

int cast_sock_gettimeout(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  lua_pushnumber(L, k->block);
  lua_pushnumber(L, k->total);
  return 2;
}

/* -- counts --------------------------------------------------------------- */

static double received(const cast_sock *k) {
  const cast_stream *s = k->handle.stream;
  return k->received + (s != NULL ? (double)cast_stream_taken(s) : 0);
}
static double sent(const cast_sock *k) {
  const cast_stream *s = k->handle.stream;
  return k->sent + (s != NULL ? (double)s->nwritten : 0);
}

int cast_sock_getstats(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  lua_pushnumber(L, received(k));
  lua_pushnumber(L, sent(k));
  lua_pushnumber(L, (double)(int64_t)(os_now() - k->born_ns) / 1e9);
  return 3;
}

int cast_sock_setstats(lua_State *L) {
  cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  k->received += luaL_optnumber(L, 2, received(k)) - received(k);
  k->sent += luaL_optnumber(L, 3, sent(k)) - sent(k);
  if (lua_isnumber(L, 4)) {
    double age = lua_tonumber(L, 4) * 1e9;
    if (age > -9e18 && age < 9e18)
      k->born_ns = os_now() - (uint64_t)(int64_t)age;
  }
  return cast_sock_outcome(L, k, 0);
}

/* -- addresses ------------------------------------------------------------ */

/* What the system is asked with, or "bad file descriptor". */
static int address_of(
  const cast_sock *k, int (*ask)(int fd, os_address *a), os_address *a) {
  int rc;
  if (!begin(k)) return OS_EBADF;
  rc = ask(k->handle.stream->file->fd, a);
  end(k);
  return rc;
}

/* Host, port and family; of a Unix socket its path. */
static int push_address(
  lua_State *L, const cast_sock *k, int (*ask)(int fd, os_address *a)) {
  char host[OS_HOST_SIZE], text[CAST_SOCK_TEXT];
  os_address a;
  uint16_t port;
  int rc = address_of(k, ask, &a);
  if (rc != 0) {
    lua_pushnil(L);
    if (os_is_gone(rc))
      lua_pushliteral(L, CAST_SOCK_UNCONNECTED);
    else
      lua_pushstring(L, cast_sock_text(rc, text));
    return 2;
  }
  (void)os_address_text(&a, host, &port);
  lua_pushstring(L, host);
  if (os_address_family(&a) == OS_UNIX || a.size == 0) return 1;
  lua_pushinteger(L, port);
  lua_pushstring(L, k->family == OS_INET    ? "inet"
                    : k->family == OS_INET6 ? "inet6"
                                            : "unspec");
  return 3;
}

int cast_sock_getpeername(lua_State *L) {
  const cast_sock *k =
    cast_sock_check(L, 1, CAST_TCP_ANY | CAST_SOCK(CAST_UDP_CONNECTED));
  return push_address(L, k, os_peer_address);
}

int cast_sock_getsockname(lua_State *L) {
  return push_address(
    L, cast_sock_check(L, 1, CAST_SOCK_ANY), os_local_address);
}

int cast_sock_listen(lua_State *L) {
  cast_sock *k = cast_sock_check(
    L, 1, CAST_SOCK(CAST_TCP_MASTER) | CAST_SOCK(CAST_UNIX_MASTER));
  lua_Number n = luaL_optnumber(L, 2, 32);
  int rc = OS_EBADF;
  if (begin(k)) {
    /* 0 is the system's most for os_listen; here it is the least. */
    rc = os_listen(k->handle.stream->file->fd, n >= 1
                                                 ? (int)(n < 65535 ? n : 65535)
                                               : n < 0 ? 0
                                                       : 1);
    end(k);
  }
  if (rc == 0)
    cast_sock_become(L, 1, k,
      k->class == CAST_TCP_MASTER ? CAST_TCP_SERVER : CAST_UNIX_SERVER);
  return cast_sock_outcome(L, k, rc);
}
