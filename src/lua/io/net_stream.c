/* net_stream.c - handles of streams, and what is done with a stream at once.
   SPDX-License-Identifier: MIT

   A stream has one handle, in one session. Sent through a channel it moves: the
   message takes it out of the handle, and a new handle there gets it. */
#include "../../../include/casting.h"
#include "../../fork.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "net.h"
#include "net_option.h"

#include <stdio.h>

static const char stream_tag; /* tells these handles from other userdata */
static const char meta_key;

typedef struct stream_handle {
  const char *tag;
  cast_stream *stream; /* NULL: moved, or the end of its state */
} stream_handle;

/* -- handles -------------------------------------------------------------- */

static stream_handle *handle_at(lua_State *L, int idx) {
  stream_handle *h = lua_touserdata(L, idx);
  if (h == NULL || lua_rawlen(L, idx) != sizeof *h || h->tag != &stream_tag)
    return NULL;
  return h;
}

cast_stream *cast_net_stream_test(lua_State *L, int idx) {
  stream_handle *h = handle_at(L, idx);
  return h != NULL ? h->stream : NULL;
}

cast_stream *cast_net_stream(lua_State *L, int idx) {
  stream_handle *h = handle_at(L, idx);
  if (CAST_UNLIKELY(h == NULL)) cast_arg_type_error(L, idx, "stream");
  if (CAST_UNLIKELY(h->stream == NULL))
    cast_misuse(L, "the stream has moved to another session");
  return h->stream;
}

static int collect(lua_State *L) {
  stream_handle *h = handle_at(L, 1);
  cast_stream *s = h != NULL ? h->stream : NULL;
  if (s == NULL) return 0;
  h->stream = NULL;
  if (!cast_forked) cast_stream_close(s, NULL);
  cast_unref(&s->object);
  return 0;
}

/* -- moving --------------------------------------------------------------- */

static void *take(lua_State *L, int i) {
  stream_handle *h = handle_at(L, i);
  cast_stream *s = h != NULL ? h->stream : NULL;
  if (s == NULL || s->reader != NULL || s->selects > 0 ||
      !cast_list_is_empty(&s->writers))
    return NULL;
  h->stream = NULL;
  return s;
}

static void put(lua_State *L, int i, void *content) {
  handle_at(L, i)->stream = content;
}

static int make(lua_State *L) {
  (void)cast_net_stream_new(L, cast_state_find(L));
  return 1;
}

static void drop(void *content) {
  cast_stream *s = content;
  cast_stream_close(s, NULL);
  cast_unref(&s->object);
}

static const casting_transfer transfer = {
  sizeof transfer, "stream", "casting", take, make, put, drop};

/* -- what is done at once ------------------------------------------------- */

int cast_net_failure(lua_State *L, intptr_t rc) {
  char text[128];
  if (rc > -100 && rc != CASTING_EINVAL) return cast_push_failure(L, (int)rc);
  lua_pushnil(L);
  if (rc == CASTING_EINVAL || rc == OS_EPERM) {
    lua_pushliteral(L, "this descriptor cannot be waited for");
  } else if (os_is_gone(rc)) {
    lua_pushliteral(L, "closed");
  } else {
    os_system_text(rc, text, sizeof text);
    lua_pushstring(L, text);
  }
  return 2;
}

int cast_net_push_address(lua_State *L, const os_address *a) {
  char host[OS_HOST_SIZE];
  uint16_t port;
  size_t n = os_address_text(a, host, &port);
  lua_pushlstring(L, host, n);
  if (os_address_family(a) == OS_UNIX) return 1;
  lua_pushinteger(L, port);
  return 2;
}

/* The stream was closed by its session: ends a copy to it, which may wait for
   the other stream (net_copy.c). A write waits for this one, and was told. */
static void stop_copy(cast_stream *to) {
  if (!cast_list_is_empty(&to->writers))
    (void)cast_wait_end(
      &CAST_CONTAINER(to->writers.next, cast_write, link)->task->base,
      CASTING_ECLOSED);
}

static int stream_close(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream *s = cast_net_stream(L, 1);
  bool first = !cast_forked && cast_stream_close(s, &S->session);
  if (first) stop_copy(s);
  lua_pushboolean(L, first);
  return 1;
}

/* __close: a stream that has moved is nobody's here. */
static int stream_leave(lua_State *L) {
  if (cast_net_stream_test(L, 1) == NULL) return 0;
  return stream_close(L);
}

static int stream_abort(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  if (cast_descriptor_begin(s->file)) {
    if (s->is_socket) os_abort(s->file->fd);
    cast_descriptor_end(s->file);
  }
  return stream_close(L);
}

static int stream_shutdown(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  intptr_t rc = CASTING_ECLOSED;
  if (!cast_list_is_empty(&s->writers))
    cast_misuse(L, "a task is writing to this stream");
  if (cast_descriptor_begin(s->file)) {
    rc = os_shutdown_write(s->file->fd);
    cast_descriptor_end(s->file);
    s->shut = true;
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

static int stream_option(lua_State *L) {
  return cast_net_option(L, cast_net_stream(L, 1)->file);
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
  cast_stream *s = cast_net_stream(L, 1);
  lua_createtable(L, 0, 3);
  lua_pushnumber(L, (lua_Number)s->nread);
  lua_setfield(L, -2, "read");
  lua_pushnumber(L, (lua_Number)s->nwritten);
  lua_setfield(L, -2, "written");
  lua_pushnumber(L, (lua_Number)cast_stream_left(s));
  lua_setfield(L, -2, "buffered");
  return 1;
}

static int stream_text(lua_State *L) {
  stream_handle *h = handle_at(L, 1);
  if (h == NULL) cast_arg_type_error(L, 1, "stream");
  lua_pushfstring(L, "stream: %p", (const void *)h->stream);
  return 1;
}

const luaL_Reg cast_net_stream_methods[] = {
  {"read", cast_net_read},
  {"read_until", cast_net_read_until},
  {"peek", cast_net_peek},
  {"write", cast_net_write},
  {"copy", cast_net_copy},
  {"lines", cast_net_lines},
  {"close", stream_close},
  {"abort", stream_abort},
  {"shutdown", stream_shutdown},
  {"peer", stream_peer},
  {"name", stream_name},
  {"fd", stream_fd},
  {"stats", stream_stats},
  {"option", stream_option},
  {NULL, NULL},
};

/* -- making them ---------------------------------------------------------- */

static void make_meta(lua_State *L, const void *arg) {
  CAST_UNUSED(arg);
  lua_newtable(L);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, cast_net_stream_methods, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, stream_text);
  lua_setfield(L, -2, "__tostring");
  cast_state_box(L);
  lua_pushcclosure(L, stream_leave, 1);
  lua_setfield(L, -2, "__close");
  lua_pushliteral(L, "casting.stream");
  lua_setfield(L, -2, "__name");
  casting_transfer_register(L, lua_gettop(L), &transfer);
}

cast_stream **cast_net_stream_new(lua_State *L, cast_state *S) {
  stream_handle *h;
  cast_handle_weigh(L, S, sizeof(cast_stream) + sizeof(cast_descriptor));
  h = cast_lua_newuserdata(L, sizeof *h);
  h->tag = &stream_tag;
  h->stream = NULL;
  (void)cast_single_push(L, &meta_key, make_meta, NULL);
  lua_setmetatable(L, -2);
  return &h->stream;
}
