/* transport.h - what a stream is, and a try to read from it or to write to it.
   SPDX-License-Identifier: MIT

   The tries are those of the system, or of a helper for files: below the buffer
   (stream.h), and below a layer, if there is one (layer.h). The numbers in
   comments are those of the invariants in stream.h. */
#ifndef CAST_TRANSPORT_H
#define CAST_TRANSPORT_H

#include "../../io/descriptor.h"
#include "../../list.h"
#include "../../object.h"
#include "../../os/socket.h"
#include "../../slab.h"
#include "fileio.h"

struct cast_layer;
struct cast_ltask;

/* -- reading: what is wanted ---------------------------------------------- */

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
  size_t size;    /* SOME, COUNT, PEEK: see there; else the most bytes, without
                       the end of a line or the mark */
  size_t scanned; /* of what is left over: there is no end in it */
  size_t found;   /* LINE, UNTIL: how many bytes with the end; 0: not yet */
} cast_want;

/* -- streams -------------------------------------------------------------- */

typedef struct cast_stream {
  cast_object object;      /* references: the handle, and waits */
  cast_descriptor *file;   /* (i) one reference */
  unsigned char *bytes;    /* left over, from `start` on; NULL: nothing */
  size_t start, end, room; /* of `bytes`; room CAST_READ_MOST: as scratch has */
  cast_slabs *account;     /* of its session; NULL: it has no handle */
  size_t counted;          /* bytes of the buffer that are counted there */
  cast_list writers;       /* of cast_write, in order */
  struct cast_ltask *reader; /* the task that waits to read, or NULL; ... */
  cast_want want;            /* ... and what it wants */
  uint32_t selects;          /* calls that wait for it beside other things */
  uint32_t uses;             /* calls that make strings of its bytes now */
  uint64_t nread, nwritten;  /* bytes, so far */
  uint64_t nlost;            /* ... read, and given up when it was closed */
  char *title;               /* (i) what a read does, for reports; or NULL */
  bool is_socket;            /* (i) */
  bool asks_drains;          /* the next is not known yet */
  bool drains;               /* a short read or write tells that there is no
                                more, or no room: see 3. */
  cast_fileio *input;  /* of a file: what a helper reads or has read; or NULL */
  cast_fileio *output; /* ... and what it writes */
  size_t works;        /* bytes of these that are counted */
  struct cast_layer *layer; /* TLS and the like (layer.h); or NULL */
  const char *name; /* (i) "stdin" and the like, if it is one; or NULL */
  size_t most;      /* (i) bytes that are written at once, if it is shared */
  bool shared; /* (i) its open file is not ours alone, and blocks: it is asked
                  before each call */
  bool is_terminal; /* (i) */
  bool is_file; /* (i) helpers read and write it (fileio.h); also `shared` */
  bool drained; /* see 3. */
  bool full;    /* the latest write found no room for all */
  bool ended;   /* the other side has sent its end, or reset it; ... */
  bool broken;  /* ... the latter */
  bool shut;    /* this side has sent its end */
  bool closed;  /* this side has closed it */
} cast_stream;

/* -- tries ---------------------------------------------------------------- */

/* One try to read: how many bytes; 0: the end; OS_EAGAIN; CASTING_ECLOSED; or a
   result of the system's. */
intptr_t cast_transport_read(
  cast_stream *s, void *to, size_t size, cast_session *self);
/* Writes `total` bytes, or a part: how many; OS_EAGAIN; CASTING_ECLOSED; or a
   result of the system's. *over: what was short tells that there is no room. */
intptr_t cast_transport_write(cast_stream *s, const os_bytes *v, int n,
  size_t total, bool *over, cast_session *self);
/* So many bytes of works count for the session: those that are under way, or
   over and not taken. */
void cast_transport_count(cast_stream *s, size_t bytes);
static inline size_t cast_transport_works(const cast_stream *s) {
  return cast_fileio_size(s->input) + cast_fileio_size(s->output);
}

#endif
