/* decoder.h - what a decoding in progress holds.
   SPDX-License-Identifier: MIT

   A decoder is a struct on the C stack of cast_unpack. Any call to Lua may
   raise, and then the struct is simply gone; so it owns nothing. The message
   owns the bytes and the references, the Lua stack all values.

   The bytes come from encode.c of the same process (wire.h). They are read
   with their bounds checked all the same: a mistake there must not become a
   wild read here. All that is read passes through the functions of this file
   and those of scalar.h, which check it.

   1. at <= end, and item <= items_end: what is left of the message.
   2. The Lua stack from `base` up, if has_refs: a table with the registered
      objects by number, then nil or a userdata with more frames, then the
      values and the objects of the frames. Else only the latter. */
#ifndef CAST_DECODER_H
#define CAST_DECODER_H

#include "../../base.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "packer.h"
#include "scalar.h"
#include "wire.h"

/* What a frame fills. */
enum {
  CAST_FILL_ROOT, /* the list of the message's values */
  CAST_FILL_SAVE, /* the list of a constructor and its arguments */
  CAST_FILL_TABLE,
  CAST_FILL_CODE /* a function: its upvalues */
};

/* What is read next, or is being read, for the object of a frame. */
enum {
  CAST_NEXT_ITEM, /* of the array */
  CAST_NEXT_KEY,
  CAST_NEXT_VALUE, /* of the key on the stack */
  CAST_NEXT_META,
  CAST_NEXT_ENV,
  CAST_NEXT_UPVALUE
};

/* Frames in the struct: enough for all messages without a __save. */
#define CAST_FILLS_HERE (CAST_PACK_DEPTH + 2)

/* Frames that are given room on the Lua stack at once. */
#define CAST_FILLS_STEP 8
#define CAST_FILL_SLOTS 4  /* table, key, value, and one more */
#define CAST_FILL_SPARE 12 /* for what is done with a value, or an error */
#define CAST_FILL_ROOM (CAST_FILLS_STEP * CAST_FILL_SLOTS + CAST_FILL_SPARE)

/* An object that is being filled, or a list of values. */
typedef struct cast_fill {
  unsigned char kind; /* CAST_FILL_* */
  unsigned char step; /* CAST_NEXT_* */
  bool body;       /* it is of a BODY: it leaves no value for the frame below */
  bool has_meta;   /* table: a metatable ends the content */
  bool registered; /* SAVE: something refers to the object */
  int at;          /* stack index of the object; list: of its first value */
  uint32_t i, n;   /* i of n are done: values of a list, array items and then
                      pairs of a table, upvalues of a function */
  uint32_t nrec;   /* table: how many pairs there are */
  uint32_t seq;    /* SAVE: the object's number, which it has before it is */
} cast_fill;

typedef struct cast_decoder {
  lua_State *L;                                /* where the values go */
  cast_packer *p;                              /* of that state */
  const unsigned char *at, *end;               /* bytes that are left */
  cast_object *const *item, *const *items_end; /* and references */
  int base;                                    /* see 2. */
  bool has_refs;                               /* some objects are registered */
  uint32_t message;  /* its number in the packer, for bytecode.c */
  uint32_t seq;      /* objects numbered so far */
  uint32_t depth;    /* frames in use; [depth - 1] is being filled */
  uint32_t capacity; /* of frames */
  cast_fill *frames; /* `here`, or a userdata on the stack */
  cast_fill here[CAST_FILLS_HERE];
} cast_decoder;

/* -- errors (decoder.c) --------------------------------------------------- */

/* Raises "cannot receive <thing> (<path>): <cause>" for what the frames are
   about. The cause, a value that is raised as it is unless it is a string, is
   on top of the stack, the thing below it. */
_Noreturn void cast_decoder_fail(cast_decoder *d);
/* The same; only the cause is on the stack. */
_Noreturn void cast_decoder_fail_at(cast_decoder *d, const char *thing);

static inline _Noreturn void cast_decoder_corrupt(const cast_decoder *d) {
  cast_decode_corrupt(d->L);
}

/* -- bytes and references ------------------------------------------------- */

/* Passes over so many bytes. Guards against a message that is cut off, and
   against a size in it that is larger than what is left. */
static inline const unsigned char *cast_decoder_take(
  cast_decoder *d, size_t size) {
  if (CAST_UNLIKELY((size_t)(d->end - d->at) < size)) cast_decoder_corrupt(d);
  const unsigned char *at = d->at;
  d->at += size;
  return at;
}

static inline unsigned cast_decoder_byte(cast_decoder *d) {
  return *cast_decoder_take(d, 1);
}

static inline uint32_t cast_decoder_u32(cast_decoder *d) {
  return wire_get_u32(cast_decoder_take(d, 4));
}

/* The next reference, of that type; NULL: of a handle. Guards against a tag
   that has no reference, and one whose reference is of another kind: a handle
   that is taken for a string would be read as one. */
cast_object *cast_decoder_item(cast_decoder *d, const cast_type *type);
/* The same for shared bytes: a string's, or bytecode. */
cast_bytes *cast_decoder_shared(cast_decoder *d);

/* The room that a table of n elements is given at once. */
static inline int cast_decoder_hint(const cast_decoder *d, uint32_t n) {
  return cast_scalar_hint((size_t)(d->end - d->at), n);
}

/* Makes room on the Lua stack for the n values of a list. Guards against a
   number of values that the rest of the message cannot have, as each takes a
   byte at least, and against one that no Lua stack could have held. */
void cast_decoder_reserve(cast_decoder *d, uint32_t n);

/* -- objects (decoder.c) -------------------------------------------------- */

/* Numbers the object on top, and keeps it at hand if it is registered. */
void cast_decoder_add(cast_decoder *d, unsigned flags);
/* Keeps the object on top, whose number is `seq`, at hand. Guards against one
   that is registered in a message whose header says that there are none: then
   the stack has no table of them. */
void cast_decoder_keep(cast_decoder *d, uint32_t seq);
/* Pushes a registered object. Guards against a reference to an object that is
   not registered, or that only comes later. */
void cast_decoder_push(cast_decoder *d, uint32_t seq);

/* Opens a frame: it is the top one. Guards against objects in each other
   deeper than an encoder writes them. */
cast_fill *cast_decoder_open(
  cast_decoder *d, unsigned kind, int at, uint32_t n);

#endif
