/* sock.h - the core of LuaSocket, on the streams of casting.net.
   SPDX-License-Identifier: MIT

   Programs and libraries that were written for LuaSocket run unchanged on it:
   its Lua modules (socket.lua, http, smtp, ftp and others) need "socket.core"
   and "socket.unix", which this room is in place of. Names, classes, results
   and texts of errors are those of LuaSocket 3.1.0, so they differ from those
   of casting.net; what waits parks the task, and never the thread.

   An object of any class is a handle of a stream (../io/net.h) with a little
   more behind it. It has a stream while it has a descriptor: a socket that has
   no family yet has none, nor one whose number was taken (setfd). What waits is
   the stream's descriptor, also for sockets that listen or send datagrams.
   receive and send are those of streams, with other results; whatever else may
   wait is a loop in lualib/casting/socket_*.lua around a call that does not:
   it says false where the system says "not now" (cast_sock_wait).

   Owner: the session that has the object; it does not move. */
#ifndef CAST_SOCK_H
#define CAST_SOCK_H

#include "../compat/compat.h"
#include "../io/net.h"
#include "../state/state.h"

typedef enum cast_sock_class {
  CAST_TCP_MASTER,
  CAST_TCP_CLIENT,
  CAST_TCP_SERVER,
  CAST_UDP_UNCONNECTED,
  CAST_UDP_CONNECTED,
  CAST_UNIX_MASTER, /* of streams, these three */
  CAST_UNIX_CLIENT,
  CAST_UNIX_SERVER,
  CAST_DGRAM_UNCONNECTED,
  CAST_DGRAM_CONNECTED,
  CAST_SOCK_CLASSES
} cast_sock_class;

/* Sets of classes, for cast_sock_check. */
#define CAST_SOCK(class) (1u << (class))
#define CAST_TCP_ANY                                         \
  (CAST_SOCK(CAST_TCP_MASTER) | CAST_SOCK(CAST_TCP_CLIENT) | \
    CAST_SOCK(CAST_TCP_SERVER))
#define CAST_UDP_ANY \
  (CAST_SOCK(CAST_UDP_UNCONNECTED) | CAST_SOCK(CAST_UDP_CONNECTED))
#define CAST_UNIX_ANY                                          \
  (CAST_SOCK(CAST_UNIX_MASTER) | CAST_SOCK(CAST_UNIX_CLIENT) | \
    CAST_SOCK(CAST_UNIX_SERVER))
#define CAST_DGRAM_ANY \
  (CAST_SOCK(CAST_DGRAM_UNCONNECTED) | CAST_SOCK(CAST_DGRAM_CONNECTED))
#define CAST_SOCK_CLIENT \
  (CAST_SOCK(CAST_TCP_CLIENT) | CAST_SOCK(CAST_UNIX_CLIENT))
#define CAST_SOCK_SERVER \
  (CAST_SOCK(CAST_TCP_SERVER) | CAST_SOCK(CAST_UNIX_SERVER))
#define CAST_SOCK_DATAGRAMS (CAST_UDP_ANY | CAST_DGRAM_ANY)
#define CAST_SOCK_ANY ((1u << CAST_SOCK_CLASSES) - 1)

typedef struct cast_sock {
  cast_stream_handle handle; /* first */
  const void *sign;          /* tells these from other handles of streams */
  cast_sock_class class;
  int family;   /* OS_INET, OS_INET6 or OS_UNIX; OS_OTHER: not chosen yet */
  double block; /* seconds: of each wait; below 0: no timeout */
  double total; /* seconds: of each call; below 0: no timeout */
  uint32_t nstreams; /* how many streams it has had */
  uint32_t ncloses;  /* how often it was closed, or its number was taken */
  int lingers;       /* seconds, as the option `linger` says; 0: it does not */
  /* Bytes of the streams that it had before, and what setstats has added; and
     when its age was 0. */
  double received, sent;
  uint64_t born_ns;
} cast_sock;

/* The object at idx, of one of these classes. Raises what it is else, as
   LuaSocket does. */
cast_sock *cast_sock_check(lua_State *L, int idx, unsigned classes);
/* Pushes a new one. Raises. */
cast_sock *cast_sock_push(
  lua_State *L, cast_state *S, cast_sock_class class, int family);
/* The object at idx is of that class from now on. Raises. */
void cast_sock_become(
  lua_State *L, int idx, cast_sock *k, cast_sock_class class);
/* It has that descriptor of the system's from now on, in place of the one that
   it had, which is closed. False: no memory, and nothing was taken. */
bool cast_sock_take(
  lua_State *L, cast_sock *k, int fd, cast_stream_origin origin);
/* The same with one that was made for it, which does not block. Raises without
   memory, and closes fd. */
void cast_sock_own(lua_State *L, cast_sock *k, int fd);
/* Its stream, unless that is closed; or NULL. */
static inline cast_stream *cast_sock_stream(const cast_sock *k) {
  cast_stream *s = k->handle.stream;
  return s != NULL && !s->closed ? s : NULL;
}
static inline bool cast_sock_is_datagram(const cast_sock *k) {
  return (CAST_SOCK_DATAGRAMS & CAST_SOCK(k->class)) != 0;
}
/* Its number, or -1. */
int cast_sock_fd(const cast_sock *k);

/* What the system says of a socket that has no peer; LuaSocket has no word of
   its own for that. */
#define CAST_SOCK_UNCONNECTED "Transport endpoint is not connected"
/* The text that LuaSocket has for a result: CASTING_E*, OS_EAGAIN, or the
   system's. */
#define CAST_SOCK_TEXT 128
const char *cast_sock_text(intptr_t rc, char text[CAST_SOCK_TEXT]);
/* nil and that text; of a socket for datagrams, "refused" for "closed". */
int cast_sock_failure(lua_State *L, const cast_sock *k, intptr_t rc);
/* 1 if rc is 0, as LuaSocket's functions have it, else that. */
int cast_sock_outcome(lua_State *L, const cast_sock *k, intptr_t rc);
/* The seconds that a call may wait: below 0: no end. */
double cast_sock_seconds(const cast_sock *k);

/* -- the functions that Lua's part of it calls ---------------------------- */

int cast_sock_receive_within(lua_State *L);
int cast_sock_send_within(lua_State *L);
int cast_sock_wait(lua_State *L);
int cast_sock_poll(lua_State *L);
int cast_sock_wait_all(lua_State *L);

extern const luaL_Reg cast_sock_steps[];
extern const luaL_Reg cast_sock_names[];

/* The methods of the classes (sock_core.c). */
extern const luaL_Reg cast_sock_tcp_methods[];
extern const luaL_Reg cast_sock_udp_methods[];
extern const luaL_Reg cast_sock_unix_methods[];
extern const luaL_Reg cast_sock_dgram_methods[];

/* The loaders of the modules, which have no upvalues, so that they cross to
   sessions in package.preload. */
int cast_sock_open_core(lua_State *L);
int cast_sock_open_unix(lua_State *L);
int cast_sock_open_ssl(lua_State *L);
/* casting.socket.install(): has require find these two. Raises if LuaSocket's
   own core is loaded already. */
int cast_sock_install(lua_State *L);
/* Pushes the table internal.luasocket. */
void cast_sock_open(lua_State *L);

#endif
