/* dataonly.c - what may leave a sandbox.
   SPDX-License-Identifier: MIT

   The encoder refuses what is no data where it meets it, with the path. This
   file looks through the bytes once more when they are complete, as does
   whoever passes on a message that was packed elsewhere: a mistake in the
   encoder, or a value that changed while it was written, must not open a
   sandbox. A message is a row of tags, each with its bytes behind it, so that
   takes one walk without a stack.

   Owner: none; the bytes and references are only read. */
#include "dataonly.h"

#include "../../base.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "encoder.h"
#include "packed.h"
#include "packer.h"
#include "wire.h"

/* The name by which the metatable of cancellations goes. */
static const char cancelled[] = "casting\0cancelled";
#define CANCELLED_SIZE ((uint16_t)(sizeof cancelled - 1))

/* A walk through a message. */
typedef struct walk {
  const unsigned char *at, *end; /* what is left of the bytes */
  cast_object *const *items;     /* what is left of the references */
  uint32_t nitems;
  const cast_packer *p; /* of the sandbox that sends it */
  unsigned depth;       /* packed messages in each other */
} walk;

static bool is_data(walk *w);

static walk walk_of(const cast_packer *p, cast_msg *m) {
  walk w = {.p = p, .at = cast_msg_data(m), .items = cast_msg_items(m)};
  w.end = w.at + m->size;
  w.nitems = m->nrefs;
  return w;
}

/* A packed message is looked into once, if it was not packed in a sandbox, and
   messages in each other only so far. */
static bool is_handle(const cast_packer *p, cast_object *o, unsigned depth) {
  cast_message *m;
  walk w;
  bool is;
  if (!p->leaves(o->type)) return false;
  if (o->type != &cast_message_type) return true;
  m = CAST_CONTAINER(o, cast_message, object);
  /* Relaxed: the message is fixed, so whoever looks finds the same. */
  if (atomic_load_explicit(&m->data, memory_order_relaxed)) return true;
  if (depth == CAST_PACKED_DEPTH) return false;
  w = walk_of(p, &m->msg);
  w.depth = depth + 1;
  is = is_data(&w);
  if (is) atomic_store_explicit(&m->data, true, memory_order_relaxed);
  return is;
}

bool cast_data_is_handle(const cast_packer *p, cast_object *o) {
  return is_handle(p, o, 0);
}

/* Leaves so many bytes behind; false: there are not so many. */
static bool skip(walk *w, size_t size) {
  if ((size_t)(w->end - w->at) < size) return false;
  w->at += size;
  return true;
}

/* The same of a text behind its size, which takes one byte or four. */
static bool skip_text(walk *w, size_t of_size) {
  const unsigned char *at = w->at;
  if (!skip(w, of_size)) return false;
  return skip(w, of_size == 1 ? *at : wire_get_u32(at));
}

/* The next reference; NULL if there is none, or none was kept (a task's own
   results). */
static bool next_item(walk *w, cast_object **o) {
  if (w->nitems == 0) return false;
  w->nitems--;
  *o = *w->items++;
  return true;
}

/* A shared string, or the handle of what may go. */
static bool skip_item(walk *w, bool handle) {
  cast_object *o = NULL;
  if (!next_item(w, &o)) return false;
  if (handle) return o == NULL || is_handle(w->p, o, w->depth);
  return o != NULL && o->type == &cast_bytes_type;
}

static bool skip_string(walk *w, unsigned tag) {
  if ((tag & 0xe0) == WIRE_STR) return skip(w, tag & WIRE_STR_MAX);
  if (tag == WIRE_STR8) return skip_text(w, 1);
  if (tag == WIRE_STR32) return skip_text(w, 4);
  return tag == WIRE_SHARED && skip_item(w, false);
}

/* A cancellation, from behind its tag: see put_cancellation in encode.c. */
static bool skip_cancellation(walk *w) {
  const unsigned char *at = w->at;
  uint32_t n;
  uint16_t size;
  if (!skip(w, 8) || wire_get_u32(at) != 0) return false;
  n = wire_get_u32(at + 4);
  if (n > 1) return false;
  if (n == 1) { /* the key, and the reason */
    at = w->at;
    if (!skip(w, 1) || (*at & 0xe0) != WIRE_STR || !skip_string(w, *at))
      return false;
    at = w->at;
    if (!skip(w, 1) || !skip_string(w, *at)) return false;
  }
  at = w->at;
  if (!skip(w, 3 + CANCELLED_SIZE) || *at != (WIRE_NAME | WIRE_NAMED))
    return false;
  memcpy(&size, at + 1, sizeof size);
  return size == CANCELLED_SIZE && memcmp(at + 3, cancelled, size) == 0;
}

static bool skip_table(walk *w, unsigned flags) {
  if ((flags & WIRE_META) != 0)
    return (flags & WIRE_LATER) == 0 && skip_cancellation(w);
  return (flags & ~(unsigned)(WIRE_REG | WIRE_LATER)) == 0 && skip(w, 8);
}

/* What needs nothing but its tag, or a fixed number of bytes behind it. */
static bool skip_fixed(walk *w, unsigned tag) {
  switch (tag) {
  case WIRE_NIL:
  case WIRE_FALSE:
  case WIRE_TRUE: return true;
  case WIRE_INT16: return skip(w, 2);
  case WIRE_INT32:
  case WIRE_BACK: return skip(w, 4);
  case WIRE_INT64:
  case WIRE_FLOAT: return skip(w, 8);
  case WIRE_BODY: return skip(w, 13) && w->at[-1] == 0;
  default: return tag >= WIRE_INT;
  }
}

/* From a tag to the next one. */
static bool skip_value(walk *w) {
  unsigned tag = *w->at++;
  if ((tag & 0xe0) == WIRE_STR || (tag >= WIRE_STR8 && tag <= WIRE_SHARED))
    return skip_string(w, tag);
  if ((tag & 0xf0) == WIRE_TABLE) return skip_table(w, tag & 0x0f);
  if (tag == WIRE_HANDLE) return skip_item(w, true);
  return skip_fixed(w, tag);
}

/* All values, from the first tag on. References that no tag mentions are of no
   account. */
static bool are_data(walk *w) {
  while (w->at < w->end)
    if (!skip_value(w)) return false;
  return true;
}

/* The same from the header on. */
static bool is_data(walk *w) {
  unsigned flags = w->at < w->end ? *w->at : 0;
  if (!skip(w, 1)) return true; /* empty */
  if ((flags & WIRE_COUNT) == WIRE_COUNT && !skip(w, 4)) return false;
  if ((flags & WIRE_REFS) != 0 && !skip(w, 4)) return false;
  return are_data(w);
}

bool cast_data_is_written(const cast_encoder *e) {
  walk w = {.p = e->p, .at = e->out.bytes + WIRE_HEADER, .items = e->out.items};
  w.end = e->out.bytes + e->out.size;
  w.nitems = e->out.nitems;
  return are_data(&w);
}

void cast_data_prove(cast_encoder *e) {
  bool is = cast_data_is_written(e);
  CAST_ASSERT(is);
  if (!is) cast_encoder_fail(e, "value", CAST_DATA_ONLY);
}

/* It has a number, as all objects do, but nothing ever refers to that. */
void cast_data_put_cancelled(cast_encoder *e) {
  uint16_t size = CANCELLED_SIZE;
  unsigned char *at = cast_encoder_room(e, 3 + CANCELLED_SIZE);
  e->out.seq++;
  *at++ = WIRE_NAME | WIRE_NAMED;
  at = wire_put(at, &size, sizeof size);
  (void)wire_put(at, cancelled, size);
  e->out.size += 3 + CANCELLED_SIZE;
}
