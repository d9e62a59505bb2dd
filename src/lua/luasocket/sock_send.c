/* sock_send.c - sending over the streams of LuaSocket.
   SPDX-License-Identifier: MIT

     client:send(data [, i [, j]])

   It is the index of the last byte that was sent, nil, nil; or nil, why and
   that index, which is i - 1 if none was. */
#include "../../../include/casting.h"
#include "../compat/auxiliary.h"
#include "sock_method.h"

static int push_outcome(
  lua_State *L, const cast_stream *s, intptr_t rc, size_t done) {
  char text[CAST_SOCK_TEXT];
  CAST_UNUSED(s);
  if (rc == 0) {
    lua_pushnumber(L, (lua_Number)done);
    lua_pushnil(L);
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    lua_pushstring(L, cast_sock_text(rc, text));
    lua_pushnumber(L, (lua_Number)done);
  }
  return 3;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return cast_net_write_finish(L, S, t, result, push_outcome);
}

static const cast_wait_kind send_kind = {.finish = finish,
  .again = cast_net_write_again,
  .describe = cast_net_write_describe,
  .cleans_up = true};

/* The index at i as of string.sub, but that only the end is cut to `size`. */
static lua_Number index_at(lua_State *L, int i, lua_Number usual, size_t size) {
  lua_Number n = luaL_optnumber(L, i, usual);
  n = n < 0 ? (lua_Number)size + n + 1 : n;
  return n > -9e15 && n < 9e15 ? (lua_Number)(int64_t)n : n;
}

/* Both within that time; the string is at index 2. */
static int send(lua_State *L, const cast_sock *k, lua_Number from,
  lua_Number to, double seconds) {
  size_t size;
  const char *data = lua_tolstring(L, 2, &size);
  os_bytes bytes;
  if (from < 1) from = 1;
  if (to > (lua_Number)size) to = (lua_Number)size;
  if (!(from <= to)) {
    lua_pushnumber(L, from - 1);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
  }
  if (cast_sock_stream(k) == NULL)
    return push_outcome(L, NULL, CASTING_ECLOSED, (size_t)from - 1);
  bytes.at = data + (size_t)from - 1;
  bytes.size = (size_t)to - (size_t)from + 1;
  return cast_net_write_as(
    L, bytes, (size_t)from - 1, seconds, &send_kind, push_outcome);
}

/* With both timeouts it is a part of lualib's socket_send. */
int cast_sock_send(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  lua_Number from, to;
  size_t size;
  (void)luaL_checklstring(L, 2, &size);
  from = 1;
  to = (lua_Number)size;
  if (lua_gettop(L) > 2) {
    from = index_at(L, 3, 1, size);
    to = index_at(L, 4, -1, size);
    lua_settop(L, 2);
  }
  if (k->block >= 0 && k->total >= 0) {
    lua_pushnumber(L, from);
    lua_pushnumber(L, to);
    return cast_state_here(L)->binding->call(L, "socket_send", "send");
  }
  return send(L, k, from, to, cast_sock_seconds(k));
}

/* send_within(client, data, from, to, seconds) */
int cast_sock_send_within(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  lua_Number from = luaL_checknumber(L, 3), to = luaL_checknumber(L, 4);
  double seconds = luaL_checknumber(L, 5);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  return send(L, k, from, to, seconds);
}
