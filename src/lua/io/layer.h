/* layer.h - what a module lays over a stream, such as TLS.
   SPDX-License-Identifier: MIT

   A layer stands between the bytes that tasks read and write and those of the
   connection (casting.h, "layers on streams"). The stream stays what it is:
   its buffer, waits, turns and limits are those of any other, only that a try
   to read or write goes through the layer, which asks the connection below.
   Invariants:
   1. The layer's functions are called within a try, by the thread that runs
      the stream's session, never two at once, and without Lua.
   2. What a layer has taken of a write is gone, even if it still holds it as
      there was no room below (`owes`): the write waits until that has gone,
      too, but who gives up is not told of it as of bytes that are left.
   3. Bytes that had been read when the layer came are the first that it
      reads below.
   4. After a try that has to wait, `side` tells which event ends the wait:
      while a layer shakes hands a read may have to wait for room, and a write
      for bytes. Several tasks may wait for the same event; each of them tries
      again.
   5. Closing the stream lets the layer say goodbye, as far as there is room
      now, and drops it: after that there is none. A task that closes it tries
      to part from the other side first, once, and may wait for that room.
   6. While a layer tells of itself Lua runs, whose finalizers may close the
      stream: it is dropped when the last one has told. */
#ifndef CAST_LAYER_H
#define CAST_LAYER_H

#include "../../../include/casting.h"
#include "transport.h"

struct casting_below {
  cast_stream *stream;
  cast_session *self;   /* during a try: who tries */
  unsigned char *early; /* see 3.; NULL: all of them are read */
  size_t at, nearly;    /* of these: read, and all */
  intptr_t why;         /* the failure of the latest try below; 0: none */
  bool ended;           /* there was the end below */
};

typedef struct cast_layer {
  const casting_layer *how; /* (i) */
  void *state;              /* (i) the module's */
  casting_below below;
  uint8_t side[2]; /* see 4.: of a read, of a write */
  bool owes;       /* see 2. */
  bool parts;      /* see 5. */
  bool dropped;    /* see 6. */
  uint32_t tells;  /* see 6.: calls that are on */
} cast_layer;

/* What the streams of a listener get. */
typedef struct cast_layers {
  const casting_layers *how; /* (i) */
  void *state;               /* (i) the module's */
} cast_layers;

/* A result: the layer has failed (cast_layer_text). No result of the system's
   and no CASTING_E* is the same. */
#define CAST_LAYER_FAILED (-201)

/* Lays it over the stream; `early`, of so many bytes, is what had been read,
   and freed with it. 0: `state` is the layer's; CASTING_ENOMEM: nothing was
   taken. */
int cast_layer_set(cast_stream *s, const casting_layer *how, void *state,
  unsigned char *early, size_t nearly);
/* As cast_stream_try, and cast_stream_send. */
intptr_t cast_layer_try(
  cast_stream *s, void *to, size_t size, cast_session *self);
intptr_t cast_layer_send(cast_stream *s, const os_bytes *pieces, uint32_t n,
  size_t *done, cast_session *self);
/* Nothing will be written any more: the layer's own end is on its way, which a
   write of nothing waits for. 0, or a failure. */
intptr_t cast_layer_end(cast_stream *s, cast_session *self);
/* The first step of closing the stream: the layer says goodbye. True: there is
   no room for all of that now, and it is worth waiting for. */
bool cast_layer_part(cast_stream *s, cast_session *self);
/* Drops it, after its end if `polite`. */
void cast_layer_drop(cast_stream *s, cast_session *self, bool polite);
/* See 6.: the layer until cast_layer_told, or NULL: it has nothing to tell. */
cast_layer *cast_layer_hold(cast_stream *s);
void cast_layer_told(cast_layer *l);
/* Why it has failed. */
#define CAST_LAYER_TEXT 256
void cast_layer_text(const cast_stream *s, char text[CAST_LAYER_TEXT]);

/* The side of its descriptor whose event ends a wait to read, or to write. */
static inline int cast_stream_side(const cast_stream *s, int side) {
  return CAST_LIKELY(s->layer == NULL) ? side : s->layer->side[side];
}
/* Does a layer hold something of what was written? */
static inline bool cast_stream_owes(const cast_stream *s) {
  return s->layer != NULL && s->layer->owes;
}

#endif
