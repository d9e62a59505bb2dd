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

/* A handle: a userdata that begins with this. */
typedef struct cast_stream_handle {
  const char *tag;     /* tells these from other userdata */
  cast_stream *stream; /* one reference; NULL: none, moved, or collected */
  struct cast_stream_hold *held; /* valid until the state is cleaned */
  bool collected;                /* its finalizer has run */
} cast_stream_handle;

/* Pushes a metatable, whose __gc is cast_net_stream_collect. Raises. */
typedef void (*cast_push_meta)(lua_State *L);

/* Pushes a userdata of `size` bytes that is such a handle, without a stream;
   what is behind it is zero. Raises. */
cast_stream_handle *cast_net_stream_push(
  lua_State *L, cast_state *S, size_t size, cast_push_meta push_meta);
/* The handle at idx; NULL: something else. */
cast_stream_handle *cast_net_stream_handle(lua_State *L, int idx);
/* The handle has that stream (NULL: none) in place of the one that it had. */
void cast_net_stream_replace(
  lua_State *L, cast_stream_handle *h, cast_stream *s);
int cast_net_stream_collect(lua_State *L);

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
/* The same for what came of a try to read or write. */
int cast_net_stream_failure(lua_State *L, const cast_stream *s, intptr_t rc);
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

/* -- connecting, for others that connect ---------------------------------- */

/* After the socket has become ready to be written to: is it connected? 0;
   OS_EAGAIN: not yet; or why it is not. */
int cast_net_connect_ask(cast_stream *s, cast_session *self);

/* -- reading, for others that read from streams --------------------------- */

/* Pushes what came of a read for w of s, whose result is rc: 0, CAST_TOO_LONG
   or a failure. */
typedef int (*cast_net_conclude)(
  lua_State *L, cast_state *S, cast_stream *s, const cast_want *w, intptr_t rc);
/* Reads what w says from the stream at index 1, within `seconds`; below 0:
   without a timeout. `kind` has the functions below for its own, and a finish
   that calls cast_net_read_finish. Raises. */
int cast_net_read_as(lua_State *L, cast_want *w, double seconds,
  const cast_wait_kind *kind, cast_net_conclude conclude_as);
int cast_net_read_again(cast_state *S, cast_ltask *t);
void cast_net_read_describe(cast_buffer *b, const cast_ltask *t);
int cast_net_read_finish(lua_State *L, cast_state *S, cast_ltask *t, int result,
  cast_net_conclude conclude_as);

/* What is pushed of the bytes that are left over: n of them, of which `bare`
   leaves out each "\r". With `why` before them are nil and that text; else, if
   there are three results, nil and nil behind them. */
typedef struct cast_handing {
  cast_stream *stream;
  size_t n;
  size_t takes; /* so many are taken */
  const char *why;
  int results; /* 1 or 3 */
  bool bare;
  bool second;    /* its own: another one has taken bytes meanwhile */
  uint64_t taken; /* its own: of the stream, before this */
} cast_handing;

/* Pushes that. If it raises the bytes stay. */
int cast_net_hand_out(lua_State *L, cast_state *S, cast_handing h);

/* -- writing, for others that write to streams ---------------------------- */

/* Pushes what came of a write to s whose result is rc: 0 or a failure; `done`
   has been added to the bytes that went. */
typedef int (*cast_net_told)(
  lua_State *L, const cast_stream *s, intptr_t rc, size_t done);
/* Writes these bytes, which a value on the stack keeps, to the stream at index
   1, within `seconds`; below 0: without a timeout. `offset` is added to what is
   told. `kind` has the functions below for its own, and a finish that calls
   cast_net_write_finish. Raises. */
int cast_net_write_as(lua_State *L, os_bytes bytes, size_t offset,
  double seconds, const cast_wait_kind *kind, cast_net_told told);
int cast_net_write_again(cast_state *S, cast_ltask *t);
void cast_net_write_describe(cast_buffer *b, const cast_ltask *t);
int cast_net_write_finish(
  lua_State *L, cast_state *S, cast_ltask *t, int result, cast_net_told told);

/* -- the functions, called by lualib/casting/net_*.lua -------------------- */

int cast_net_close(lua_State *L);
int cast_net_close_now(lua_State *L);
int cast_net_read(lua_State *L);
int cast_net_read_until(lua_State *L);
int cast_net_peek(lua_State *L);
int cast_net_write(lua_State *L);
int cast_net_connect(lua_State *L);
int cast_net_resolve(lua_State *L);
int cast_net_wait(lua_State *L);
int cast_net_copy(lua_State *L);
int cast_net_listen(lua_State *L);
int cast_net_is_layered(lua_State *L);
int cast_net_tell(lua_State *L);
/* Methods that are written in Lua. */
int cast_net_lines(lua_State *L);
int cast_net_starttls(lua_State *L);
int cast_net_tls(lua_State *L);
int cast_listener_serve(lua_State *L);

/* Pushes the table internal.sockets. */
void cast_net_open(lua_State *L);

extern const luaL_Reg cast_net_stream_methods[];
extern const luaL_Reg cast_net_stream_meta[];
extern const luaL_Reg cast_net_functions[];

#endif
