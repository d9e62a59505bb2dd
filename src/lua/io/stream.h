/* stream.h - a connection, pipe or terminal that tasks read and write.
   SPDX-License-Identifier: MIT

   Owner: the session that has the handle. Nothing here knows Lua's API: these
   functions are what a wait's `again` calls, too, where there is no Lua.
   A stream has no buffer while nothing is left over: what is read goes through
   the scratch memory of the runner. Invariants:
   1. One task reads at a time; of those that write, the first in `writers`.
   2. What a read that did not succeed had taken lies in the buffer: it has
      taken nothing.
   3. `drained`: the last read brought less than there was room for, so that
      there is nothing until an event comes, and no call is made to find out
      (epoll(7) and kqueue(2) allow that for streams). But an event that told of
      bytes and of the end behind them is not followed by another one. */
#ifndef CAST_STREAM_H
#define CAST_STREAM_H

#include "../../io/descriptor.h"
#include "../../list.h"
#include "../../object.h"
#include "../../os/socket.h"
#include "../state/ltask.h"

/* What a read is to bring. */
typedef enum cast_want_kind {
  CAST_WANT_SOME,  /* what is there, but not nothing, up to `size` */
  CAST_WANT_COUNT, /* `size` bytes */
  CAST_WANT_PEEK,  /* these, and they stay */
  CAST_WANT_LINE,  /* up to a newline, which stays out, with a "\r" before */
  CAST_WANT_WHOLE_LINE,
  CAST_WANT_UNTIL, /* up to `mark`, which stays out */
  CAST_WANT_ALL    /* to the end */
} cast_want_kind;

typedef struct cast_want {
  cast_want_kind kind;
  uint32_t nmark;
  const char *mark; /* UNTIL; of a read that waits: to be freed */
  size_t size;      /* SOME, COUNT, PEEK: see there; else at most so many */
  size_t scanned;   /* of what is left over: there is no end in it */
  size_t found;     /* LINE, UNTIL: how many bytes with the end; 0: not yet */
} cast_want;

typedef struct cast_stream {
  cast_object object;      /* references: the handle, and waits */
  cast_descriptor *file;   /* (i) one reference */
  unsigned char *bytes;    /* left over, from `start` on; NULL: nothing */
  size_t start, end, room; /* of `bytes` */
  cast_list writers;       /* of cast_write, in order */
  cast_ltask *reader;      /* the task that waits to read, or NULL; ... */
  cast_want want;          /* ... and what it wants */
  uint32_t selects;        /* calls that wait for it beside other things */
  uint64_t nread, nwritten;
  bool is_socket;
  bool drained; /* see 3. */
  bool ended;   /* the other side has sent its end */
  bool shut;    /* this side has */
  bool moved;   /* the handle has lost it to another session */
} cast_stream;

extern const cast_type cast_stream_type;

/* With a descriptor of the system's, which it takes over, also if it fails:
   NULL, no memory. */
cast_stream *cast_stream_new(int fd, bool is_socket);
/* Closes it, and wakes those who wait. False: it was closed before. */
bool cast_stream_close(cast_stream *s, cast_session *self);

/* -- reading -------------------------------------------------------------- */

static inline size_t cast_stream_left(const cast_stream *s) {
  return s->end - s->start;
}
static inline const unsigned char *cast_stream_data(const cast_stream *s) {
  return s->bytes + s->start;
}
/* Takes n of the bytes that are left over. */
void cast_stream_take(cast_stream *s, size_t n);
/* One try, to there: how many bytes, 0: the end; OS_EAGAIN; CASTING_ECLOSED; or
   a result of the system's. */
intptr_t cast_stream_try(cast_stream *s, void *to, size_t size);
/* The same, to the bytes that are left over, of which there shall be `want`. Or
   CASTING_ENOMEM. */
intptr_t cast_stream_fill(cast_stream *s, size_t want);

/* -- writing -------------------------------------------------------------- */

/* Writes what goes of n pieces: 0: all has gone; OS_EAGAIN; CASTING_ECLOSED; or
   a result of the system's. *done grows by the bytes that went, and those
   before *done are not written. */
intptr_t cast_stream_send(
  cast_stream *s, const os_bytes *pieces, uint32_t n, size_t *done);

/* A write that waits: with a copy of what had not gone at the first try. */
typedef struct cast_write {
  cast_object object; /* a wait's */
  cast_list link;     /* in the stream's writers */
  cast_stream *stream;
  cast_ltask *task;
  size_t before; /* bytes that went at the first try */
  size_t done;   /* bytes of the copy that have gone */
  os_bytes copy; /* of `data` */
  char data[];
} cast_write;

#endif
