/* api_message.c - messages written by C, without a Lua state.
   SPDX-License-Identifier: MIT

   The values are written into a buffer, as wire.h says. When the message is
   complete, it is copied behind a header, for only then its size and the number
   of its values are known. Nothing that C writes refers to anything twice, so
   no value is registered (WIRE_REFS is not set).

   Errors stick: after the first one each function returns it, so a program may
   write a whole message and look once. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../transfer/wire.h"
#include "api.h"

casting_message *casting_message_new(void) {
  casting_message *m = cast_calloc(sizeof *m);
  if (m != NULL) cast_api_set(m, NULL);
  return m;
}

/* Reads the header, and goes to the first value. What was written is completed;
   if that fails, there is nothing to read. */
void casting_message_rewind(casting_message *m) {
  uint32_t ignored;
  unsigned head;
  if (cast_msg_is_empty(&m->msg) && cast_api_complete(m) != 0) return;
  m->at = cast_msg_data(&m->msg);
  m->end = m->at + m->msg.size;
  m->item = cast_msg_items(&m->msg);
  m->items_end = m->item + m->msg.nrefs;
  m->depth = 0;
  head = *m->at++;
  m->left = head & WIRE_COUNT;
  if (m->left > WIRE_COUNT_MAX && !cast_api_take_u32(m, &m->left)) m->left = 0;
  if ((head & WIRE_REFS) != 0 && !cast_api_take_u32(m, &ignored)) m->left = 0;
  m->count = m->left;
}

void cast_api_set(casting_message *m, cast_msg *msg) {
  cast_msg_drop(&m->msg);
  while (m->nitems > 0) cast_unref(m->items[--m->nitems]);
  m->size = m->count = m->depth = 0;
  m->error = 0;
  m->plain = true;
  if (msg == NULL) return;
  cast_msg_move(&m->msg, msg);
  casting_message_rewind(m);
}

void casting_message_clear(casting_message *m) { cast_api_set(m, NULL); }

void casting_message_free(casting_message *m) {
  if (m == NULL) return;
  cast_api_set(m, NULL);
  cast_free(m->bytes);
  cast_free(m->items);
  cast_free(m);
}

/* -- appending ------------------------------------------------------------ */

/* Notes an error, unless there was one before; returns the first. */
static int fail(casting_message *m, int error) {
  if (m->error == 0) m->error = error;
  return m->error;
}

/* Makes room for `more` bytes in the buffer, and returns where; or NULL, and
   the error is noted. */
static unsigned char *room(casting_message *m, size_t more) {
  size_t want;
  unsigned char *bytes;
  if (more > CAST_MESSAGE_MAX - m->size) {
    fail(m, CASTING_EINVAL);
    return NULL;
  }
  if (CAST_UNLIKELY(m->size + more > m->capacity)) {
    want = (m->size + more) * 2 + 64;
    bytes = cast_realloc(m->bytes, want);
    if (bytes == NULL) {
      fail(m, CASTING_ENOMEM);
      return NULL;
    }
    m->bytes = bytes;
    m->capacity = (uint32_t)want;
  }
  return m->bytes + m->size;
}

/* A message that was received, or sent in vain, is dropped when it is written
   to. */
static void renew(casting_message *m) {
  if (!cast_msg_is_empty(&m->msg)) cast_api_set(m, NULL);
}

/* The next value, of at most `more` bytes, begins: counts it, and returns where
   it is to be written; or NULL, and the error is noted. `key`: it can be the
   key of a map. */
static unsigned char *begin(casting_message *m, size_t more, bool key) {
  api_frame *f;
  unsigned char *at;
  if (CAST_UNLIKELY(m->error != 0)) return NULL;
  renew(m);
  f = m->depth > 0 ? &m->frames[m->depth - 1] : NULL;
  if (f != NULL && f->map && f->count % 2 == 0 && !key) {
    fail(m, CASTING_EINVAL);
    return NULL;
  }
  if ((at = room(m, more)) == NULL) return NULL;
  if (f != NULL)
    f->count++;
  else
    m->count++;
  return at;
}

/* The value ends at `at`. */
static int end(casting_message *m, const unsigned char *at) {
  m->size = (uint32_t)(at - m->bytes);
  return 0;
}

/* A value that is only a tag. */
static int put_byte(casting_message *m, unsigned tag, bool key) {
  unsigned char *at = begin(m, 1, key);
  if (at == NULL) return m->error;
  *at = (unsigned char)tag;
  return end(m, at + 1);
}

int casting_message_nil(casting_message *m) {
  renew(m);
  if (m->count == 0 && m->depth == 0) return fail(m, CASTING_EINVAL);
  return put_byte(m, WIRE_NIL, false);
}

int casting_message_boolean(casting_message *m, int v) {
  return put_byte(m, v != 0 ? WIRE_TRUE : WIRE_FALSE, true);
}

/* Before 5.3 an integer of more than 32 bits is written as the float which Lua
   would make of it. */
int casting_message_integer(casting_message *m, int64_t v) {
  unsigned char *at = begin(m, WIRE_NUMBER, true);
  if (at == NULL) return m->error;
#if CAST_LUA < 503
  if (v < INT32_MIN || v > INT32_MAX)
    return end(m, wire_put_float(at, (double)v));
#endif
  return end(m, wire_put_int(at, v));
}

/* A NaN cannot be a key. */
int casting_message_number(casting_message *m, double v) {
  unsigned char *at = begin(m, WIRE_NUMBER, v == v);
  if (at == NULL) return m->error;
  return end(m, wire_put_float(at, v));
}

/* A short string has its size in the tag, any other in four bytes behind it. */
int casting_message_string(casting_message *m, const char *s, size_t size) {
  unsigned char *at;
  if (size > CAST_MESSAGE_MAX) return fail(m, CASTING_EINVAL);
  at = begin(m, size + 5, true);
  if (at == NULL) return m->error;
  m->plain = false;
  if (size <= WIRE_STR_MAX) {
    *at++ = (unsigned char)(WIRE_STR + size);
  } else {
    *at++ = WIRE_STR32;
    at = wire_put_u32(at, (uint32_t)size);
  }
  if (size > 0) at = wire_put(at, s, size);
  return end(m, at);
}

int casting_message_pointer(casting_message *m, void *p) {
  unsigned char *at = begin(m, 1 + sizeof p, true);
  if (at == NULL) return m->error;
  m->plain = false;
  *at = WIRE_POINTER;
  return end(m, wire_put(at + 1, &p, sizeof p));
}

/* Makes room for one reference more. It comes before the value is written, so
   that both are there, or none. */
static int item_room(casting_message *m) {
  uint32_t want = m->items_capacity * 2 + 4;
  cast_object **items;
  if (m->nitems < m->items_capacity) return 0;
  items = cast_realloc(m->items, want * sizeof(cast_object *));
  if (items == NULL) return fail(m, CASTING_ENOMEM);
  m->items = items;
  m->items_capacity = want;
  return 0;
}

static int put_handle(casting_message *m, cast_object *o) {
  int rc = item_room(m);
  if (rc == 0) rc = put_byte(m, WIRE_HANDLE, true);
  if (rc != 0) return rc;
  m->plain = false;
  m->items[m->nitems++] = cast_ref(o);
  return 0;
}

int casting_message_channel(casting_message *m, casting_channel *c) {
  return put_handle(m, &cast_api_chan(c)->object);
}

int casting_message_task(casting_message *m, casting_task *t) {
  return put_handle(m, &cast_api_task(t)->base.object);
}

int casting_message_session(casting_message *m, casting_session *s) {
  return put_handle(m, &cast_api_session(s)->object);
}

/* -- tables --------------------------------------------------------------- */

/* A table begins. Its sizes are filled in when it ends. */
static int open_table(casting_message *m, bool map) {
  unsigned char *at;
  renew(m);
  if (m->depth >= API_DEPTH) return fail(m, CASTING_EINVAL);
  at = begin(m, 9, true);
  if (at == NULL) return m->error;
  m->plain = false;
  *at = WIRE_TABLE;
  m->frames[m->depth++] =
    (api_frame){.at = (uint32_t)(at + 1 - m->bytes), .map = map};
  return end(m, at + 9);
}

int casting_message_array(casting_message *m) { return open_table(m, false); }

int casting_message_map(casting_message *m) { return open_table(m, true); }

/* The innermost table ends: its sizes, for which open_table has left room, are
   filled in. */
int casting_message_end(casting_message *m) {
  api_frame *f;
  unsigned char *at;
  if (m->error != 0) return m->error;
  renew(m);
  f = m->depth > 0 ? &m->frames[m->depth - 1] : NULL;
  if (f == NULL || (f->map && f->count % 2 != 0))
    return fail(m, CASTING_EINVAL);
  at = wire_put_u32(m->bytes + f->at, f->map ? 0 : f->count);
  wire_put_u32(at, f->map ? f->count / 2 : 0);
  m->depth--;
  return 0;
}

/* -- completing ----------------------------------------------------------- */

/* If there is no memory, the message stays as it was written, and the program
   may try again. */
int cast_api_complete(casting_message *m) {
  unsigned char head[WIRE_HEADER], *at;
  cast_msg out;
  if (m->error != 0) return m->error;
  if (!cast_msg_is_empty(&m->msg)) return 0;
  if (m->count == 0 || m->depth > 0) return CASTING_EINVAL;
  at = cast_api_put_head(head, m->plain ? WIRE_PLAIN : 0, m->count);
  if (cast_msg_init(&out, (uint32_t)(at - head) + m->size, m->nitems) != 0)
    return CASTING_ENOMEM;
  wire_put(wire_put(cast_msg_data(&out), head, (size_t)(at - head)), m->bytes,
    m->size);
  if (m->nitems > 0)
    memcpy(cast_msg_items(&out), m->items, m->nitems * sizeof(cast_object *));
  m->nitems = 0; /* the references belong to `out` now */
  cast_api_set(m, &out);
  return 0;
}
