/* sock_receive.c - receiving from the streams of LuaSocket.
   SPDX-License-Identifier: MIT

     client:receive([pattern [, prefix]])   pattern: "*l", "*a", a number

   It is string, nil, nil; or nil, why, and what has come, which was taken: the
   caller gives that back as the prefix. The prefix is a part of the result, and
   counts for a number. A line is without its end, and without any "\r". "*a"
   succeeds at the end if anything has come, unless the connection was reset. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../compat/auxiliary.h"
#include "sock_method.h"

/* The most bytes of a read that has no length of its own; LuaSocket has no
   limit, but such strings do not fit into a message of LuaSocket's either. */
#define MOST CAST_COUNT_MOST

static int push_line(
  lua_State *L, cast_state *S, cast_stream *s, const cast_want *w) {
  const unsigned char *data = cast_stream_data(s);
  cast_handing h = {.stream = s, .takes = w->found, .results = 3};
  h.n = w->found - 1;
  if (h.n > 0 && data[h.n - 1] == '\r') h.n--;
  h.bare = memchr(data, '\r', h.n) != NULL;
  return cast_net_hand_out(L, S, h);
}

/* Is that why nothing comes, rather than that the other end has gone? The end
   of a connection was told once; what never was one says so each time. */
static bool is_unconnected(const cast_stream *s) {
  char byte;
  intptr_t rc;
  if (s->closed || !s->broken || !cast_descriptor_begin(s->file)) return false;
  rc = os_peek(s->file->fd, &byte, sizeof byte);
  cast_descriptor_end(s->file);
  return os_is_gone(rc);
}

/* A PEEK waits for a byte, and has none of it: receive(0). */
static int conclude(lua_State *L, cast_state *S, cast_stream *s,
  const cast_want *w, intptr_t rc) {
  cast_handing h = {.stream = s, .results = 3};
  char text[CAST_SOCK_TEXT];
  size_t left;
  if (rc == 0 && s->closed) rc = CASTING_ECLOSED; /* by a hook, since then */
  if (rc == 0 && w->kind == CAST_WANT_LINE) return push_line(L, S, s, w);
  left = cast_stream_left(s);
  if (rc == 0 && w->kind == CAST_WANT_COUNT) {
    h.n = h.takes = w->size;
  } else if (rc != 0) {
    bool whole = w->kind == CAST_WANT_ALL && rc == CASTING_ECLOSED &&
                 s->ended && !s->broken && !s->closed && left > 0;
    h.n = h.takes = left;
    h.bare = w->kind == CAST_WANT_LINE;
    if (!whole) h.why = cast_sock_text(rc, text);
    if (rc == CASTING_ECLOSED && left == 0 && is_unconnected(s))
      h.why = CAST_SOCK_UNCONNECTED;
  }
  return cast_net_hand_out(L, S, h);
}

/* Copies n bytes to `to`, without each "\r" if `bare`: how many. */
static size_t copy_bytes(
  char *to, const unsigned char *from, size_t n, bool bare) {
  size_t kept = 0;
  if (!bare || CAST_LIKELY(memchr(from, '\r', n) == NULL)) {
    memcpy(to, from, n);
    return n;
  }
  for (size_t i = 0; i < n; i++)
    if (from[i] != '\r') to[kept++] = (char)from[i];
  return kept;
}

/* The same for a call that has not waited, whose object is at index 1. What is
   short, and there already, is copied before any Lua value is made, so it needs
   no protected call: if there is no memory, or a finalizer takes these bytes,
   nothing has been taken by this. */
static int conclude_now(lua_State *L, cast_state *S, cast_stream *s,
  const cast_want *w, intptr_t rc) {
  char bytes[CAST_SOCK_SHORT];
  const cast_sock *k = lua_touserdata(L, 1);
  uint32_t nstreams = k->nstreams;
  uint64_t before = cast_stream_taken(s);
  size_t n = w->kind == CAST_WANT_LINE ? w->found : w->size, kept;
  bool is_line = w->kind == CAST_WANT_LINE;
  if (rc != 0 || n > sizeof bytes || w->kind == CAST_WANT_PEEK || s->closed)
    return conclude(L, S, s, w, rc);
  kept = copy_bytes(bytes, cast_stream_data(s), is_line ? n - 1 : n, is_line);
  lua_pushlstring(L, bytes, kept);
  /* A finalizer may have given the object another stream, or none: s is gone
     then. */
  if (CAST_UNLIKELY(k->nstreams != nstreams || k->handle.stream != s ||
                    s->closed || cast_stream_taken(s) != before)) {
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    lua_pushliteral(L, "");
    return 3;
  }
  cast_stream_take(s, n);
  cast_stream_settle(s, S->session.runner);
  lua_pushnil(L);
  lua_pushnil(L);
  return 3;
}

/* An error is raised, as the deadline of a scope has passed: what has come
   stays for the next call. */
static int conclude_untold(lua_State *L, cast_state *S, cast_stream *s,
  const cast_want *w, intptr_t rc) {
  CAST_UNUSED(w);
  CAST_UNUSED(rc);
  cast_stream_settle(s, S->session.runner);
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  lua_pushliteral(L, "");
  return 3;
}

/* Another wait may follow: what has come stays there until the last one, as
   each of them may be cancelled. How much that is comes in its place. */
static int conclude_kept(lua_State *L, cast_state *S, cast_stream *s,
  const cast_want *w, intptr_t rc) {
  size_t left = cast_stream_left(s);
  if (rc != CASTING_ETIMEOUT) return conclude(L, S, s, w, rc);
  cast_stream_settle(s, S->session.runner);
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  lua_pushnumber(L, (lua_Number)left);
  return 3;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return cast_net_read_finish(
    L, S, t, result, result != 0 && S->raises ? conclude_untold : conclude);
}

static int finish_kept(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return cast_net_read_finish(L, S, t, result,
    result != 0 && S->raises ? conclude_untold : conclude_kept);
}

static const cast_wait_kind receive_kind = {.finish = finish,
  .again = cast_net_read_again,
  .describe = cast_net_read_describe,
  .cleans_up = true};
static const cast_wait_kind kept_kind = {.finish = finish_kept,
  .again = cast_net_read_again,
  .describe = cast_net_read_describe,
  .cleans_up = true};

/* What the pattern at index 2 says, without the `had` bytes of the prefix. */
static cast_want check_pattern(lua_State *L, size_t had) {
  cast_want w = {.kind = CAST_WANT_COUNT};
  if (lua_isnoneornil(L, 2)) {
    w.kind = CAST_WANT_LINE;
    w.size = MOST;
  } else if (lua_isnumber(L, 2)) {
    lua_Number n = lua_tonumber(L, 2);
    luaL_argcheck(L, n >= 0, 2, "invalid receive pattern");
    w.size = n < (lua_Number)(SIZE_MAX / 4) ? (size_t)n : SIZE_MAX / 4;
    if (w.size == 0 && had == 0) {
      w.kind = CAST_WANT_PEEK;
      w.size = 1;
    } else {
      w.size = w.size > had ? w.size - had : 0;
    }
  } else {
    const char *p = luaL_checkstring(L, 2);
    w.size = MOST;
    if (p[0] == '*' && p[1] == 'l')
      w.kind = CAST_WANT_LINE;
    else if (p[0] == '*' && p[1] == 'a')
      w.kind = CAST_WANT_ALL;
    else
      luaL_argerror(L, 2, "invalid receive pattern");
  }
  return w;
}

/* `keeps`: what has come in time is not taken, if it is not enough. */
static int receive(
  lua_State *L, const cast_sock *k, cast_want *w, double seconds, bool keeps) {
  if (cast_sock_stream(k) == NULL) {
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    lua_pushliteral(L, "");
    return 3;
  }
  if (keeps) return cast_net_read_as(L, w, seconds, &kept_kind, conclude_kept);
  return cast_net_read_as(L, w, seconds, &receive_kind, conclude_now);
}

/* With a prefix, or both timeouts, it is a part of lualib's socket_receive. */
int cast_sock_receive(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  size_t had = 0;
  cast_want w;
  if (lua_gettop(L) > 2) (void)luaL_optlstring(L, 3, "", &had);
  w = check_pattern(L, had);
  if (had > 0 || (k->block >= 0 && k->total >= 0)) {
    lua_settop(L, 3);
    if (w.kind == CAST_WANT_ALL) { /* "*all" is "*a" */
      lua_pushliteral(L, "*a");
      lua_replace(L, 2);
    }
    return cast_state_here(L)->binding->call(L, "socket_receive", "receive");
  }
  return receive(L, k, &w, cast_sock_seconds(k), false);
}

/* receive_within(client, pattern, had, seconds, keeps): what comes after a
   prefix of so many bytes, as receive does, within that time; below 0: any. If
   it keeps what has come, and that is not enough, it is nil, "timeout" and how
   much there is for the next call. */
int cast_sock_receive_within(lua_State *L) {
  const cast_sock *k = cast_sock_check(L, 1, CAST_SOCK_CLIENT);
  size_t had = (size_t)luaL_checknumber(L, 3);
  double seconds = luaL_checknumber(L, 4);
  cast_want w = check_pattern(L, had);
  bool keeps = lua_toboolean(L, 5);
  lua_settop(L, 2);
  if (w.kind == CAST_WANT_COUNT && w.size == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  return receive(L, k, &w, seconds, keeps);
}
