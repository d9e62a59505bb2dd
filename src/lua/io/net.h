/* net.h - what the files of casting.net share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_NET_H
#define CAST_NET_H

#include "../compat/compat.h"
#include "../state/state.h"
#include "stream.h"

/* What is said of a handle that is left behind. Where the stream went nobody
   knows: to another session, or to another task of this one. */
#define CAST_NET_MOVED " has moved: it was sent away"
/* A finalizer that runs later than the handle's may find this. */
#define CAST_NET_COLLECTED " was closed by the collector"

/* -- handles of streams --------------------------------------------------- */

/* Pushes a new one without a stream. Raises. */
void cast_net_stream_new(lua_State *L, cast_state *S);
/* Gives such a handle at idx a stream. */
void cast_net_stream_give(lua_State *L, int idx, cast_stream *s);
/* The stream at idx, which may be closed; raises what it is else, and if it
   has moved. */
cast_stream *cast_net_stream(lua_State *L, int idx);
/* The same, or NULL. */
cast_stream *cast_net_stream_test(lua_State *L, int idx);

/* Pushes the handle of a number of the program's: of a stream, a listener or a
   socket for datagrams, whichever it is (os_describe), which takes it over from
   then on: 1. Or nil and why: it is not open, for example. Raises: memory. In
   both cases the number stays the program's (a socket for datagrams is closed
   if there is no memory). Sockets and pipes are made non-blocking; what else
   there is, and the standard descriptors, are shared with other processes and
   stay as they are. */
int cast_net_adopt(lua_State *L, int fd);

/* Pushes the state's stream for a standard descriptor, 0 to 2, which is made at
   the first call; its name: casting.stdin and the like. Raises. */
void cast_net_standard_push(lua_State *L, int number);
extern const char *const cast_net_standard_names[3];

/* nil, and the text for a result: CASTING_E*, or the system's. */
int cast_net_failure(lua_State *L, intptr_t rc);
/* What names a Unix socket begins so. */
#define CAST_UNIX "unix:"
/* Pushes host and port of an address, as net.connect and udp:send take them. Of
   a Unix socket it is "unix:PATH" or "unix:@NAME", without a port; "unix:" if
   it has no name, or the address nothing at all, as systems tell of the sender
   then. nil and a text, if it is of another family. How many values. */
int cast_net_push_address(lua_State *L, const os_address *a);
/* For reports, "1.2.3.4:80", "[::1]:80" or what names a Unix socket, with
   question marks for what would spoil a line: its length; 0: it has no name. */
#define CAST_NET_TEXT (OS_HOST_SIZE + 10)
size_t cast_net_text(const os_address *a, char text[CAST_NET_TEXT]);
/* The same for the other side of a socket. */
size_t cast_net_peer_text(
  cast_descriptor *d, bool is_socket, char text[CAST_NET_TEXT]);
/* The same for the other side of a stream; of a standard one, its name. */
size_t cast_net_stream_text(const cast_stream *s, char text[CAST_NET_TEXT]);

/* The address that the arguments `host` and `port` are: numeric, or that of a
   Unix socket ("unix:PATH", "unix:@NAME"), which has no port. False: a name. */
bool cast_net_address(lua_State *L, int host, int port, os_address *a);
uint16_t cast_net_port(lua_State *L, int i);

/* -- the functions, called by lualib/casting/net_*.lua -------------------- */

int cast_net_close(lua_State *L);
int cast_net_read(lua_State *L);
int cast_net_read_until(lua_State *L);
int cast_net_peek(lua_State *L);
int cast_net_write(lua_State *L);
int cast_net_connect(lua_State *L);
int cast_net_resolve(lua_State *L);
int cast_net_wait(lua_State *L);
int cast_net_copy(lua_State *L);
int cast_net_until_closed(lua_State *L);
int cast_net_listen(lua_State *L);
/* Methods that are written in Lua. */
int cast_net_lines(lua_State *L);
int cast_listener_serve(lua_State *L);

/* Pushes the table internal.sockets. */
void cast_net_open(lua_State *L);

extern const luaL_Reg cast_net_stream_methods[];
extern const luaL_Reg cast_net_stream_meta[];
extern const luaL_Reg cast_net_functions[];

#endif
