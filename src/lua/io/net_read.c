/* net_read.c - reading from streams.
   SPDX-License-Identifier: MIT

   A read says what it wants (cast_want). It looks at what is left over first,
   then it asks the system, and if that has nothing it waits. When an event ends
   the wait, `again` reads without Lua, and the task goes on only when there is
   enough.

     stream:read([what [, how]])   what: none, a number, "l", "L", "a"
     stream:read_until(s [, how])  how: seconds, or {max = , timeout = }
     stream:read_until(s, max [, timeout])
     stream:peek(n [, how])

   `max` bounds what has no length of its own: bytes of a line or of what stands
   before the mark, without their ends (1 MiB unless said), of "a" (64 MiB), of
   what is there (64 KiB, which is also the most). Beyond it the outcome is nil,
   "too long", and nothing has been taken. At the end it is nil, "closed" and
   the rest, which has been taken; "a" succeeds at the end, unless the
   connection was reset. After a timeout or a cancellation nothing has been
   taken. A stream that was closed on this side has no rest. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "layer.h"
#include "net.h"

#include <math.h>

static cast_runner *runner_of(const cast_state *S) { return S->session.runner; }

/* -- waiting -------------------------------------------------------------- */

/* After a try whose result is rc: another one each time that something has come
   meanwhile. CAST_PARKED: its task waits. */
static intptr_t wait_or_gather(
  cast_state *S, cast_stream *s, cast_want *w, cast_ltask *t, intptr_t rc) {
  while (rc == OS_EAGAIN) {
    rc =
      cast_descriptor_wait(s->file, cast_stream_side(s, CAST_READ), &t->base);
    if (rc == 0) rc = cast_stream_gather(s, w, runner_of(S));
  }
  return rc;
}

int cast_net_read_again(cast_state *S, cast_ltask *t) {
  cast_stream *s = t->arg;
  intptr_t rc = cast_stream_gather(s, &s->want, runner_of(S));
  return (int)wait_or_gather(S, s, &s->want, t, rc);
}

/* -- results -------------------------------------------------------------- */

static _Noreturn void refuse_second(lua_State *L) {
  cast_misuse(L, "another task is reading from this stream");
}

/* To make a string may run finalizers, and one may read from the same stream:
   then two have the same bytes. */
static bool is_second(cast_handing *h) {
  h->second = cast_stream_taken(h->stream) != h->taken;
  return h->second;
}

/* The first n bytes, without each "\r", or with them. In pieces, for the
   collector may run before each of them is copied. */
static void push_pieces(lua_State *L, cast_handing *h) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t done = 0, some; done < h->n; done += some) {
    char *to = luaL_prepbuffer(&b);
    const unsigned char *from;
    size_t kept = 0;
    if (CAST_UNLIKELY(is_second(h))) break;
    some = h->n - done < LUAL_BUFFERSIZE ? h->n - done : LUAL_BUFFERSIZE;
    from = cast_stream_data(h->stream) + done;
    if (!h->bare) {
      memcpy(to, from, kept = some);
    } else {
      for (size_t i = 0; i < some; i++)
        if (from[i] != '\r') to[kept++] = (char)from[i];
    }
    luaL_addsize(&b, kept);
  }
  luaL_pushresult(&b);
}

static void push_string(lua_State *L, cast_handing *h) {
  /* Up to 5.2 the collector runs before the bytes are copied. */
  if (CAST_LUA < 503 || CAST_UNLIKELY(h->bare))
    push_pieces(L, h);
  else
    lua_pushlstring(L, (const char *)cast_stream_data(h->stream), h->n);
}

static int push_bytes(lua_State *L) {
  cast_handing *h = lua_touserdata(L, 1);
  if (CAST_UNLIKELY(is_second(h))) return 0; /* a hook has waited */
  if (h->why != NULL) {
    lua_pushnil(L);
    lua_pushstring(L, h->why);
  }
  if (h->n == 0)
    lua_pushliteral(L, "");
  else
    push_string(L, h);
  if (h->why == NULL && h->results > 1) lua_settop(L, 1 + h->results);
  return h->results;
}

static const char push_key = 0;

/* Finalizers and hooks that run meanwhile may wait, and give up what refers to
   the stream: it stays, in this session, as the call is counted and has a
   reference. So that the count comes down in any case the call is protected.
   The values are its results: a hook runs even when it returns, and may
   raise. */
int cast_net_hand_out(lua_State *L, cast_state *S, cast_handing h) {
  cast_stream *s = h.stream;
  bool room = lua_checkstack(L, LUA_MINSTACK);
  int status = LUA_ERRMEM;
  h.taken = cast_stream_taken(s);
  cast_ref(&s->object);
  s->uses++;
  if (room)
    status = cast_lua_cpcall_for(L, &push_key, push_bytes, &h, h.results);
  s->uses--;
  if (status == LUA_OK && !is_second(&h)) cast_stream_take(s, h.takes);
  cast_stream_settle(s, runner_of(S));
  cast_unref(&s->object);
  if (h.second) refuse_second(L);
  if (!room) cast_raise_memory(L);
  return status != LUA_OK ? lua_error(L) : h.results;
}

/* The first n bytes that are left over, behind nil and "closed" if `nil`; of
   them `takes` are taken. */
static int hand_out(lua_State *L, cast_state *S, cast_stream *s, bool nil,
  size_t n, size_t takes) {
  cast_handing h = {
    .stream = s, .n = n, .takes = takes, .results = nil ? 3 : 1};
  if (nil) h.why = "closed";
  return cast_net_hand_out(L, S, h);
}

static int push_line(
  lua_State *L, cast_state *S, cast_stream *s, const cast_want *w) {
  const unsigned char *data = cast_stream_data(s);
  size_t n = w->found - 1;
  if (w->kind == CAST_WANT_WHOLE_LINE)
    n = w->found;
  else if (n > 0 && data[n - 1] == '\r')
    n--;
  return hand_out(L, S, s, false, n, w->found);
}

static int push_result(
  lua_State *L, cast_state *S, cast_stream *s, const cast_want *w) {
  size_t left = cast_stream_left(s), n = left < w->size ? left : w->size;
  switch (w->kind) {
  case CAST_WANT_SOME:
  case CAST_WANT_COUNT: return hand_out(L, S, s, false, n, n);
  case CAST_WANT_PEEK: return hand_out(L, S, s, false, n, 0);
  case CAST_WANT_UNTIL:
    return hand_out(L, S, s, false, w->found - w->nmark, w->found);
  default: return push_line(L, S, s, w);
  }
}

/* nil, why[, what was there before the end]. To push anything may be the end of
   the stream, unless this has a reference (hand_out). */
static int push_failure(lua_State *L, cast_state *S, cast_stream *s,
  const cast_want *w, intptr_t rc) {
  size_t left = cast_stream_left(s);
  bool at_end = rc == CASTING_ECLOSED && !s->closed;
  if (at_end && w->kind == CAST_WANT_ALL && s->ended && !s->broken)
    return hand_out(L, S, s, false, left, left);
  if (at_end && left > 0)
    return hand_out(L, S, s, true, left, w->kind == CAST_WANT_PEEK ? 0 : left);
  cast_stream_settle(s, runner_of(S));
  if (rc != CAST_TOO_LONG && !at_end) return cast_net_stream_failure(L, s, rc);
  lua_pushnil(L);
  lua_pushstring(L, at_end ? "closed" : "too long");
  return 2;
}

static int conclude(lua_State *L, cast_state *S, cast_stream *s,
  const cast_want *w, intptr_t rc) {
  /* A hook has closed it since there was enough: nothing is left of it. */
  if (CAST_UNLIKELY(rc == 0 && s->closed)) rc = CASTING_ECLOSED;
  return rc == 0 ? push_result(L, S, s, w) : push_failure(L, S, s, w, rc);
}

int cast_net_read_finish(lua_State *L, cast_state *S, cast_ltask *t, int result,
  cast_net_conclude conclude_as) {
  cast_stream *s = t->arg;
  cast_want w = s->want;
  if (s->reader == t) {
    s->reader = NULL;
    cast_free((void *)(uintptr_t)s->want.mark);
    s->want.mark = NULL;
  }
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  return conclude_as(L, S, s, &w, result);
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return cast_net_read_finish(L, S, t, result, conclude);
}

void cast_net_read_describe(cast_buffer *b, const cast_ltask *t) {
  cast_stream *s = t->arg;
  char text[CAST_NET_TEXT];
  if (s->title != NULL) {
    cast_buffer_add(b, s->title);
    return;
  }
  cast_buffer_add(b, "reading");
  if (cast_net_stream_text(s, text) > 0) cast_buffer_form(b, " from %s", text);
}

static const cast_wait_kind read_kind = {.finish = finish,
  .again = cast_net_read_again,
  .describe = cast_net_read_describe,
  .cleans_up = true};

/* -- the functions -------------------------------------------------------- */

/* Keeps what the task wants for as long as it waits. */
static void keep(
  lua_State *L, cast_stream *s, const cast_want *w, cast_ltask *t) {
  char *mark = NULL;
  if (w->nmark > 0) {
    mark = cast_alloc(w->nmark);
    if (mark == NULL) cast_raise_memory(L);
    memcpy(mark, w->mark, w->nmark);
  }
  s->want = *w;
  s->want.mark = mark;
  s->reader = t;
}

int cast_net_read_as(lua_State *L, cast_want *w, double seconds,
  const cast_wait_kind *kind, cast_net_conclude conclude_as) {
  cast_state *S = cast_state_here(L);
  uint64_t deadline = seconds < 0 ? OS_FOREVER : cast_deadline_in(seconds);
  cast_stream *s;
  cast_ltask *t;
  intptr_t rc;
  t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                             : cast_enter(L, S, deadline);
  if (seconds == 0) cast_turn_first(L, S, t);
  s = cast_net_stream(L, 1); /* only now: a finalizer may have sent it away */
  if (s->reader != NULL) refuse_second(L);
  if (s->closed) return conclude_as(L, S, s, w, CASTING_ECLOSED);
  if (seconds == 0)
    s->drained = false; /* no event comes: the system is asked */
  if (seconds != 0 && cast_turn_is_due(S, t))
    rc = CAST_MORE;
  else
    rc = cast_stream_gather(s, w, runner_of(S));
  /* More is there than one turn brings. */
  while (rc == CAST_MORE && seconds == 0) {
    cast_turn_take_in_place(L, S, t);
    s = cast_net_stream(L, 1);
    if (s->reader != NULL) refuse_second(L);
    if (s->closed) return conclude_as(L, S, s, w, CASTING_ECLOSED);
    rc = cast_stream_gather(s, w, runner_of(S));
  }
  if (rc == OS_EAGAIN && seconds == 0 && s->drained) {
    /* The last bytes have come, and perhaps the end behind them. */
    s->drained = false;
    rc = cast_stream_gather(s, w, runner_of(S));
  }
  if (rc == OS_EAGAIN && seconds == 0) rc = CASTING_ETIMEOUT;
  if (rc != OS_EAGAIN && rc != CAST_MORE) return conclude_as(L, S, s, w, rc);
  keep(L, s, w, t);
  t->arg = s;
  rc = wait_or_gather(S, s, &s->want, t, rc);
  if (rc == CAST_MORE) rc = cast_wait_turn(&t->base);
  if (rc == CAST_PARKED) return cast_park_about(L, S, t, deadline, kind);
  S->raises = false; /* it has not waited */
  return kind->finish(L, S, t, (int)rc);
}

/* Of the stream at index 1. `seconds` < 0: without a timeout. */
static int read_as(lua_State *L, cast_want *w, double seconds) {
  return cast_net_read_as(L, w, seconds, &read_kind, conclude);
}

static size_t check_size(lua_State *L, int i, size_t most, const char *text) {
  lua_Number n = cast_arg_number(L, i);
  cast_arg_check(L, n >= 0 && n == floor(n) && n <= (lua_Number)most, i, text);
  return (size_t)n;
}

#define SIZE_TEXT "a number of bytes must be an integer from 0 to 2^31"

/* The bound at index i, for what argument `arg` says. */
static void check_max(lua_State *L, int i, int arg, cast_want *w) {
  lua_Number n;
  if (lua_isnil(L, i)) return;
  /* In a table nothing is converted. */
  n = lua_type(L, i) == LUA_TNUMBER || (i == arg && lua_isnumber(L, i))
        ? lua_tonumber(L, i)
        : -1;
  cast_arg_check(L, n >= 1 && n == floor(n) && n <= (lua_Number)CAST_COUNT_MOST,
    arg, "max must be an integer from 1 to 2^31");
  if (w->kind == CAST_WANT_SOME && n > CAST_READ_MOST) n = CAST_READ_MOST;
  if (w->kind != CAST_WANT_COUNT && w->kind != CAST_WANT_PEEK)
    w->size = (size_t)n;
}

/* The table at i has no fields but those that are known. */
static void check_fields(lua_State *L, int i) {
  lua_pushnil(L);
  while (lua_next(L, i) != 0) {
    if (!cast_arg_is(L, -2, "max") && !cast_arg_is(L, -2, "timeout"))
      cast_arg_error(
        L, i, lua_pushfstring(L, "unknown option '%s'", cast_arg_quote(L, -2)));
    lua_pop(L, 1);
  }
}

/* Argument i: nothing, seconds, or a table with `timeout` and `max`. Returns
   the seconds; -1: no timeout. */
static double check_how(lua_State *L, int i, cast_want *w) {
  double seconds = -1;
  bool is_table = lua_type(L, i) == LUA_TTABLE;
  if (lua_isnoneornil(L, i)) return seconds;
  if (is_table) {
    check_fields(L, i);
    lua_getfield(L, i, "max");
    check_max(L, lua_gettop(L), i, w);
    lua_pop(L, 1);
    lua_getfield(L, i, "timeout");
  } else {
    lua_pushvalue(L, i);
  }
  if (!lua_isnil(L, -1)) {
    if (is_table ? lua_type(L, -1) != LUA_TNUMBER : !lua_isnumber(L, -1)) {
      if (is_table) cast_arg_error(L, i, "timeout must be a number of seconds");
      cast_arg_type_error(L, i, "number of seconds, or table");
    }
    seconds = lua_tonumber(L, -1);
    cast_arg_check(
      L, seconds >= 0, i, "timeout must be a number of seconds, zero or more");
  }
  lua_pop(L, 1);
  return seconds;
}

/* What is at 2 is no form of a read. Who knows the forms of files, or those of
   LuaSocket and of Lua up to 5.2, which have a star, is told what to use. */
static _Noreturn void refuse_form(lua_State *L) {
  const char *form = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (cast_arg_is(L, 2, "*l") || cast_arg_is(L, 2, "*L") ||
      cast_arg_is(L, 2, "*a"))
    cast_arg_error(
      L, 2, lua_pushfstring(L, "\"%s\" expected, got \"%s\"", form + 1, form));
  if (cast_arg_is(L, 2, "n") || cast_arg_is(L, 2, "*n"))
    cast_arg_error(L, 2, "no numbers are read: read a line, and call tonumber");
  cast_arg_error(L, 2,
    lua_pushfstring(L,
      "a number of bytes, \"l\", \"L\" or \"a\" expected, got %s%s",
      cast_arg_got(L, 2),
      lua_istable(L, 2) ? ": a timeout goes behind it, read(nil, timeout)"
                        : ""));
}

/* stream:read([what [, how]]) */
int cast_net_read(lua_State *L) {
  cast_want w = {.kind = CAST_WANT_SOME, .size = CAST_READ_MOST};
  (void)cast_net_stream(L, 1);
  if (lua_isnoneornil(L, 2)) {
    /* what is there */
  } else if (lua_type(L, 2) == LUA_TNUMBER) {
    w.kind = CAST_WANT_COUNT;
    w.size = check_size(L, 2, CAST_COUNT_MOST, SIZE_TEXT);
  } else {
    size_t size = 0;
    const char *how = "";
    if (lua_type(L, 2) == LUA_TSTRING) how = lua_tolstring(L, 2, &size);
    w.size = CAST_LINE_MOST;
    switch (size == 1 ? how[0] : '\0') {
    case 'l': w.kind = CAST_WANT_LINE; break;
    case 'L': w.kind = CAST_WANT_WHOLE_LINE; break;
    case 'a':
      w.kind = CAST_WANT_ALL;
      w.size = CAST_ALL_MOST;
      break;
    default: refuse_form(L);
    }
  }
  return read_as(L, &w, check_how(L, 3, &w));
}

/* stream:read_until(mark [, max [, timeout]]), or (mark, how) */
int cast_net_read_until(lua_State *L) {
  cast_want w = {.kind = CAST_WANT_UNTIL, .size = CAST_LINE_MOST};
  double seconds;
  size_t n;
  (void)cast_net_stream(L, 1);
  w.mark = cast_arg_string(L, 2, &n);
  cast_arg_check(L, n > 0 && n <= CAST_LINE_MOST, 2,
    "a mark must have from 1 byte to 1 MiB");
  w.nmark = (uint32_t)n;
  if (lua_type(L, 3) == LUA_TTABLE) {
    cast_arg_check(L, lua_isnoneornil(L, 4), 4,
      "nothing expected behind a table, which has the timeout");
    seconds = check_how(L, 3, &w);
  } else {
    lua_settop(L, 4);
    check_max(L, 3, 3, &w);
    seconds = check_how(L, 4, &w);
  }
  return read_as(L, &w, seconds);
}

/* stream:peek(n [, how]) */
int cast_net_peek(lua_State *L) {
  cast_want w = {.kind = CAST_WANT_PEEK};
  (void)cast_net_stream(L, 1);
  w.size = check_size(L, 2, CAST_LINE_MOST,
    "a number of bytes must be an integer from 0 to 2^20");
  return read_as(L, &w, check_how(L, 3, &w));
}
