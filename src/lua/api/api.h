/* api.h - what the files of the public C API share.
   SPDX-License-Identifier: MIT

   The opaque types of casting.h are the runtime's own under other names: a
   casting_channel is a cast_chan, a casting_task a cast_ltask, a
   casting_session the cast_session of a cast_state. */
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

#define API_DEPTH (CAST_PACK_DEPTH < 32u ? CAST_PACK_DEPTH : 32u)

/* A table being written or read. */
typedef struct api_frame {
  uint32_t at;    /* written: where its two numbers lie */
  uint32_t count; /* written: values so far */
  uint32_t left;  /* read: values to come */
  bool map;       /* written: keys and values */
  bool meta;      /* read: a metatable follows */
} api_frame;

/* Invariants:
   1. Written: `bytes` holds the values without a header, `items` a reference
      each; `msg` is empty. Complete: the other way round.
   2. While read, `at` lies in the bytes of `msg`, `item` in its items. */
struct casting_message {
  cast_msg msg;
  int error;      /* the first one met while writing */
  uint32_t count; /* values written on the outermost level */
  bool plain;     /* nothing but nils, booleans, numbers */
  unsigned char *bytes;
  uint32_t size, capacity;
  cast_object **items;
  uint32_t nitems, items_capacity;
  uint32_t depth; /* frames in use */
  const unsigned char *at, *end;
  cast_object *const *item, *const *items_end;
  uint32_t left; /* to be read on the outermost level */
  api_frame frames[CAST_PACK_DEPTH + 2];
};

/* Makes what was written a message in m->msg: 0 or why not. */
int cast_api_complete(casting_message *m);
/* Forgets all, and takes *msg over, if not NULL. */
void cast_api_set(casting_message *m, cast_msg *msg);

/* No values at all: the results of a task may be so. */
static inline bool cast_api_is_empty(const casting_message *m) {
  return cast_msg_is_empty(&m->msg) && m->count == 0 && m->depth == 0 &&
         m->error == 0;
}

/* L's state, which is adopted if it does not know casting. Raises. */
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
/* A thread of the program's comes in. True: it must not, see fork.h. */
static inline bool cast_api_is_forked(void) {
  cast_fork_note();
  return cast_forked;
}
/* When a call of so many seconds gives up; 0: at once. */
uint64_t cast_api_deadline(double seconds);

/* While writing: puts the first byte of a message, with those flags, and its
   count of values at `at`, which has room for WIRE_HEADER bytes; returns where
   they end. */
static inline unsigned char *cast_api_put_head(
  unsigned char *at, unsigned flags, uint32_t count) {
  bool fits = count <= WIRE_COUNT_MAX;
  *at++ = (unsigned char)(flags | (fits ? count : WIRE_COUNT));
  return fits ? at : wire_put_u32(at, count);
}

/* While reading: advances over `size` bytes, and returns where they are; NULL:
   the message has no more of them. */
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
