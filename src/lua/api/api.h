/* api.h - what the files of the public C API share.
   SPDX-License-Identifier: MIT

   The functions themselves are described in casting.h. Its opaque types are
   ours under other names: a casting_channel is a cast_chan, a casting_task a
   cast_ltask, a casting_session the cast_session of a cast_state. The functions
   below convert between the two, and nothing else casts.

   A message belongs to one thread of the program at a time: nothing in it is
   locked or atomic. */
#ifndef CAST_API_H
#define CAST_API_H

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../transfer/wire.h"

/* How deep tables may lie in each other in a message written by C. */
#define API_DEPTH (CAST_PACK_DEPTH < 32u ? CAST_PACK_DEPTH : 32u)

/* A table that is being written or read. */
typedef struct api_frame {
  uint32_t at;    /* written: where in `bytes` its two sizes will be put */
  uint32_t count; /* written: values so far, keys included */
  uint32_t left;  /* read: values to come, keys included */
  bool map;       /* written: it has keys and values, and is no array */
  bool meta;      /* read: a metatable follows, which is passed over */
} api_frame;

/* A message that C writes or reads. Invariants:
   1. While it is written, `bytes` has the values without a header, `items` a
      strong reference for each handle among them, and `msg` is empty. Once it
      is complete, `msg` has all that, and both buffers are empty.
   2. While it is read, `at` lies in the bytes of `msg`, and `item` in its
      references. */
struct casting_message {
  cast_msg msg;
  int error;      /* the first error while writing, which later ones repeat */
  uint32_t count; /* values on the outermost level */
  bool plain;     /* written: nothing but nils, booleans and numbers so far */
  unsigned char *bytes;            /* the buffer for what is written: */
  uint32_t size, capacity;         /* bytes in use, and allocated */
  cast_object **items;             /* the references to what is written: */
  uint32_t nitems, items_capacity; /* in use, and allocated */
  uint32_t depth;                  /* frames in use: tables that are open */
  const unsigned char *at, *end;   /* read: the next byte; behind the last */
  cast_object *const *item, *const *items_end; /* and the next reference */
  uint32_t left; /* read: values to come on the outermost level */
  api_frame frames[CAST_PACK_DEPTH + 2]; /* of the tables, outermost first */
};

/* Makes a message in m->msg of what was written. 0, or a CASTING_E* and nothing
   has changed. */
int cast_api_complete(casting_message *m);
/* Drops what the message has. Then takes *msg over, to be read, unless that is
   NULL. */
void cast_api_set(casting_message *m, cast_msg *msg);

/* Has it no values at all? A message of a channel has one at least, but the
   results of a task may be none. */
static inline bool cast_api_is_empty(const casting_message *m) {
  return cast_msg_is_empty(&m->msg) && m->count == 0 && m->depth == 0 &&
         m->error == 0;
}

/* The state of L, which is made a host if casting does not know it. Raises. */
cast_state *cast_api_state(lua_State *L);

static inline cast_chan *cast_api_chan(const casting_channel *c) {
  return (cast_chan *)(uintptr_t)c;
}
static inline cast_ltask *cast_api_task(const casting_task *t) {
  return (cast_ltask *)(uintptr_t)t;
}
static inline cast_session *cast_api_session(const casting_session *s) {
  return (cast_session *)(uintptr_t)s;
}
/* The other way, from a counted object of that type, or NULL. */
static inline casting_channel *cast_api_chan_out(cast_object *o) {
  return o == NULL
           ? NULL
           : (casting_channel *)(void *)CAST_CONTAINER(o, cast_chan, object);
}
static inline casting_task *cast_api_task_out(cast_object *o) {
  return o == NULL
           ? NULL
           : (casting_task *)(void *)CAST_CONTAINER(o, cast_ltask, base.object);
}
static inline casting_session *cast_api_session_out(cast_object *o) {
  return o == NULL
           ? NULL
           : (casting_session *)(void *)CAST_CONTAINER(o, cast_session, object);
}
/* Called first in each function that any thread of the program may call: notes
   that it has one (fork.h). True in the child of a fork, where nothing
   works. */
static inline bool cast_api_is_forked(void) {
  cast_fork_note();
  return cast_forked;
}
/* Calls `finish` of a module with that outcome, with room on the stack, and
   returns what it does. Without memory for that what is on the stack makes
   room, and the module is told as of a cancellation. Raises then, and what
   `finish` raises. */
int cast_api_finish(lua_State *L, casting_finish finish, int outcome, void *ud);
/* The deadline of a call that waits so many seconds: 0 for one that does not
   wait, OS_FOREVER if they are negative. */
uint64_t cast_api_deadline(double seconds);

/* While writing: puts the first byte of a message, with those flags, and the
   number of its values at `at`, where there is room for WIRE_HEADER bytes;
   returns where they end. */
static inline unsigned char *cast_api_put_head(
  unsigned char *at, unsigned flags, uint32_t count) {
  bool fits = count <= WIRE_COUNT_MAX;
  *at++ = (unsigned char)(flags | (fits ? count : WIRE_COUNT));
  return fits ? at : wire_put_u32(at, count);
}

/* While reading: passes `size` bytes, and returns where they are; NULL if the
   message has no more of them. */
static inline const unsigned char *cast_api_take(
  casting_message *m, size_t size) {
  const unsigned char *at = m->at;
  if (CAST_UNLIKELY((size_t)(m->end - at) < size)) return NULL;
  m->at += size;
  return at;
}
static inline bool cast_api_take_u32(casting_message *m, uint32_t *v) {
  const unsigned char *at = cast_api_take(m, 4);
  if (at != NULL) *v = wire_get_u32(at);
  return at != NULL;
}

#endif
