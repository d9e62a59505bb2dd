/* net_copy.c - everything that comes from one stream, to another.
   SPDX-License-Identifier: MIT

   A copy is one read of the first stream and one write to the second, which
   both last until it ends: nobody else reads from the one meanwhile, and who
   writes to the other waits for its turn. So neither can move to another
   session. It goes through the bytes that are left over of the first stream
   (stream.h): what has been taken from the system and was not written yet lies
   there, and so nothing is lost when a copy fails, only what was written has
   gone. An idle copy has no buffer, as an idle stream has none.

   Reads grow: one that brought all that there was room for lets the next one
   bring twice as much, up to CAST_COPY_MOST, and a target without room makes
   them small again, so that a copy which stands still has little. Fewer calls
   of more bytes each take a third less processor time. The system could move
   the bytes by itself (splice), but that saves little beyond it, or costs more:
   DESIGN, "What is written in Lua", has the figures.

   `again` does it without Lua, and lets other tasks run after CAST_TURN_MOST
   bytes. If the copy is broken off in the middle, the sending side is shut, as
   after a write (net_write.c). */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "layer.h"
#include "net.h"

#include <math.h>

typedef struct copying {
  cast_object object; /* a wait's */
  cast_stream *from;  /* a reference */
  cast_write *turn;   /* its place among the writers of `to` */
  uint64_t left;      /* bytes that may still be copied */
  uint64_t done;      /* bytes that were */
  size_t most;        /* bytes that the next read may bring */
  cast_stream *about; /* what the latest try was for: one of the two */
} copying;

static cast_stream *target(const copying *c) { return c->turn->stream; }

static void free_turn(cast_object *o) {
  cast_write *w = CAST_CONTAINER(o, cast_write, object);
  cast_list_remove(&w->link);
  cast_unref(&w->stream->object);
  cast_free(w);
}
static const cast_type turn_type = {"write", free_turn, NULL};

static void free_copying(cast_object *o) {
  copying *c = CAST_CONTAINER(o, copying, object);
  cast_unref(&c->turn->object);
  cast_unref(&c->from->object);
  cast_free(c);
}
static const cast_type copying_type = {"copy", free_copying, NULL};

/* With a place behind the other writers. NULL: no memory. */
static copying *new_copying(cast_stream *from, cast_stream *to, uint64_t most) {
  copying *c = cast_calloc(sizeof *c);
  cast_write *w = c != NULL ? cast_calloc(sizeof *w) : NULL;
  if (w == NULL) {
    cast_free(c);
    return NULL;
  }
  cast_object_init(&w->object, &turn_type);
  w->stream = to;
  cast_ref(&to->object);
  cast_list_push(&to->writers, &w->link);
  cast_object_init(&c->object, &copying_type);
  c->from = from;
  cast_ref(&from->object);
  c->turn = w;
  c->left = most;
  c->most = CAST_READ_MOST;
  c->about = to;
  return c;
}

/* -- copying -------------------------------------------------------------- */

static void count(copying *c, uint64_t n) {
  c->done += n;
  c->left -= n;
}

/* Where nothing is left over: as cast_stream_fill. No more than may be copied,
   but for what a small read brings. */
static intptr_t read_more(copying *c, cast_runner *r) {
  size_t most = c->most <= c->left ? c->most : CAST_READ_MOST;
  intptr_t n = cast_stream_fill_anew(c->from, most, r);
  if (n < (intptr_t)most)
    c->most = CAST_READ_MOST;
  else if (c->most < CAST_COPY_MOST)
    c->most *= 2;
  return n;
}

/* Writes what is left over of `from`: 0, or a failure. */
static intptr_t write_left(copying *c, cast_session *self) {
  os_bytes piece = {cast_stream_data(c->from), cast_stream_left(c->from)};
  size_t done = 0;
  intptr_t rc;
  if (piece.size > c->left) piece.size = (size_t)c->left;
  rc = cast_stream_send(target(c), &piece, 1, &done, self);
  if (done > 0) cast_stream_take(c->from, done);
  count(c, done);
  if (rc == OS_EAGAIN) c->most = CAST_READ_MOST;
  return rc;
}

/* Copies until it must wait, for that side; 0: all is copied. OS_EAGAIN and
   *side < 0: it has done much, and others shall run. */
static intptr_t copy_some(copying *c, int *side, cast_session *self) {
  uint64_t until = c->done + CAST_TURN_MOST;
  while (c->left > 0 || cast_stream_owes(target(c))) {
    intptr_t n;
    *side = CAST_WRITE;
    if (cast_stream_left(c->from) > 0 || cast_stream_owes(target(c))) {
      n = write_left(c, self);
      if (n != 0) return n;
      if (c->left == 0) break;
    }
    *side = CAST_READ;
    n = read_more(c, self->runner);
    if (n == 0 && c->from->broken) return CASTING_ECLOSED; /* it was reset */
    if (n <= 0) return n;
    if (c->done >= until) {
      *side = -1;
      return OS_EAGAIN;
    }
  }
  return 0;
}

static bool cannot_write(const cast_stream *to) {
  return to->shut || to->closed;
}

/* 0, a failure, CAST_PARKED, or CAST_MORE. */
static intptr_t copy_or_wait(copying *c, cast_ltask *t) {
  for (;;) {
    int side = -1;
    intptr_t rc;
    /* Closed while this waited for its turn, or was being woken: it would wait
       for a byte of `from` to find out. */
    if (cannot_write(target(c))) return CASTING_ECLOSED;
    if (target(c)->writers.next != &c->turn->link) {
      cast_wait_arm(&t->base, CAST_WAIT_ONE); /* until leave ends it */
      return CAST_PARKED;
    }
    rc = copy_some(c, &side, t->base.session);
    cast_stream_settle(c->from, t->base.session->runner);
    c->about = side == CAST_READ ? c->from : target(c);
    if (rc != OS_EAGAIN) return rc;
    if (side < 0) return CAST_MORE;
    rc = cast_descriptor_wait(
      c->about->file, cast_stream_side(c->about, side), &t->base);
    if (rc != 0) return rc;
  }
}

static int again(cast_state *S, cast_ltask *t) {
  CAST_UNUSED(S);
  return (int)copy_or_wait(t->arg, t);
}

/* -- the end -------------------------------------------------------------- */

/* What a helper writes now is copied: it must not be read once more. */
static void count_under_way(copying *c) {
  size_t n = cast_stream_leave(target(c)), left = cast_stream_left(c->from);
  if (n > left) n = left; /* it was closed */
  if (n > 0) cast_stream_take(c->from, n);
  count(c, n);
}

/* The turn of the next writer. */
static void leave(copying *c, const cast_ltask *t, bool broken) {
  cast_stream *to = target(c);
  bool first = to->writers.next == &c->turn->link;
  if (c->from->reader == t) c->from->reader = NULL;
  if (first) count_under_way(c);
  cast_list_remove(&c->turn->link);
  if (broken && c->done > 0) cast_stream_break(to);
  if (first && !cast_list_is_empty(&to->writers))
    (void)cast_wait_end(
      &CAST_CONTAINER(to->writers.next, cast_write, link)->task->base, 0);
}

static int push_outcome(
  lua_State *L, const cast_stream *s, intptr_t rc, uint64_t done) {
  if (rc != 0) cast_net_stream_failure(L, s, rc);
#if CAST_LUA >= 503
  lua_pushinteger(L, (lua_Integer)done);
#else
  lua_pushnumber(L, (lua_Number)done);
#endif
  return rc == 0 ? 1 : 3;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  copying *c = t->arg;
  bool raises = result == CASTING_ECANCELLED || result == CAST_DEADLOCK;
  CAST_UNUSED(S);
  /* The time that may be over is that of a scope, which raises. */
  leave(c, t, raises || result == CASTING_ETIMEOUT);
  return raises ? 0 : push_outcome(L, c->about, result, c->done);
}

static void describe_end(
  cast_buffer *b, const char *where, const cast_stream *s) {
  char text[CAST_NET_TEXT];
  if (cast_net_stream_text(s, text) > 0)
    cast_buffer_form(b, " %s %s", where, text);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const copying *c = t->arg;
  cast_buffer_add(b, "copying");
  describe_end(b, "from", c->from);
  describe_end(b, "to", target(c));
}

static const cast_wait_kind copy_kind = {
  .finish = finish, .again = again, .describe = describe, .cleans_up = true};

static uint64_t check_most(lua_State *L, int i) {
  lua_Number n;
  if (lua_isnoneornil(L, i)) return UINT64_MAX;
  n = cast_arg_number(L, i);
  if (n == (lua_Number)HUGE_VAL) return UINT64_MAX;
  cast_arg_check(L, n >= 0 && n == floor(n) && n <= 9007199254740992.0, i,
    "a number of bytes must be a non-negative integer");
  return (uint64_t)n;
}

/* stream:copy(to [, n]) */
int cast_net_copy(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_stream *from, *to;
  uint64_t most;
  cast_ltask *t;
  copying *c;
  intptr_t rc;
  (void)cast_net_stream(L, 1);
  (void)cast_net_stream(L, 2);
  most = check_most(L, 3);
  t = cast_enter(L, S, OS_FOREVER);
  /* Only now: a finalizer may have sent them away. */
  from = cast_net_stream(L, 1);
  to = cast_net_stream(L, 2);
  if (from->reader != NULL)
    cast_misuse(L, "another task is reading from this stream");
  if (cannot_write(to)) return push_outcome(L, to, CASTING_ECLOSED, 0);
  c = new_copying(from, to, most);
  if (c == NULL) cast_raise_memory(L);
  c->turn->task = t;
  from->reader = t;
  t->arg = c;
  rc = copy_or_wait(c, t);
  if (rc == CAST_MORE) rc = cast_wait_turn(&t->base);
  if (rc == CAST_PARKED) {
    t->owns_arg = true; /* the reference is the wait's from here on */
    return cast_park(L, S, t, OS_FOREVER, &copy_kind);
  }
  leave(c, t, false);
  rc = push_outcome(L, c->about, rc, c->done); /* `c` has a reference of it */
  cast_unref(&c->object);
  return (int)rc;
}
