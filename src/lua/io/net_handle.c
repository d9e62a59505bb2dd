/* net_handle.c - handles of streams, and what the files of casting.net push.
   SPDX-License-Identifier: MIT

   A stream has one handle, in one session. Sent through a channel it moves: the
   message takes it out of the handle, and a new handle there gets it. The
   methods are those of the binding (net_stream.c), which is above this file. */
#include "../../../include/casting.h"
#include "../../fork.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "layer.h"
#include "net.h"

#include <stdio.h>

static const char stream_tag; /* tells these handles from other userdata */
static const char meta_key;

/* Closes the stream when its state ends, should Lua have given up on the
   handle: without memory to call a finalizer, it frees the userdata without.
   Then the userdata's reference is lost, and with it the memory of the stream,
   but not the descriptor. */
typedef struct cast_stream_hold {
  cast_cleanup cleanup;
  cast_stream *stream; /* one reference, or NULL */
} hold;

/* -- handles -------------------------------------------------------------- */

static void end_hold(cast_cleanup *c) {
  hold *k = CAST_CONTAINER(c, hold, cleanup);
  cast_stream *s = k->stream;
  if (s == NULL) return;
  k->stream = NULL;
  cast_stream_assign(s, NULL);
  if (!cast_forked) cast_stream_close(s, NULL);
  cast_unref(&s->object);
}

/* The handle's hold has that stream, or none. */
static void set_hold(lua_State *L, cast_stream_handle *h, cast_stream *s) {
  cast_state *S = cast_state_find(L);
  cast_stream *before;
  if (S == NULL || S->cleaned || h->held == NULL) return;
  before = h->held->stream;
  h->held->stream = s;
  if (before != NULL) cast_stream_assign(before, NULL);
  if (s != NULL) {
    cast_stream_assign(s, &S->memory.slabs);
    cast_ref(&s->object);
  }
  if (before != NULL) cast_unref(&before->object);
}

cast_stream_handle *cast_net_stream_handle(lua_State *L, int idx) {
  cast_stream_handle *h = lua_touserdata(L, idx);
  if (h == NULL || lua_rawlen(L, idx) < sizeof *h || h->tag != &stream_tag)
    return NULL;
  return h;
}

cast_stream *cast_net_stream_test(lua_State *L, int idx) {
  cast_stream_handle *h = cast_net_stream_handle(L, idx);
  return h != NULL ? h->stream : NULL;
}

cast_stream *cast_net_stream(lua_State *L, int idx) {
  cast_stream_handle *h = cast_net_stream_handle(L, idx);
  if (CAST_UNLIKELY(h == NULL)) cast_arg_type_error(L, idx, "stream");
  if (CAST_UNLIKELY(h->stream == NULL))
    cast_misuse(L, h->collected ? "the stream" CAST_NET_COLLECTED
                                : "the stream" CAST_NET_MOVED);
  return h->stream;
}

static void free_hold(lua_State *L, cast_stream_handle *h) {
  const cast_state *S = cast_state_find(L);
  if (S != NULL && !S->cleaned && h->held != NULL) {
    cast_list_remove(&h->held->cleanup.link);
    cast_free(h->held);
  }
  h->held = NULL;
}

int cast_net_stream_collect(lua_State *L) {
  cast_stream_handle *h = cast_net_stream_handle(L, 1);
  cast_stream *s = h != NULL ? h->stream : NULL;
  if (h == NULL) return 0;
  set_hold(L, h, NULL);
  free_hold(L, h);
  if (s == NULL) return 0;
  h->stream = NULL;
  h->collected = true;
  if (!cast_forked) cast_stream_close(s, NULL);
  cast_unref(&s->object);
  return 0;
}

/* -- moving --------------------------------------------------------------- */

static void *take(lua_State *L, int i) {
  cast_stream_handle *h = cast_net_stream_handle(L, i);
  cast_stream *s = h != NULL ? h->stream : NULL;
  if (s == NULL || cast_stream_is_awaited(s)) return NULL;
  set_hold(L, h, NULL);
  h->stream = NULL;
  return s;
}

/* __refused: why `take` would take nothing, if that is so
   (transfer/userdata.c). */
static int tell_refused(lua_State *L) {
  const cast_stream_handle *h = cast_net_stream_handle(L, 1);
  if (h == NULL) return 0;
  if (h->stream == NULL)
    lua_pushstring(
      L, h->collected ? "it" CAST_NET_COLLECTED : "it" CAST_NET_MOVED);
  else if (cast_stream_is_awaited(h->stream))
    lua_pushliteral(L, "a task waits for this stream");
  else
    return 0;
  return 1;
}

void cast_net_stream_replace(
  lua_State *L, cast_stream_handle *h, cast_stream *s) {
  cast_stream *before = h->stream;
  set_hold(L, h, s);
  h->stream = s;
  if (before != NULL) cast_unref(&before->object);
}

void cast_net_stream_give(lua_State *L, int idx, cast_stream *s) {
  cast_stream_handle *h = cast_net_stream_handle(L, idx);
  h->stream = s;
  set_hold(L, h, s);
}
static void put(lua_State *L, int i, void *content) {
  cast_net_stream_give(L, i, content);
}

static int make(lua_State *L) {
  cast_net_stream_new(L, cast_state_find(L));
  return 1;
}

static void drop(void *content) {
  cast_stream *s = content;
  cast_stream_close(s, NULL);
  cast_unref(&s->object);
}

/* The module is not casting.net: a sandbox that has none can use a stream which
   it is given. */
static const casting_transfer transfer = {
  sizeof transfer, "stream", "casting", take, make, put, drop};

/* -- outcomes and addresses ----------------------------------------------- */

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

int cast_net_stream_failure(lua_State *L, const cast_stream *s, intptr_t rc) {
  char text[CAST_LAYER_TEXT]; /* to push it may be the end of the layer */
  if (rc != CAST_LAYER_FAILED) return cast_net_failure(L, rc);
  cast_layer_text(s, text);
  lua_pushnil(L);
  lua_pushstring(L, text);
  return 2;
}

/* What names a Unix socket: its length. */
static size_t write_name(const os_address *a, char name[CAST_NET_TEXT]) {
  char host[OS_HOST_SIZE];
  uint16_t port;
  size_t n = os_address_text(a, host, &port), at = sizeof CAST_UNIX - 1;
  memcpy(name, CAST_UNIX "./", at + 2);
  if (n > 0 && host[0] == '@') at += 2; /* a file, and no abstract name */
  if (n > 0 && host[0] == '\0') host[0] = '@';
  memcpy(name + at, host, n);
  name[at + n] = '\0';
  return at + n;
}

int cast_net_push_address(lua_State *L, const os_address *a) {
  char host[CAST_NET_TEXT];
  uint16_t port;
  if (a->size == 0 || os_address_family(a) == OS_UNIX) {
    lua_pushlstring(L, host, write_name(a, host));
    return 1;
  }
  if (os_address_text(a, host, &port) == 0) {
    lua_pushnil(L);
    lua_pushliteral(L, "an address of another family");
    return 2;
  }
  lua_pushstring(L, host);
  lua_pushinteger(L, port);
  return 2;
}

size_t cast_net_text(const os_address *a, char text[CAST_NET_TEXT]) {
  char host[OS_HOST_SIZE];
  uint16_t port;
  size_t n = os_address_text(a, host, &port);
  int family = os_address_family(a);
  if (n == 0) return 0;
  if (family == OS_UNIX) {
    n = write_name(a, text);
    for (size_t i = 0; i < n; i++)
      if ((unsigned char)text[i] < ' ' || text[i] == 127) text[i] = '?';
    return n;
  }
  n = (size_t)snprintf(text, CAST_NET_TEXT,
    family == OS_INET6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
  return n;
}

size_t cast_net_peer_text(
  cast_descriptor *d, bool is_socket, char text[CAST_NET_TEXT]) {
  os_address a;
  int rc;
  if (!is_socket || !cast_descriptor_begin(d)) return 0;
  rc = os_peer_address(d->fd, &a);
  cast_descriptor_end(d);
  return rc == 0 ? cast_net_text(&a, text) : 0;
}

size_t cast_net_stream_text(const cast_stream *s, char text[CAST_NET_TEXT]) {
  size_t n;
  if (s->name == NULL) return cast_net_peer_text(s->file, s->is_socket, text);
  n = strlen(s->name);
  memcpy(text, s->name, n + 1);
  return n;
}

/* -- the metatable -------------------------------------------------------- */

/* The stream was closed by its session: ends a copy to it or from it, which may
   wait for the other stream, or for its turn to write (net_copy.c). A read or
   write waits for this one, and was told. */
static void stop_copies(cast_stream *s) {
  if (!cast_list_is_empty(&s->writers))
    (void)cast_wait_end(
      &CAST_CONTAINER(s->writers.next, cast_write, link)->task->base,
      CASTING_ECLOSED);
  if (s->reader != NULL) (void)cast_wait_end(&s->reader->base, CASTING_ECLOSED);
}

int cast_net_close_now(lua_State *L) {
  const cast_stream_handle *h = cast_net_stream_handle(L, 1);
  cast_state *S;
  cast_stream *s;
  bool first;
  if (CAST_UNLIKELY(h != NULL && h->collected)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  if (CAST_UNLIKELY(cast_forked)) {
    /* The child gives up its number, and nothing else. */
    s = cast_net_stream(L, 1);
    s->closed = true;
    lua_pushboolean(L, cast_descriptor_close_forked(s->file));
    return 1;
  }
  S = cast_state_here(L);
  s = cast_net_stream(L, 1);
  first = cast_stream_close(s, &S->session);
  if (first) stop_copies(s);
  lua_pushboolean(L, first);
  return 1;
}

/* A layer may have to wait for room for its last word, and what was written
   before. Not if another task waits for the stream: then closing it is meant to
   end that. */
int cast_net_close(lua_State *L) {
  cast_stream *s = cast_net_stream_test(L, 1);
  if (CAST_LIKELY(s == NULL || s->layer == NULL || cast_forked) ||
      cast_stream_is_awaited(s) ||
      !cast_layer_part(s, &cast_state_here(L)->session))
    return cast_net_close_now(L);
  return cast_state_here(L)->binding->call(L, "net_close", "close");
}

/* __close: a stream that has moved is nobody's here. */
static int stream_leave(lua_State *L) {
  if (cast_net_stream_test(L, 1) == NULL) return 0;
  return cast_net_close(L);
}

static int stream_text(lua_State *L) {
  cast_stream_handle *h = cast_net_stream_handle(L, 1);
  char text[CAST_NET_TEXT];
  cast_stream *s;
  if (h == NULL) cast_arg_type_error(L, 1, "stream");
  s = h->stream;
  if (s == NULL && !h->collected)
    lua_pushliteral(L, "stream (moved)");
  else if (s == NULL || s->closed)
    lua_pushliteral(L, "stream (closed)");
  else if (cast_net_stream_text(s, text) > 0)
    lua_pushfstring(L, "stream: %s", text);
  else
    cast_handle_push_address(L, "stream", s);
  return 1;
}

/* -- making them ---------------------------------------------------------- */

const luaL_Reg cast_net_stream_meta[] = {
  {"__gc", cast_net_stream_collect},
  {"__tostring", stream_text},
  {"__refused", tell_refused},
  {"__close", stream_leave},
  {NULL, NULL},
};

static void make_meta(lua_State *L, const void *arg) {
  const cast_state *S;
  CAST_UNUSED(arg);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, cast_net_stream_meta, 1);
  lua_newtable(L);
  S = cast_state_find(L); /* a finalizer may have ended it meanwhile */
  if (S == NULL) cast_raise_closed(L);
  cast_state_box(L);
  luaL_setfuncs(L, S->binding->methods[CAST_METHODS_STREAM], 1);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "casting.stream");
  lua_setfield(L, -2, "__name");
  casting_transfer_register(L, lua_gettop(L), &transfer);
}

cast_stream_handle *cast_net_stream_push(
  lua_State *L, cast_state *S, size_t size, cast_push_meta push_meta) {
  cast_stream_handle *h;
  hold *k;
  if (S == NULL || S->closing || S->cleaned || cast_forked)
    cast_raise_closed(L);
  cast_handle_weigh(L, S, sizeof(cast_stream) + sizeof(cast_descriptor));
  h = cast_lua_newuserdata(L, size);
  memset(h, 0, size);
  h->tag = &stream_tag;
  push_meta(L);
  lua_setmetatable(L, -2);
  /* A finalizer that ran meanwhile may have ended the state. */
  if (cast_state_find(L) != S || S->cleaned) cast_raise_closed(L);
  k = cast_calloc(sizeof *k);
  if (k == NULL) cast_raise_memory(L);
  k->cleanup.drop = end_hold;
  cast_list_push(&S->cleanups, &k->cleanup.link);
  h->held = k;
  return h;
}

static void push_stream_meta(lua_State *L) {
  (void)cast_single_push(L, &meta_key, make_meta, NULL);
}

void cast_net_stream_new(lua_State *L, cast_state *S) {
  (void)cast_net_stream_push(
    L, S, sizeof(cast_stream_handle), push_stream_meta);
}
