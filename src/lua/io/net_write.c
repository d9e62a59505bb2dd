/* net_write.c - writing to streams.
   SPDX-License-Identifier: MIT

   A write is done when the system has all of it: there is no queue, so a task
   that writes faster than the other side reads waits. What is written is tried
   at once. If not all of it goes, a cast_write has a copy of the rest: nothing
   on the stack of a task that waits can be relied on (debug.setlocal). Writes
   of several tasks go one after the other, whole.

     stream:write(what [, timeout])   what: a string, a number, or a list of
                                      these and of such lists

   It is true; or nil, why and the number of bytes that went. Where a write ends
   with an error, as when its task is cancelled, nobody learns that number: if
   some bytes had gone, this side is shut, so that nothing can follow them. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../stop/scope.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "net.h"

#include <math.h>

static void free_write(cast_object *o) {
  cast_write *w = CAST_CONTAINER(o, cast_write, object);
  cast_list_remove(&w->link);
  cast_unref(&w->stream->object);
  cast_free(w);
}
static const cast_type write_type = {"write", free_write, NULL};

/* -- waiting -------------------------------------------------------------- */

static bool is_first(const cast_write *w) {
  return w->stream->writers.next == &w->link;
}

/* 0, a failure; CAST_PARKED: its task waits: for its turn, or for room;
   CAST_MORE. */
static intptr_t write_or_wait(cast_write *w, cast_ltask *t) {
  for (;;) {
    intptr_t rc;
    /* Nothing may stand behind a piece of a write. */
    if (w->stream->shut) return CASTING_ECLOSED;
    if (!is_first(w)) {
      cast_wait_arm(&t->base, CAST_WAIT_ONE); /* in no queue: our own ends it */
      return CAST_PARKED;
    }
    rc = cast_stream_send(w->stream, &w->copy, 1, &w->done, t->base.session);
    if (rc != OS_EAGAIN) return rc;
    rc = cast_descriptor_wait(w->stream->file, CAST_WRITE, &t->base);
    if (rc != 0) return rc;
  }
}

static int again(cast_state *S, cast_ltask *t) {
  CAST_UNUSED(S);
  return (int)write_or_wait(t->arg, t);
}

static bool is_all(const cast_write *w) { return w->done == w->copy.size; }

/* The turn of the next one. A write that was broken off in the middle shuts
   this side: nobody could go on after a piece of it. */
static void leave(cast_write *w, cast_state *S, bool broken) {
  cast_stream *s = w->stream;
  bool first = is_first(w);
  if (first) w->done += cast_stream_leave(s);
  cast_list_remove(&w->link);
  (void)cast_slabs_charge(&S->memory.slabs, w->copy.size, 0);
  if (broken && w->before + w->done > 0 && !is_all(w)) cast_stream_break(s);
  if (first && !cast_list_is_empty(&s->writers))
    (void)cast_wait_end(
      &CAST_CONTAINER(s->writers.next, cast_write, link)->task->base, 0);
}

static int push_outcome(lua_State *L, intptr_t rc, size_t done) {
  if (rc == 0) return lua_pushboolean(L, 1), 1;
  cast_net_failure(L, rc);
  lua_pushinteger(L, (lua_Integer)done);
  return 3;
}

/* Will nobody be told how many bytes went? Also the end of a scope, as of
   with_timeout, raises. It is looked at a moment later, so a near one counts.
   */
static bool is_untold(cast_ltask *t, int result) {
  uint64_t now;
  if (result == CASTING_ECANCELLED || result == CAST_DEADLOCK) return true;
  if (result != CASTING_ETIMEOUT || !cast_scope_is_needed(t)) return false;
  now = os_now();
  return cast_scope_deadline(t, now) <= now + CAST_GRID_NS;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_write *w = t->arg;
  bool raises = result == CASTING_ECANCELLED || result == CAST_DEADLOCK;
  leave(w, S, is_untold(t, result));
  /* A helper has the last bytes of a file. */
  if (result == CASTING_ETIMEOUT && is_all(w)) result = 0;
  return raises ? 0 : push_outcome(L, result, w->before + w->done);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const cast_stream *s = ((const cast_write *)t->arg)->stream;
  char text[CAST_NET_TEXT];
  cast_buffer_add(b, "writing");
  if (cast_net_stream_text(s, text) > 0) cast_buffer_form(b, " to %s", text);
}

static const cast_wait_kind write_kind = {
  .finish = finish, .again = again, .describe = describe, .cleans_up = true};

/* -- the function --------------------------------------------------------- */

/* The list below the top has n items and then a nil, at the top. Is that all of
   it? There may be a hole, with items behind it: what the length of a list with
   holes is differs from version to version. A table without items is a list if
   it is empty and plain. */
static bool is_list(lua_State *L, lua_Integer n) {
  if (n == 0 && lua_getmetatable(L, -2)) return false;
  while (lua_next(L, -2) != 0) {
    lua_Number key =
      lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : (lua_Number)0;
    if (n == 0 || (key > (lua_Number)n && key == floor(key))) return false;
    lua_pop(L, 1);
  }
  lua_pushnil(L); /* in place of what lua_next has taken */
  return true;
}

/* Puts the strings of the value at the top into the table `list`, in order,
   from item `n` on. The value is item `at` of the list that holds it. */
static uint32_t flatten(lua_State *L, int list, uint32_t n, int at, int depth) {
  int type = lua_type(L, -1);
  lua_Integer i;
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    (void)lua_tostring(L, -1);
    lua_rawseti(L, list, (int)n + 1);
    return n + 1;
  }
  if (type != LUA_TTABLE)
    cast_arg_error(L, 2,
      lua_pushfstring(L, "list of strings expected, item %d is a %s", at,
        luaL_typename(L, -1)));
  if (depth == CAST_PIECES_DEPTH)
    cast_arg_error(L, 2, "lists in lists, too deep");
  luaL_checkstack(L, 4, NULL);
  for (i = 1;; i++) {
    lua_rawgeti(L, -1, (int)i);
    if (lua_isnil(L, -1)) break;
    if (n >= CAST_PIECES_MOST) cast_arg_error(L, 2, "too many strings");
    n = flatten(L, list, n, (int)i, depth + 1);
  }
  if (!is_list(L, i - 1))
    cast_arg_error(L, 2,
      lua_pushfstring(L, "list of strings expected, item %d is nil", (int)i));
  lua_pop(L, 2);
  return n;
}

static size_t size_of(const os_bytes *pieces, uint32_t n) {
  size_t total = 0;
  for (uint32_t i = 0; i < n; i++) total += pieces[i].size;
  return total;
}

/* A write of what is behind the first `done` bytes, which counts for the
   session until `leave`. NULL: no memory. */
static cast_write *new_write(cast_state *S, cast_stream *s,
  const os_bytes *pieces, uint32_t n, size_t done) {
  size_t total = size_of(pieces, n), skip = done, at = 0;
  cast_write *w;
  if (!cast_slabs_charge(&S->memory.slabs, 0, total - done)) return NULL;
  w = cast_alloc(sizeof *w + (total - done));
  if (w == NULL) {
    (void)cast_slabs_charge(&S->memory.slabs, total - done, 0);
    return NULL;
  }
  memset(w, 0, sizeof *w);
  cast_object_init(&w->object, &write_type);
  w->stream = s;
  cast_ref(&s->object);
  w->before = done;
  w->copy = (os_bytes){w->data, total - done};
  for (uint32_t i = 0; i < n; i++) {
    size_t size = pieces[i].size;
    if (skip < size) {
      memcpy(w->data + at, (const char *)pieces[i].at + skip, size - skip);
      at += size - skip;
      skip = 0;
    } else {
      skip -= size;
    }
  }
  cast_list_push(&s->writers, &w->link);
  return w;
}

/* To the stream at index 1. */
static int write_pieces(lua_State *L, cast_state *S, const os_bytes *pieces,
  uint32_t n, int timeout) {
  uint64_t deadline = OS_FOREVER;
  intptr_t rc = OS_EAGAIN;
  size_t done = 0;
  cast_stream *s;
  cast_ltask *t;
  cast_write *w;
  bool waits = true;
  if (!lua_isnoneornil(L, timeout)) {
    deadline = cast_deadline(L, timeout);
    waits = lua_tonumber(L, timeout) > 0;
  }
  t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                             : cast_enter(L, S, deadline);
  if (!waits) cast_turn_first(L, S, t);
  /* From here to the end no Lua runs: what went and what waits are one write,
     and no finalizer sends the stream away. */
  s = cast_net_stream(L, 1);
  if (s->shut || s->closed) return push_outcome(L, CASTING_ECLOSED, 0);
  /* A file is written by a helper, who takes all at once that is one piece. */
  if (cast_list_is_empty(&s->writers) && (!s->is_file || !waits)) {
    rc = cast_stream_send(s, pieces, n, &done, &S->session);
    if (rc == OS_EAGAIN) done += cast_stream_leave(s);
    if (rc == OS_EAGAIN && s->is_file && done == size_of(pieces, n)) rc = 0;
  }
  if (rc == 0 && waits && cast_turn_is_due(S, t))
    return cast_turn_take(L, S, t);
  if (rc != OS_EAGAIN && rc != CAST_MORE) return push_outcome(L, rc, done);
  if (!waits) return push_outcome(L, CASTING_ETIMEOUT, done);
  w = new_write(S, s, pieces, n, done);
  if (w == NULL) {
    if (done > 0) cast_stream_break(s); /* nobody learns the number */
    cast_raise_memory(L);
  }
  t->arg = w;
  w->task = t;
  rc = write_or_wait(w, t);
  if (rc == CAST_MORE) rc = cast_wait_turn(&t->base);
  if (rc == CAST_PARKED) {
    t->owns_arg = true; /* the reference is the wait's from here on */
    return cast_park(L, S, t, deadline, &write_kind);
  }
  leave(w, S, false);
  done = w->before + w->done;
  cast_unref(&w->object);
  return push_outcome(L, rc, done);
}

/* stream:write(string or list [, timeout]) */
int cast_net_write(lua_State *L) {
  cast_state *S = cast_state_here(L);
  os_bytes one, *all;
  uint32_t n;
  (void)cast_net_stream(L, 1);
  if (lua_gettop(L) > 3)
    cast_arg_error(L, 4, "one string expected, or one list of several");
  if (lua_type(L, 2) != LUA_TTABLE) {
    if (!lua_isstring(L, 2))
      cast_arg_type_error(L, 2, "string, number or list of these");
    one.at = lua_tolstring(L, 2, &one.size);
    return write_pieces(L, S, &one, 1, 3);
  }
  lua_settop(L, 3);
  lua_newtable(L);
  lua_pushvalue(L, 2);
  n = flatten(L, 4, 0, 0, 0);
  all = cast_lua_newuserdata(L, (n + 1) * sizeof *all);
  for (uint32_t i = 0; i < n; i++) {
    lua_rawgeti(L, 4, (int)i + 1);
    all[i].at = lua_tolstring(L, -1, &all[i].size);
    lua_pop(L, 1);
  }
  return write_pieces(L, S, all, n, 3);
}
