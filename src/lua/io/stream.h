/* stream.h - a connection, pipe or terminal that tasks read and write.
   SPDX-License-Identifier: MIT

   Owner: the session that has the handle. Nothing here knows Lua: these
   functions are what a wait's `again` calls, too, where Lua must not run.
   Bytes are read into scratch memory that the runner keeps (context.h), which
   becomes the stream's buffer until they are taken: so an idle stream has no
   buffer, and a read that fails afterwards, as there is no memory for a string
   of Lua's, has lost nothing. Invariants:
   1. One task reads at a time; of those that write, the first in `writers`.
   2. What a read that did not succeed had taken lies in the buffer: it has
      taken nothing.
   3. `drained`: the last read brought less than there was room for, or the
      stream has just been connected after a wait, in the set: so there is
      nothing until an event comes, and no call is made to find out. The former
      holds for TCP only (os_is_plain): elsewhere a read may end before a
      message or before descriptors that are passed. And an event that told of
      bytes and of the end behind them, or of urgent data, is not followed by
      another one.
   4. Whoever has cleared `ready` of a side and was not told that there is
      nothing more passes the event on: others may wait for the descriptor.
   5. A stream that waits has no more memory than twice the bytes that are left
      over, and a little (cast_stream_settle).
   6. This memory counts for its session (slab.h), and that of its works, but
      for what a runner has lent for the time of a call, and for what a stream
      that has moved brings along, if the session had too little left then. */
#ifndef CAST_STREAM_H
#define CAST_STREAM_H

#include "../../../include/casting.h"
#include "../../context.h"
#include "../../io/descriptor.h"
#include "transport.h"

/* A result: there is no end within the limit. No result of the system's and no
   CASTING_E* is the same. */
#define CAST_TOO_LONG (-200)

/* -- streams -------------------------------------------------------------- */

extern const cast_type cast_stream_type;

/* How a descriptor for cast_stream_new was come by. */
typedef enum cast_stream_origin {
  CAST_STREAM_SOCKET, /* a socket, which does not block */
  CAST_STREAM_PLAIN,  /* the same, and os_is_plain */
  CAST_STREAM_OTHER,  /* a pipe or something else that does not block */
  CAST_STREAM_SHARED, /* it may block, and that must stay so */
  CAST_STREAM_FILE    /* the same, on a disk: no event tells of it */
} cast_stream_origin;

/* With a descriptor of the system's, which it takes over. NULL: no memory, and
   nothing was taken. */
cast_stream *cast_stream_new(int fd, cast_stream_origin origin);
/* Closes it, and wakes those who wait; its layer says so to the other side.
   False: it was closed before. */
bool cast_stream_close(cast_stream *s, cast_session *self);
/* The same, but its descriptor stays open, and is the program's: the number;
   -1: it was closed before. */
int cast_stream_release(cast_stream *s, cast_session *self);
/* Sends the end: 0 or a failure. Reading goes on. */
intptr_t cast_stream_shut(cast_stream *s);
/* It belongs to that session from now on; NULL: to none. */
void cast_stream_assign(cast_stream *s, cast_slabs *account);
/* Is a call at work on it, or does a task wait for it, to read, to write, or
   for its descriptor? Then it stays in its session. */
bool cast_stream_is_awaited(cast_stream *s);

/* Lays a layer over it, which gets first what is left over: 0, and `state` is
   the layer's; CASTING_ENOMEM. */
int cast_stream_layer(cast_stream *s, const casting_layer *how, void *state);

/* -- reading -------------------------------------------------------------- */

static inline size_t cast_stream_left(const cast_stream *s) {
  return s->end - s->start;
}
static inline const unsigned char *cast_stream_data(const cast_stream *s) {
  return s->bytes + s->start;
}
/* Has something been read that nobody has taken, or is a helper reading? */
static inline bool cast_stream_is_ahead(const cast_stream *s) {
  return cast_stream_left(s) > 0 || s->input != NULL;
}
/* How many bytes were ever taken. */
static inline uint64_t cast_stream_taken(const cast_stream *s) {
  return s->nread - s->nlost - cast_stream_left(s);
}
/* Reads until there is what w wants: 0; OS_EAGAIN; CASTING_ECLOSED at the end,
   and when it was closed; CASTING_ENOMEM; CAST_TOO_LONG; CAST_MORE; or another
   failure of the system's. Nothing is taken. `r`: the runner that runs the
   caller, or NULL. */
intptr_t cast_stream_gather(cast_stream *s, cast_want *w, cast_runner *r);
/* One try, behind what is left over, of which there shall be `want`: how many
   bytes; 0: the end; OS_EAGAIN; CASTING_ECLOSED; CASTING_ENOMEM, before
   anything was read; or a result of the system's. */
intptr_t cast_stream_fill(cast_stream *s, size_t want, cast_runner *r);
/* The same where nothing is left over, with room for `most` bytes, if there is
   the memory: CAST_READ_MOST at least. */
intptr_t cast_stream_fill_anew(cast_stream *s, size_t most, cast_runner *r);
/* Takes n of the bytes that are left over. */
void cast_stream_take(cast_stream *s, size_t n);
/* Gives up memory that the bytes left over do not need: to be called when a
   read is over, or waits. */
void cast_stream_settle(cast_stream *s, cast_runner *r);
/* One try, to there: how many bytes, 0: the end; OS_EAGAIN; CASTING_ECLOSED; or
   a result of the system's. */
intptr_t cast_stream_try(
  cast_stream *s, void *to, size_t size, cast_session *self);

/* -- writing -------------------------------------------------------------- */

/* Writes what goes of n pieces: 0: all has gone; OS_EAGAIN; CASTING_ECLOSED;
   CAST_MORE; or a result of the system's. *done grows by the bytes that went,
   and those before *done are not written. */
intptr_t cast_stream_send(cast_stream *s, const os_bytes *pieces, uint32_t n,
  size_t *done, cast_session *self);

/* Has a helper still something to write that nobody waits for? */
bool cast_stream_is_owed(const cast_stream *s);
/* The first writer does not wait any more: how many of its bytes, beyond *done,
   a helper has, who writes them in any case. */
size_t cast_stream_leave(cast_stream *s);
/* A write was broken off after some of its bytes, and nobody learns how many.
   So nothing may follow these: this side is shut. But a standard stream goes
   on, since it is the program's, and not that of one task. */
void cast_stream_break(cast_stream *s);

/* A write that waits: with a copy of what had not gone at the first try. */
typedef struct cast_write {
  cast_object object;      /* a wait's */
  cast_list link;          /* in the stream's writers */
  cast_stream *stream;     /* one reference */
  struct cast_ltask *task; /* that waits */
  size_t offset;           /* what is added to the bytes that are told of */
  size_t before;           /* bytes that went at the first try */
  size_t done;             /* bytes of the copy that have gone */
  os_bytes copy;           /* of `data` */
  char data[];
} cast_write;

#endif
