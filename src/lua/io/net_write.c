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
#include "layer.h"
#include "net.h"
#include "pieces.h"

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
    if (w->copy.size == 0 && !cast_stream_owes(w->stream))
      return 0; /* all had gone: it was a turn */
    /* Nothing may stand behind a piece of a write. */
    if (w->stream->shut) return CASTING_ECLOSED;
    if (!is_first(w)) {
      cast_wait_arm(&t->base, CAST_WAIT_ONE); /* in no queue: our own ends it */
      return CAST_PARKED;
    }
    rc = cast_stream_send(w->stream, &w->copy, 1, &w->done, t->base.session);
    if (rc != OS_EAGAIN) return rc;
    rc = cast_descriptor_wait(
      w->stream->file, cast_stream_side(w->stream, CAST_WRITE), &t->base);
    if (rc != 0) return rc;
  }
}

int cast_net_write_again(cast_state *S, cast_ltask *t) {
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

static int push_outcome(
  lua_State *L, const cast_stream *s, intptr_t rc, size_t done) {
  if (rc == 0) return lua_pushboolean(L, 1), 1;
  cast_net_stream_failure(L, s, rc);
  lua_pushinteger(L, (lua_Integer)done);
  return 3;
}

int cast_net_write_finish(
  lua_State *L, cast_state *S, cast_ltask *t, int result, cast_net_told told) {
  cast_write *w = t->arg;
  bool raises = result != 0 && S->raises;
  leave(w, S, raises);
  /* A helper has the last bytes of a file. */
  if (result == CASTING_ETIMEOUT && is_all(w) && w->stream->is_file) result = 0;
  if (raises) return 0;
  return told(L, w->stream, result, w->offset + w->before + w->done);
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  return cast_net_write_finish(L, S, t, result, push_outcome);
}

void cast_net_write_describe(cast_buffer *b, const cast_ltask *t) {
  const cast_stream *s = ((const cast_write *)t->arg)->stream;
  char text[CAST_NET_TEXT];
  cast_buffer_add(b, "writing");
  if (cast_net_stream_text(s, text) > 0) cast_buffer_form(b, " to %s", text);
}

static const cast_wait_kind write_kind = {.finish = finish,
  .again = cast_net_write_again,
  .describe = cast_net_write_describe,
  .cleans_up = true};

/* -- the function --------------------------------------------------------- */

/* A write of what is behind the first `done` bytes, which counts for the
   session until `leave`. NULL: no memory. */
static cast_write *new_write(cast_state *S, cast_stream *s,
  const os_bytes *pieces, uint32_t n, size_t done) {
  size_t total = cast_pieces_size(pieces, n), skip = done, at = 0;
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

/* How long a write may take. */
typedef struct limits {
  uint64_t deadline;
  bool waits;
} limits;

/* To the stream at index 1. */
static int write_pieces(lua_State *L, cast_state *S, const os_bytes *pieces,
  uint32_t n, size_t offset, limits most, const cast_wait_kind *kind,
  cast_net_told told) {
  intptr_t rc = OS_EAGAIN;
  size_t done = 0;
  cast_stream *s;
  cast_ltask *t;
  cast_write *w;
  t = most.deadline == OS_FOREVER ? cast_enter_quick(L, S)
                                  : cast_enter(L, S, most.deadline);
  if (!most.waits) cast_turn_first(L, S, t);
  /* From here to the end no Lua runs: what went and what waits are one write,
     and no finalizer sends the stream away. */
  s = cast_net_stream(L, 1);
  if (s->shut || s->closed) return told(L, s, CASTING_ECLOSED, offset);
  /* A file is written by a helper, who takes all at once that is one piece. */
  if (cast_list_is_empty(&s->writers) && (!s->is_file || !most.waits)) {
    rc = cast_stream_send(s, pieces, n, &done, &S->session);
    if (rc == OS_EAGAIN) done += cast_stream_leave(s);
    if (rc == OS_EAGAIN && s->is_file && done == cast_pieces_size(pieces, n))
      rc = 0;
  }
  if (rc == 0 && most.waits && cast_turn_is_due(S, t)) {
    if (told == push_outcome) return cast_turn_take(L, S, t);
    rc = CAST_MORE; /* a write of nothing, in the next turn */
  }
  if (rc != OS_EAGAIN && rc != CAST_MORE) return told(L, s, rc, offset + done);
  if (!most.waits) return told(L, s, CASTING_ETIMEOUT, offset + done);
  w = new_write(S, s, pieces, n, done);
  if (w == NULL && done == cast_pieces_size(pieces, n) && !cast_stream_owes(s))
    return told(L, s, 0, offset + done);
  if (w == NULL) {
    if (done > 0) cast_stream_break(s); /* nobody learns the number */
    cast_raise_memory(L);
  }
  t->arg = w;
  w->task = t;
  w->offset = offset;
  if (rc != CAST_MORE) rc = write_or_wait(w, t);
  if (rc == CAST_MORE) rc = cast_wait_turn(&t->base);
  if (rc == CAST_PARKED) {
    t->owns_arg = true; /* the reference is the wait's from here on */
    return cast_park(L, S, t, most.deadline, kind);
  }
  leave(w, S, false);
  done = w->before + w->done;
  rc = told(L, s, rc, offset + done); /* `w` has a reference of s */
  cast_unref(&w->object);
  return (int)rc;
}

int cast_net_write_as(lua_State *L, os_bytes bytes, size_t offset,
  double seconds, const cast_wait_kind *kind, cast_net_told told) {
  limits most = {OS_FOREVER, seconds != 0};
  if (seconds >= 0) most.deadline = cast_deadline_in(seconds);
  return write_pieces(
    L, cast_state_here(L), &bytes, 1, offset, most, kind, told);
}

/* stream:write(string or list [, timeout]) */
int cast_net_write(lua_State *L) {
  cast_state *S = cast_state_here(L);
  limits most = {OS_FOREVER, true};
  os_bytes *pieces;
  uint32_t n;
  (void)cast_net_stream(L, 1);
  if (lua_gettop(L) > 3)
    cast_arg_error(L, 4, "one string expected, or one list of several");
  cast_pieces_need(L, 2);
  lua_settop(L, 3);
  n = cast_pieces_read(L, 2, &pieces);
  if (!lua_isnil(L, 3)) {
    most.deadline = cast_deadline(L, 3);
    most.waits = lua_tonumber(L, 3) > 0;
  }
  return write_pieces(L, S, pieces, n, 0, most, &write_kind, push_outcome);
}
