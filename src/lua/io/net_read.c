/* net_read.c - reading from streams.
   SPDX-License-Identifier: MIT

   A read says what it wants (cast_want). It looks at what is left over first,
   then it asks the system, and if that has nothing it waits. When an event ends
   the wait, `again` reads without Lua, and the task goes on only when there is
   enough. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "net.h"

#include <math.h>

#define TOO_LONG (-200) /* a result: there is no end within the limit */

/* -- is there enough? ----------------------------------------------------- */

/* Looks for the mark in what is left over, from where the last look ended. */
static void scan(
  const cast_stream *s, cast_want *w, const char *mark, size_t n) {
  const unsigned char *data = cast_stream_data(s);
  size_t left = cast_stream_left(s), at = w->scanned;
  while (at + n <= left) {
    const unsigned char *p = memchr(data + at, mark[0], left - at - n + 1);
    if (p == NULL) {
      at = left - n + 1;
      break;
    }
    at = (size_t)(p - data);
    if (memcmp(p, mark, n) == 0) {
      w->found = at + n;
      return;
    }
    at++;
  }
  w->scanned = at;
}

static bool is_enough(const cast_stream *s, cast_want *w) {
  size_t left = cast_stream_left(s);
  switch (w->kind) {
  case CAST_WANT_SOME: return left > 0;
  case CAST_WANT_COUNT:
  case CAST_WANT_PEEK: return left >= w->size;
  case CAST_WANT_ALL: return false;
  case CAST_WANT_UNTIL: scan(s, w, w->mark, w->nmark); break;
  default: scan(s, w, "\n", 1);
  }
  return w->found > 0;
}

/* How many bytes there shall be for the next look. */
static size_t next_size(const cast_stream *s, const cast_want *w) {
  size_t left = cast_stream_left(s);
  if (w->kind == CAST_WANT_COUNT || w->kind == CAST_WANT_PEEK) return w->size;
  if (w->kind == CAST_WANT_ALL && left > 0) return left + CAST_READ_MOST;
  return left + 1;
}

/* Reads until there is enough: 0; OS_EAGAIN; CASTING_ECLOSED at the end; or
   another failure. Nothing is taken. */
static intptr_t gather(cast_stream *s, cast_want *w) {
  while (!is_enough(s, w)) {
    intptr_t n;
    if (w->kind >= CAST_WANT_LINE && cast_stream_left(s) >= w->size)
      return TOO_LONG;
    n = cast_stream_fill(s, next_size(s, w));
    if (n == 0) return CASTING_ECLOSED;
    if (n < 0) return n;
  }
  return 0;
}

/* After such a try, whose result is rc: another one each time that something
   has come meanwhile. CAST_PARKED: its task waits. */
static intptr_t wait_or_gather(
  cast_stream *s, cast_want *w, cast_ltask *t, intptr_t rc) {
  while (rc == OS_EAGAIN) {
    rc = cast_descriptor_wait(s->file, CAST_READ, &t->base);
    if (rc == 0) rc = gather(s, w);
  }
  return rc;
}

static int again(cast_state *S, cast_ltask *t) {
  cast_stream *s = t->arg;
  CAST_UNUSED(S);
  return (int)wait_or_gather(s, &s->want, t, gather(s, &s->want));
}

/* -- results -------------------------------------------------------------- */

/* Pushes n bytes, and takes `taken` of them. The string may be collected, and
   finalizers run, as it is made: they find the stream as it was. */
static void push_bytes(lua_State *L, cast_stream *s, size_t n, size_t taken) {
  lua_pushlstring(L,
    (const char *)(n > 0 ? cast_stream_data(s) : (const unsigned char *)""), n);
  if (taken > 0) cast_stream_take(s, taken);
}

static int push_line(lua_State *L, cast_stream *s, const cast_want *w) {
  const unsigned char *data = cast_stream_data(s);
  size_t n = w->found - 1;
  if (w->kind == CAST_WANT_WHOLE_LINE)
    n = w->found;
  else if (n > 0 && data[n - 1] == '\r')
    n--;
  push_bytes(L, s, n, w->found);
  return 1;
}

static int push_result(lua_State *L, cast_stream *s, const cast_want *w) {
  size_t left = cast_stream_left(s), n = left < w->size ? left : w->size;
  switch (w->kind) {
  case CAST_WANT_SOME:
  case CAST_WANT_COUNT: push_bytes(L, s, n, n); return 1;
  case CAST_WANT_PEEK: push_bytes(L, s, n, 0); return 1;
  case CAST_WANT_UNTIL:
    push_bytes(L, s, w->found - w->nmark, w->found);
    return 1;
  default: return push_line(L, s, w);
  }
}

/* nil, why[, what was there before the end]. */
static int push_failure(
  lua_State *L, cast_stream *s, const cast_want *w, intptr_t rc) {
  size_t left = cast_stream_left(s);
  if (rc == TOO_LONG) {
    lua_pushnil(L);
    lua_pushliteral(L, "too long");
    return 2;
  }
  if (rc != CASTING_ECLOSED || !s->ended) return cast_net_failure(L, rc);
  if (w->kind == CAST_WANT_ALL) {
    push_bytes(L, s, left, left);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "closed");
  if (left == 0) return 2;
  push_bytes(L, s, left, w->kind == CAST_WANT_PEEK ? 0 : left);
  return 3;
}

static int conclude(
  lua_State *L, cast_stream *s, const cast_want *w, intptr_t rc) {
  return rc == 0 ? push_result(L, s, w) : push_failure(L, s, w, rc);
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_stream *s = t->arg;
  cast_want w = s->want;
  CAST_UNUSED(S);
  if (s->reader == t) {
    s->reader = NULL;
    cast_free((void *)(uintptr_t)s->want.mark);
    s->want.mark = NULL;
  }
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return 0;
  return conclude(L, s, &w, result);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const cast_stream *s = t->arg;
  char host[OS_HOST_SIZE];
  uint16_t port;
  os_address a;
  cast_buffer_add(b, "reading");
  if (!s->is_socket || os_peer_address(s->file->fd, &a) != 0 ||
      os_address_text(&a, host, &port) == 0)
    return;
  cast_buffer_form(b, port != 0 ? " from %s:%u" : " from %s", host, port);
}

static const cast_wait_kind read_kind = {
  .finish = finish, .again = again, .describe = describe, .cleans_up = true};

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

static int read_as(lua_State *L, cast_stream *s, cast_want *w, int timeout) {
  cast_state *S = cast_state_here(L);
  uint64_t deadline = OS_FOREVER;
  cast_ltask *t;
  intptr_t rc;
  if (!lua_isnoneornil(L, timeout)) deadline = cast_deadline(L, timeout);
  t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                             : cast_enter(L, S, deadline);
  if (s->reader != NULL)
    cast_misuse(L, "another task is reading from this stream");
  rc = gather(s, w);
  if (rc != OS_EAGAIN) return conclude(L, s, w, rc);
  if (deadline != OS_FOREVER && lua_tonumber(L, timeout) <= 0)
    return cast_push_failure(L, CASTING_ETIMEOUT);
  keep(L, s, w, t);
  t->arg = s;
  rc = wait_or_gather(s, &s->want, t, rc);
  if (rc == CAST_PARKED) return cast_park_about(L, S, t, deadline, &read_kind);
  return finish(L, S, t, (int)rc);
}

static size_t check_size(lua_State *L, int i, size_t most) {
  lua_Number n = cast_arg_number(L, i);
  cast_arg_check(L, n >= 0 && n == floor(n) && n <= (lua_Number)most, i,
    "a number of bytes must be an integer from 0 to 2^31");
  return (size_t)n;
}

/* stream:read([what [, timeout]]) */
int cast_net_read(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  cast_want w = {.kind = CAST_WANT_SOME, .size = CAST_READ_MOST};
  if (lua_isnoneornil(L, 2)) {
    /* what is there */
  } else if (lua_type(L, 2) == LUA_TNUMBER) {
    w.kind = CAST_WANT_COUNT;
    w.size = check_size(L, 2, (size_t)1 << 31);
  } else {
    const char *how = cast_arg_string(L, 2, NULL);
    w.size = CAST_LINE_MOST;
    if (strcmp(how, "l") == 0) {
      w.kind = CAST_WANT_LINE;
    } else if (strcmp(how, "L") == 0) {
      w.kind = CAST_WANT_WHOLE_LINE;
    } else if (strcmp(how, "a") == 0) {
      w.kind = CAST_WANT_ALL;
      w.size = CAST_ALL_MOST;
    } else {
      cast_arg_error(L, 2, "a number of bytes, \"l\", \"L\" or \"a\" expected");
    }
  }
  return read_as(L, s, &w, 3);
}

/* stream:read_until(mark [, max [, timeout]]) */
int cast_net_read_until(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  cast_want w = {.kind = CAST_WANT_UNTIL, .size = CAST_LINE_MOST};
  size_t n;
  const char *mark = cast_arg_string(L, 2, &n);
  cast_arg_check(L, n > 0, 2, "an end must not be empty");
  if (!lua_isnoneornil(L, 3)) w.size = check_size(L, 3, (size_t)1 << 31);
  w.mark = mark;
  w.nmark = (uint32_t)n;
  return read_as(L, s, &w, 4);
}

/* stream:peek(n [, timeout]) */
int cast_net_peek(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  cast_want w = {.kind = CAST_WANT_PEEK};
  w.size = check_size(L, 2, CAST_LINE_MOST);
  return read_as(L, s, &w, 3);
}
