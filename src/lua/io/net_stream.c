/* net_stream.c - the methods of streams; what is done with a stream at once.
   SPDX-License-Identifier: MIT */
#include "../../../include/casting.h"
#include "../../fork.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "layer.h"
#include "net.h"
#include "net_option.h"

static int stream_abort(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  if (cast_forked) return cast_net_close(L);
  if (cast_descriptor_begin(s->file)) {
    if (s->is_socket) os_abort(s->file->fd);
    cast_descriptor_end(s->file);
  }
  cast_layer_drop(s, NULL, false); /* without a word */
  return cast_net_close(L);
}

/* A layer's own end has gone, and what was written before. */
static int push_shut(
  lua_State *L, const cast_stream *s, intptr_t rc, size_t done) {
  CAST_UNUSED(done);
  if (rc == 0) rc = cast_stream_shut((cast_stream *)(uintptr_t)s);
  if (rc != 0) return cast_net_stream_failure(L, s, rc);
  lua_pushboolean(L, 1);
  return 1;
}

static int finish_end(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return cast_net_write_finish(L, S, t, result, push_shut);
}

static const cast_wait_kind end_kind = {.finish = finish_end,
  .again = cast_net_write_again,
  .describe = cast_net_write_describe,
  .cleans_up = true};

/* Of a stream with a layer: waits until the end of that has gone. */
static int shut_layer(lua_State *L, cast_stream *s) {
  intptr_t rc = cast_layer_end(s, &cast_state_here(L)->session);
  if (rc != 0) return cast_net_stream_failure(L, s, rc);
  return cast_net_write_as(L, (os_bytes){"", 0}, 0, -1, &end_kind, push_shut);
}

static int stream_shutdown(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  intptr_t rc;
  if (cast_forked) cast_raise_closed(L); /* the parent writes to it, too */
  if (!cast_list_is_empty(&s->writers))
    cast_misuse(L, "a task is writing to this stream");
  if (s->layer != NULL && !s->closed && !s->shut) return shut_layer(L, s);
  rc = s->is_socket ? cast_stream_shut(s) : CASTING_EINVAL;
  if (rc == CASTING_EINVAL && !s->closed) {
    lua_pushnil(L);
    lua_pushliteral(L, "only a socket has two sides");
    return 2;
  }
  if (rc != 0) return cast_net_failure(L, rc);
  lua_pushboolean(L, 1);
  return 1;
}

static int push_end(
  lua_State *L, cast_stream *s, int (*ask)(int fd, os_address *a)) {
  intptr_t rc = CASTING_ECLOSED;
  os_address a;
  if (cast_descriptor_begin(s->file)) {
    rc = ask(s->file->fd, &a);
    cast_descriptor_end(s->file);
  }
  return rc == 0 ? cast_net_push_address(L, &a) : cast_net_failure(L, rc);
}

static int stream_peer(lua_State *L) {
  return push_end(L, cast_net_stream(L, 1), os_peer_address);
}

static int stream_name(lua_State *L) {
  return push_end(L, cast_net_stream(L, 1), os_local_address);
}

static int stream_fd(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  if (!cast_descriptor_begin(s->file))
    return cast_net_failure(L, CASTING_ECLOSED);
  lua_pushinteger(L, s->file->fd);
  cast_descriptor_end(s->file);
  return 1;
}

static int stream_stats(lua_State *L) {
  const cast_stream *s = cast_net_stream(L, 1);
  uint64_t nread = s->nread, nwritten = s->nwritten;
  size_t left = cast_stream_left(s);
  lua_createtable(L, 0, 3); /* may run a finalizer that sends it away */
  lua_pushinteger(L, (lua_Integer)nread);
  lua_setfield(L, -2, "read");
  lua_pushinteger(L, (lua_Integer)nwritten);
  lua_setfield(L, -2, "written");
  lua_pushinteger(L, (lua_Integer)left);
  lua_setfield(L, -2, "buffered");
  return 1;
}

static int stream_option(lua_State *L) {
  (void)cast_arg_string(L, 2, NULL); /* a number becomes a string now */
  return cast_net_option(L, cast_net_stream(L, 1)->file);
}

const luaL_Reg cast_net_stream_methods[] = {
  {"read", cast_net_read},
  {"read_until", cast_net_read_until},
  {"peek", cast_net_peek},
  {"write", cast_net_write},
  {"copy", cast_net_copy},
  {"lines", cast_net_lines},
  {"starttls", cast_net_starttls},
  {"tls", cast_net_tls},
  {"close", cast_net_close},
  {"abort", stream_abort},
  {"shutdown", stream_shutdown},
  {"peer", stream_peer},
  {"name", stream_name},
  {"fd", stream_fd},
  {"stats", stream_stats},
  {"option", stream_option},
  {NULL, NULL},
};
