/* sock_wait.c - waiting for an object of LuaSocket.
   SPDX-License-Identifier: MIT

   Steps (sock_step.c) clear what the descriptor remembers of an event before
   they ask the system, and pass on what they leave; one that was told "not now"
   is followed by this wait, which ends at once if an event has come since. */
#include "../../../include/casting.h"
#include "../compat/auxiliary.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "sock.h"

static int push_outcome(lua_State *L, intptr_t rc) {
  char text[CAST_SOCK_TEXT];
  if (rc == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, cast_sock_text(rc, text));
  return 2;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  return push_outcome(L, result);
}

/* "waiting for the socket 127.0.0.1:80 to be readable": the other end, or this
   one if there is none. */
static void describe(cast_buffer *b, const cast_ltask *t, const char *how) {
  const cast_stream *s = t->arg;
  char text[CAST_NET_TEXT];
  os_address a;
  size_t n = cast_net_peer_text(s->file, true, text);
  if (n == 0 && cast_descriptor_begin(s->file)) {
    if (os_local_address(s->file->fd, &a) == 0) n = cast_net_text(&a, text);
    cast_descriptor_end(s->file);
  }
  cast_buffer_add(b, "waiting for the socket");
  if (n > 0) cast_buffer_form(b, " %s", text);
  cast_buffer_form(b, " to be %s", how);
}
static void describe_read(cast_buffer *b, const cast_ltask *t) {
  describe(b, t, "readable");
}
static void describe_write(cast_buffer *b, const cast_ltask *t) {
  describe(b, t, "writable");
}

static const cast_wait_kind read_kind = {
  .finish = finish, .describe = describe_read};
static const cast_wait_kind write_kind = {
  .finish = finish, .describe = describe_write};

/* wait(object, "r" or "w" [, seconds]): true; or nil, why. */
int cast_sock_wait(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_ANY);
  int side = luaL_checkstring(L, 2)[0] == 'r' ? CAST_READ : CAST_WRITE;
  double seconds = luaL_optnumber(L, 3, -1);
  uint64_t deadline = seconds < 0 ? OS_FOREVER : cast_deadline_in(seconds);
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_enter(L, S, deadline);
  cast_stream *s;
  int rc;
  if (seconds == 0) {
    cast_turn_first(L, S, t);
    return push_outcome(L, CASTING_ETIMEOUT);
  }
  s = cast_sock_stream(k); /* only now: Lua may have run */
  if (s == NULL) return push_outcome(L, CASTING_ECLOSED);
  rc = cast_descriptor_wait(s->file, side, &t->base);
  if (rc != CAST_PARKED) return push_outcome(L, rc);
  t->arg = s;
  return cast_park_about(
    L, S, t, deadline, side == CAST_READ ? &read_kind : &write_kind);
}
