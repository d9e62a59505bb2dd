/* encoder.h - what an encoding in progress holds.
   SPDX-License-Identifier: MIT

   A full userdata owns an encoder; the packer's table anchors the idle one. It
   is used by one cast_pack at a time, and another is made when a __save, or a
   finalizer, sends something itself meanwhile. A Lua error that passes over
   cast_pack leaves it busy: then it is replaced by a new one, and the collector
   frees it with all it holds. So nothing that an error may pass over lies in C
   variables alone, and every function here may raise as it likes.

   Owner: the runner of the state. No locks.

   1. Each of the nitems references is owned by the encoder. NULL stands for
      the task whose results are packed (cast_pack_results).
   2. The Lua stack while encoding, from `base` up: the packer's table, the
      encoder, the table of anchors or nil, then the objects of the frames.
   3. An offset is a number of bytes from the beginning of `bytes`, which may
      move whenever it grows: addresses in it are good until the next write.
   4. A pointer to a frame is good until a frame is opened, one to an entry of
      the memo until an object is added, for the same reason. */
#ifndef CAST_ENCODER_H
#define CAST_ENCODER_H

#include "../../base.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "memo.h"
#include "pack.h"
#include "packer.h"
#include "wire.h"

/* What a frame writes. */
enum {
  CAST_FRAME_ROOT, /* the list of the message's values */
  CAST_FRAME_SAVE, /* the list of what a __save returned */
  CAST_FRAME_TABLE,
  CAST_FRAME_CODE /* a function: its upvalues */
};

/* What the child that is being written is to its frame's object. When a frame
   was opened for the child, this says where to go on after it, and what to call
   the child in the path of an error. */
enum {
  CAST_STEP_ARRAY, /* of a table: item i of the array */
  CAST_STEP_PAIR,  /* the value of a pair; the key stays on the stack */
  CAST_STEP_KEY,   /* a key that is an object; its value comes next */
  CAST_STEP_META,  /* the metatable, which is the last of it */
  CAST_STEP_BEGIN, /* of a function: its environment comes next */
  CAST_STEP_ENV,
  CAST_STEP_UPVALUE
};

/* How far an object in the memo is written. The first two are told apart for
   the arguments of constructors, which must be complete with all that they lead
   to; the order matters to check_metatable. The memo also has variables, by
   lua_upvalueid: their state is the index of the upvalue. */
enum {
  CAST_MEMO_DONE,   /* it is complete with all that it leads to */
  CAST_MEMO_LOOSE,  /* it is complete, but may lead to one that is not */
  CAST_MEMO_OPEN,   /* it has a frame */
  CAST_MEMO_SAVING, /* its __save was called; the result is being written */
  CAST_MEMO_PENDING /* only its header is written: it is put off */
};

/* Values in a row: those of the message, or the results of a __save. What is
   put off in a list is written before its end. */
typedef struct cast_list_state {
  uint32_t limit; /* depth from which on objects are put off */
  uint32_t mark;  /* work below it waits for the end of an outer list */
  uint32_t save;  /* the object's entry in the memo; 0: the message */
} cast_list_state;

/* An object that is being written, or a list of values. */
typedef struct cast_frame {
  unsigned char kind; /* CAST_FRAME_* */
  unsigned char step; /* CAST_STEP_*: what its next or open child is to it */
  bool has_meta;      /* table: it had a metatable when it was opened */
  bool unnamed;       /* table: known not to be a metatable in a module */
  bool loose;         /* it leads to an object that is not complete */
  int at;             /* stack index of the object */
  uint32_t i, n;      /* its counters, which differ by kind: see encode.c */
  uint32_t tag;       /* offset of the byte with its flags */
  uint32_t counts;    /* offset of its two numbers; 0: it has none */
  uint32_t hint;      /* body: offset of those in the header that went
                         before, by which the decoder makes room; 0: none */
  uint32_t entry;     /* its index in the memo */
  uint32_t value;     /* body: number of the value that it is in; else 0 */
  uint32_t levels;    /* body: how deep it is in that value */
  struct {            /* function: what there was before it, for roll_back */
    uint32_t items;   /* references */
    uint32_t nwork;   /* objects that were put off */
    uint32_t nremeta; /* metatables to be set again */
    uint32_t flushed; /* see `flushed` of the encoder */
  } before;
  cast_list_state outer; /* list: the one around it */
} cast_frame;

/* An object whose header is written and whose content comes later. */
typedef struct cast_work {
  uint32_t anchor; /* its key in the table of anchors */
  uint32_t entry;  /* its index in the memo */
  uint32_t hint;   /* offset of the two numbers in its header, or 0 */
  uint32_t value;  /* number of the value that it is in */
  uint32_t levels; /* how deep it is in that value */
} cast_work;

/* A metatable that the decoder sets once more at the message's end. */
typedef struct cast_remeta {
  uint32_t object, metatable; /* their numbers in the message */
} cast_remeta;

typedef struct cast_encoder {
  cast_packer *p; /* (i) the packer of its state */
  size_t charged; /* bytes of its arrays, charged to the packer's account */
  cast_list link; /* in the packer's list */
  lua_State *L;   /* the coroutine that packs */
  int base;       /* its stack's top before; see 2. */
  bool busy;      /* a message is being written */

  /* What cast_encode was called for; fixed while the message is written. */
  struct {
    cast_pack_how how;    /* may userdata move? */
    bool data;            /* nothing but data may go: see dataonly.h */
    cast_object *results; /* task whose results these are, or NULL */
    const void *refused;  /* userdata that did not let go of its content */
    const char *what;     /* in paths, for each value: "argument", */
    int number;           /* and the number of the first */
  } call;

  /* What was found out on the way; kept when the message begins anew. */
  struct {
    bool scanned;     /* the notes of modules are those of package.loaded */
    bool prepared;    /* see cast_names_class */
    bool careful;     /* names are looked for before a table is written, and
                         all objects are anchored, for a __save may run */
    bool names_first; /* functions of modules go by name */
  } known;

  /* The message so far. */
  struct {
    unsigned char *bytes;    /* WIRE_HEADER unused ones, then the values */
    uint32_t size, capacity; /* of bytes */
    cast_object **items;     /* the references; see 1. */
    uint32_t nitems, items_capacity;
    uint32_t seq;  /* objects that have a number */
    uint32_t nreg; /* those of them that are registered */
    bool tree;     /* only scalars, strings, and tables without flags */
    bool moves;    /* there is userdata in it whose content moves */
    bool saved;    /* there is a SAVE in it */
    /* What is done about a handle that is in it (handle.h), or NULL. */
    const struct cast_giving *giving;
  } out;

  /* Where the walk through the values stands. */
  struct {
    cast_frame *frames; /* [depth - 1] is the object being written */
    uint32_t depth, frames_capacity;
    cast_list_state list; /* the innermost one that is open */
    cast_work *work;      /* a stack of objects that were put off */
    uint32_t nwork, work_capacity;
    cast_remeta *remeta; /* to be written at the message's end */
    uint32_t nremeta, remeta_capacity;
    uint32_t nanchors; /* objects in the table of anchors */
    uint32_t flushed;  /* times that a list took over the work of an outer
                          one: what was put off before cannot be undone then */
    uint32_t saves;    /* lists of __save that are open */
  } walk;

  cast_memo memo; /* the memo: objects that the message has already */
} cast_encoder;

/* What has become of a value that was to be written, and so what the loop in
   encode.c does next. Only after CAST_PUT_DONE may a caller use its frame. */
typedef enum cast_put {
  CAST_PUT_DONE,    /* it is written: go on with the frame it is part of */
  CAST_PUT_OPENED,  /* a frame was opened for it: go on with that */
  CAST_PUT_UNWOUND, /* it cannot be sent, but a function around it went by
                       name, whose frame is gone with all above it: go on with
                       the frame that is on top now */
  CAST_PUT_AGAIN    /* what was written may be wrong: begin the message anew */
} cast_put;

/* See 2. */
#define CAST_AT_TABLE 1   /* base + */
#define CAST_AT_ANCHORS 3 /* base + */

/* -- its life (encoder.c) ------------------------------------------------- */

/* Pushes the packer's table, an encoder that is now busy, and nil. */
cast_encoder *cast_encoder_take(cast_packer *p, lua_State *L);
/* Gives back what the encoder holds; it is idle. */
void cast_encoder_done(cast_encoder *e);
/* Forgets what was written, but not the memory for it: for a new beginning. */
void cast_encoder_reset(cast_encoder *e);
/* Raises the error on top of the stack; the encoder is idle then. */
_Noreturn void cast_encoder_raise(cast_encoder *e);
_Noreturn void cast_encoder_nomem(cast_encoder *e);
/* Moves what was written, n values, behind a header, to *out. */
void cast_encoder_finish(cast_encoder *e, uint32_t n, cast_msg *out);

/* -- errors --------------------------------------------------------------- */

/* What is on top can not be sent. If it belongs to a metatable or a function
   that is in a loaded module, that goes by name instead: CAST_PUT_UNWOUND, or
   CAST_PUT_AGAIN if its frame may be closed already. Else raises "cannot send
   a <kind> (<path>): <reason>" for what the frames are about; reason may be
   NULL. */
cast_put cast_encoder_refuse(
  cast_encoder *e, const char *kind, const char *reason);
/* Always raises. */
_Noreturn void cast_encoder_fail(
  cast_encoder *e, const char *kind, const char *reason);
/* Which value of the message the frames are in, and how deep: the path of an
   object that is put off begins there, as its parents will be gone. */
uint32_t cast_encoder_where(const cast_encoder *e, uint32_t *levels);

/* -- writing -------------------------------------------------------------- */

/* Keeps the object on top alive; returns its key in the table of anchors. The
   memo knows objects by address: were one collected before the message ends,
   another could be made there and be taken for it. That takes Lua code that
   changes what is being sent, so objects are anchored only where such may run,
   or where the object is gone from the stack before it is written. */
uint32_t cast_encoder_anchor(cast_encoder *e);
/* Tells the decoder to keep that object at hand: something refers to it. */
void cast_encoder_register(cast_encoder *e, const cast_memo_entry *entry);
/* Makes room on the Lua stack for the next CAST_FRAMES_STEP frames. */
void cast_encoder_stack(cast_encoder *e);
/* The same, and in the array of frames: called every CAST_FRAMES_STEP
   frames. */
void cast_encoder_frames(cast_encoder *e);
/* Writes the string at idx, one of more than WIRE_STR_MAX bytes. */
void cast_encoder_string(cast_encoder *e, int idx);

/* These write what is on top of the stack, and pop it. They return
   CAST_PUT_DONE, which their callers hand on. */

/* An object that was written before, or that will be. */
cast_put cast_encoder_back(cast_encoder *e, cast_memo_entry *entry);
/* The header of that object is written, its content comes later. `hint` is
   where the numbers of the header lie, or 0. */
cast_put cast_encoder_later(cast_encoder *e, uint32_t entry, uint32_t hint);
/* The name on top, for the object below it. */
cast_put cast_encoder_name(cast_encoder *e, const void *key);

/* Brings the notes of modules up to date, once for this message: for messages
   with tables or functions only, as it looks at all of package.loaded. */
void cast_encoder_scan(cast_encoder *e);
/* Lua code has run: modules may be other ones, and have other members. */
void cast_encoder_rescan(cast_encoder *e);

/* Makes room for `more` bytes. Raises, as all of these do. */
void cast_encoder_grow(cast_encoder *e, uint32_t more);
/* Adds an element, which the caller fills at once. */
cast_work *cast_encoder_work(cast_encoder *e);
cast_remeta *cast_encoder_remeta(cast_encoder *e);
/* Makes room for one more reference: before the caller has it, as it could not
   give it up if this raised. */
void cast_encoder_item_room(cast_encoder *e);

/* -- inline --------------------------------------------------------------- */

/* Where the packer's table lies on the stack. */
static inline int cast_encoder_table(const cast_encoder *e) {
  return e->base + CAST_AT_TABLE;
}

/* The frame of the object that is being written. */
static inline cast_frame *cast_encoder_top(const cast_encoder *e) {
  return &e->walk.frames[e->walk.depth - 1];
}

/* Where so many bytes can be written now; the caller adds them to out.size. */
static inline unsigned char *cast_encoder_room(cast_encoder *e, uint32_t more) {
  if (CAST_UNLIKELY((uint64_t)e->out.size + more > e->out.capacity))
    cast_encoder_grow(e, more);
  return e->out.bytes + e->out.size;
}

static inline void cast_encoder_byte(cast_encoder *e, unsigned v) {
  *cast_encoder_room(e, 1) = (unsigned char)v;
  e->out.size++;
}

static inline void cast_encoder_u32(cast_encoder *e, uint32_t v) {
  wire_put_u32(cast_encoder_room(e, 4), v);
  e->out.size += 4;
}

/* Takes the reference over; room was made. */
static inline void cast_encoder_item(cast_encoder *e, cast_object *o) {
  e->out.items[e->out.nitems++] = o;
}

/* Numbers the object whose tag comes next; returns its index in the memo. */
static inline uint32_t cast_encoder_add(
  cast_encoder *e, const void *key, uint32_t state) {
  cast_memo_entry *entry = cast_memo_add(&e->memo, key);
  if (CAST_UNLIKELY(entry == NULL)) cast_encoder_nomem(e);
  entry->tag = e->out.size;
  entry->seq = e->out.seq++;
  entry->state = state;
  return e->memo.count - 1;
}

/* Opens a frame: it is the top one. */
static inline cast_frame *cast_encoder_open(
  cast_encoder *e, unsigned kind, int at, uint32_t entry) {
  if (e->walk.depth % CAST_FRAMES_STEP == 0) cast_encoder_frames(e);
  cast_frame *f = &e->walk.frames[e->walk.depth++];
  memset(f, 0, sizeof *f);
  f->kind = (unsigned char)kind;
  f->at = at;
  f->entry = entry;
  return f;
}

#endif
