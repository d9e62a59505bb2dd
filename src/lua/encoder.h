/* encoder.h - what an encoding in progress holds.
   SPDX-License-Identifier: MIT

   An encoder is a full userdata; the packer's table anchors the idle one. It
   is used by one cast_pack at a time, and another is made when __save sends
   something itself. A Lua error that passes over cast_pack leaves it busy:
   it is replaced, and the collector frees it with all it holds.

   1. Each of the nitems references is owned by the encoder.
   2. The Lua stack while encoding, from `base` up: the packer's table, the
      encoder, the table of anchors or nil, then the frames' objects. */
#ifndef CAST_ENCODER_H
#define CAST_ENCODER_H

#include "packer.h"
#include "seen.h"
#include "wire.h"

/* Values in a row: those of the message, or the results of a __save. What is
   put off in a list is written before its end. */
typedef struct cast_list_state {
  uint32_t limit; /* depth from which on objects are put off */
  uint32_t mark;  /* work below it waits for the end of an outer list */
  uint32_t save;  /* entry of the object in seen; 0: the message */
} cast_list_state;

/* An object that is being written. */
typedef struct cast_frame {
  unsigned char kind;    /* FRAME_* in encode.c */
  unsigned char step;    /* STEP_*: what its child is */
  bool loose;            /* it leads to an object that is not complete */
  int at;                /* stack index of the object */
  uint32_t i, n;         /* what is written of it; see encode.c */
  uint32_t tag;          /* where its flags lie */
  uint32_t counts;       /* where its two numbers lie; 0: nowhere */
  uint32_t hint;         /* and those of a header that went before; 0: none */
  uint32_t entry;        /* in seen */
  uint32_t value;        /* body: which value of the message it is in, else 0 */
  uint32_t levels;       /* body: how deep in that value */
  cast_list_state outer; /* list: the one around it */
} cast_frame;

/* An object whose content comes later. */
typedef struct cast_work {
  uint32_t anchor; /* key in the table of anchors */
  uint32_t entry;  /* in seen */
  uint32_t hint;   /* where the two numbers of its header lie */
  uint32_t value;  /* which value of the message it is in */
  uint32_t levels; /* how deep */
} cast_work;

typedef struct cast_remeta {
  uint32_t object, metatable; /* numbers */
} cast_remeta;

typedef struct cast_encoder {
  cast_packer *p;
  lua_State *L;
  bool busy;
  bool scanned;     /* package.loaded was looked at for this message */
  bool again;       /* begin anew: what was written may be wrong */
  bool anchor_all;  /* a __save runs: keep all objects alive */
  int base;         /* see 2. */
  const char *what; /* for paths: "argument", */
  int number;       /* and the first one's number */

  unsigned char *bytes;
  uint32_t size, capacity;
  cast_object **items;
  uint32_t nitems, items_capacity;
  cast_frame *frames;
  uint32_t depth, frames_capacity;
  cast_list_state list; /* the innermost one */
  cast_work *work;
  uint32_t nwork, work_capacity;
  cast_remeta *remeta;
  uint32_t nremeta, remeta_capacity;
  cast_seen seen;
  uint32_t nanchors;
  uint32_t seq;   /* objects numbered */
  uint32_t nreg;  /* objects registered */
  uint32_t saves; /* __save results around */
  bool saved;     /* there is some in the message */
} cast_encoder;

#define CAST_AT_TABLE 1   /* base + */
#define CAST_AT_ANCHORS 3 /* base + */

/* Pushes the packer's table, an encoder that is now busy, and nil. */
cast_encoder *cast_encoder_take(cast_packer *p, lua_State *L);
/* Gives back what the encoder holds; it is idle. */
void cast_encoder_done(cast_encoder *e);
/* Forgets what was written. */
void cast_encoder_reset(cast_encoder *e);
/* Raises the error on top of the stack. */
_Noreturn void cast_encoder_raise(cast_encoder *e);
_Noreturn void cast_encoder_nomem(cast_encoder *e);
/* Moves what was written, behind a header, to *out. */
void cast_encoder_finish(cast_encoder *e, uint32_t n, cast_msg *out);

/* Rooms: for more bytes, for one more element. They raise. */
void cast_encoder_grow(cast_encoder *e, uint32_t more);
cast_frame *cast_encoder_frame(cast_encoder *e);
cast_work *cast_encoder_work(cast_encoder *e);
cast_remeta *cast_encoder_remeta(cast_encoder *e);
void cast_encoder_item_room(cast_encoder *e);

static inline unsigned char *cast_encoder_room(cast_encoder *e, uint32_t more) {
  if (CAST_UNLIKELY((uint64_t)e->size + more > e->capacity))
    cast_encoder_grow(e, more);
  return e->bytes + e->size;
}

static inline void cast_encoder_byte(cast_encoder *e, unsigned v) {
  *cast_encoder_room(e, 1) = (unsigned char)v;
  e->size++;
}

static inline void cast_encoder_u32(cast_encoder *e, uint32_t v) {
  wire_put_u32(cast_encoder_room(e, 4), v);
  e->size += 4;
}

/* Takes the reference over; room was made. */
static inline void cast_encoder_item(cast_encoder *e, cast_object *o) {
  e->items[e->nitems++] = o;
}

#endif
