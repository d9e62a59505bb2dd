/* net_connect.c - connecting to one address.
   SPDX-License-Identifier: MIT

   Which addresses a name has, and which of them is tried when, is decided in
   lualib/casting/net_connect.lua. A connection that is broken off is closed. */
#include "../../../include/casting.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "net.h"

/* -- addresses ------------------------------------------------------------ */

bool cast_net_address(lua_State *L, int host, int port, os_address *a) {
  size_t n;
  const char *text = cast_arg_string(L, host, &n);
  if (n > 5 && memcmp(text, "unix:", 5) == 0) {
    /* "unix:@name" is in the abstract space, as socat and systemd write it. */
    char path[OS_PATH_MOST + 2];
    n -= 5;
    if (n > OS_PATH_MOST + (text[5] == '@'))
      cast_arg_error(L, host, "the path of a socket has at most 107 bytes");
    memcpy(path, text + 5, n);
    path[n] = '\0';
    if (path[0] == '@') path[0] = '\0';
    if (!os_address_unix(a, path, n))
      cast_arg_error(L, host, "not a path of a socket");
    return true;
  }
  cast_arg_check(L, strlen(text) == n, host, "a name has no zero bytes");
  return os_address_parse(a, text, cast_net_port(L, port));
}

uint16_t cast_net_port(lua_State *L, int i) {
  lua_Number n;
  if (lua_isnoneornil(L, i)) cast_arg_error(L, i, "a port is missing");
  n = cast_arg_number(L, i);
  cast_arg_check(L, n >= 0 && n <= 65535 && n == (lua_Number)(uint16_t)n, i,
    "a port must be an integer from 0 to 65535");
  return (uint16_t)n;
}

/* -- connecting ----------------------------------------------------------- */

/* A task that waits for it. */
typedef struct connecting {
  cast_object object;  /* the wait's */
  cast_stream *stream; /* one reference */
  os_address to;       /* for reports */
  bool is_last;        /* in a pause: it ends with the caller's time */
} connecting;

static void free_connecting(cast_object *o) {
  connecting *c = CAST_CONTAINER(o, connecting, object);
  cast_unref(&c->stream->object);
  cast_free(c);
}
static const cast_type connecting_type = {"connect", free_connecting, NULL};

/* Without memory the stream is closed. */
static connecting *new_connecting(
  lua_State *L, cast_state *S, cast_stream *s, const os_address *to) {
  connecting *c = cast_calloc(sizeof *c);
  if (c == NULL) {
    cast_stream_close(s, &S->session);
    cast_raise_memory(L);
  }
  cast_object_init(&c->object, &connecting_type);
  c->stream = s;
  cast_ref(&s->object);
  c->to = *to;
  return c;
}

int cast_net_connect_ask(cast_stream *s, cast_session *self) {
  os_address peer;
  int rc;
  if (!cast_descriptor_begin(s->file)) return CASTING_ECLOSED;
  cast_descriptor_try(s->file, CAST_WRITE);
  rc = os_peer_address(s->file->fd, &peer);
  if (rc != 0) {
    /* No other side, and no error: not yet. macOS says EINVAL in place of
       ENOTCONN once it has failed. */
    int why = os_socket_error(s->file->fd);
    if (why != 0 || os_is_gone(rc)) rc = why != 0 ? why : OS_EAGAIN;
  } else {
    rc = os_check_peer(s->file->fd, &peer);
  }
  cast_descriptor_end(s->file);
  /* It was in the set before there was a connection, so whatever it has sent
     since then was told. */
  s->drained = rc == 0;
  if (rc != OS_EAGAIN) cast_descriptor_pass(s->file, CAST_WRITE, self);
  return rc;
}

static int ask_or_wait(cast_stream *s, cast_ltask *t, int rc) {
  while (rc == OS_EAGAIN) {
    rc = cast_descriptor_wait(s->file, CAST_WRITE, &t->base);
    if (rc == 0) rc = cast_net_connect_ask(s, t->base.session);
  }
  return rc;
}

static int again(cast_state *S, cast_ltask *t) {
  cast_stream *s = ((connecting *)t->arg)->stream;
  return ask_or_wait(s, t, cast_net_connect_ask(s, &S->session));
}

/* true; or nil and why, and it is closed. */
static int push_outcome(
  lua_State *L, cast_state *S, cast_stream *s, intptr_t rc) {
  if (rc == 0) return lua_pushboolean(L, 1), 1;
  cast_stream_close(s, &S->session);
  return cast_net_failure(L, rc);
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_stream *s = ((connecting *)t->arg)->stream;
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) {
    cast_stream_close(s, &S->session);
    return 0;
  }
  return push_outcome(L, S, s, result);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  char text[CAST_NET_TEXT];
  cast_buffer_add(b, "connecting");
  if (cast_net_text(&((const connecting *)t->arg)->to, text) > 0)
    cast_buffer_form(b, " to %s", text);
}

static const cast_wait_kind connect_kind = {
  .finish = finish, .again = again, .describe = describe, .cleans_up = true};

/* Waits for a connection that is under way. */
static int wait_for(lua_State *L, cast_state *S, cast_ltask *t, cast_stream *s,
  const os_address *to, uint64_t deadline) {
  connecting *c = new_connecting(L, S, s, to);
  int rc;
  t->arg = c;
  rc = ask_or_wait(s, t, OS_EAGAIN);
  if (rc == CAST_PARKED) {
    t->owns_arg = true; /* the reference is the wait's from here on */
    return cast_park(L, S, t, deadline, &connect_kind);
  }
  cast_unref(&c->object);
  return push_outcome(L, S, s, rc);
}

/* -- a backlog that is full ----------------------------------------------- */

/* false; nil and why, if the caller has no more time. */
static int finish_pause(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  if (result != CASTING_ETIMEOUT || ((const connecting *)t->arg)->is_last)
    return cast_net_failure(L, result);
  lua_pushboolean(L, 0);
  return 1;
}

static void describe_pause(cast_buffer *b, const cast_ltask *t) {
  describe(b, t);
  cast_buffer_add(b, ", whose backlog is full");
}

static const cast_wait_kind pause_kind = {
  .finish = finish_pause, .describe = describe_pause};

/* Nothing tells when a Unix socket has room again. So the stream is closed, and
   the caller tries with another one after a pause. */
static int pause(lua_State *L, cast_state *S, cast_ltask *t, cast_stream *s,
  const os_address *to, uint64_t until, bool is_last) {
  connecting *c = new_connecting(L, S, s, to);
  c->is_last = is_last;
  cast_stream_close(s, &S->session);
  t->arg = c;
  t->owns_arg = true;
  cast_wait_arm(&t->base, CAST_WAIT_ONE); /* in no queue */
  return cast_park(L, S, t, until, &pause_kind);
}

/* internal: connect(stream, host, port, timeout or nil, pause), in seconds:
   true; nil and why; false: a Unix socket has had no room, for so long. But for
   the first the stream is closed. */
int cast_net_connect(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream *s;
  uint64_t deadline, until;
  os_address a;
  cast_ltask *t;
  intptr_t rc = CASTING_ECLOSED;
  if (!cast_net_address(L, 2, 3, &a))
    cast_arg_error(L, 2, "a numeric address expected");
  deadline = cast_deadline(L, 4);
  until = cast_deadline(L, 5);
  if (until > deadline) until = deadline;
  t = cast_enter(L, S, until);
  s = cast_net_stream(L, 1); /* only now: finalizers may have run */
  if (cast_descriptor_begin(s->file)) {
    rc = os_connect(s->file->fd, &a);
    if (rc == 0) rc = os_check_peer(s->file->fd, &a);
    cast_descriptor_end(s->file);
  }
  if (rc == OS_EAGAIN) return wait_for(L, S, t, s, &a, deadline);
  if (os_is_full(rc)) return pause(L, S, t, s, &a, until, until == deadline);
  return push_outcome(L, S, s, rc);
}
