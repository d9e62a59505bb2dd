/* api_read.c - messages read by C, without a Lua state.
   SPDX-License-Identifier: MIT

   Like those that decode.c reads, the bytes come from this process, and are
   checked all the same. What only a Lua state can make (functions, metatables,
   objects with __save) is passed over as a whole, and reported as
   CASTING_TOTHER; so is a table whose content was put off to the end of the
   message (wire.h, 3).

   Everything returns false when the bytes are not a message: then reading ends
   with CASTING_EINVAL, and nothing more is read (`broken`). `saves` counts how
   many __save results may still lie in each other: it bounds the recursion. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../session.h"
#include "../../types.h"
#include "../state/ltask.h"
#include "../task/newtask.h"
#include "../transfer/packer.h"
#include "../transfer/wire.h"
#include "api.h"

/* The next reference, which stays the message's; NULL if there is none. */
static cast_object *take_item(casting_message *m) {
  return m->item == m->items_end ? NULL : *m->item++;
}

size_t casting_message_count(const casting_message *m) { return m->count; }

/* -- passing over --------------------------------------------------------- */

static bool pass(casting_message *m, uint64_t n, unsigned saves);

/* A content that was put off: what follows a BODY. */
static bool pass_body(casting_message *m, unsigned saves) {
  uint32_t seq, narr, nrec;
  const unsigned char *flags;
  uint64_t n;
  if (!cast_api_take_u32(m, &seq) || !cast_api_take_u32(m, &narr) ||
      !cast_api_take_u32(m, &nrec) || (flags = cast_api_take(m, 1)) == NULL)
    return false;
  n = narr + 2 * (uint64_t)nrec + ((*flags & WIRE_META) != 0 ? 1 : 0);
  return pass(m, n + ((*flags & WIRE_ENV) != 0 ? 1 : 0), saves);
}

/* The result of a __save: its constructor and arguments, then the contents that
   were put off in them. */
static bool pass_save(casting_message *m, unsigned saves) {
  uint32_t n;
  const unsigned char *tag;
  if (saves == 0 || !cast_api_take_u32(m, &n) || !pass(m, n, saves - 1))
    return false;
  while ((tag = cast_api_take(m, 1)) != NULL) {
    if (*tag == WIRE_CALL) return true;
    if (*tag == WIRE_BODY ? !pass_body(m, saves - 1)
                          : *tag != WIRE_REMETA || cast_api_take(m, 8) == NULL)
      return false;
  }
  return false;
}

/* What follows the tag of an object, but for the values in it, whose number is
   added to *n: so depth takes no C stack, except in a __save. */
static bool pass_object(
  casting_message *m, unsigned tag, uint64_t *n, unsigned saves) {
  uint32_t narr, nrec;
  uint16_t size;
  const unsigned char *at;
  bool content = (tag & WIRE_LATER) == 0;
  switch (tag & 0xf0) {
  case WIRE_TABLE:
    if (!cast_api_take_u32(m, &narr) || !cast_api_take_u32(m, &nrec))
      return false;
    if (content)
      *n += narr + 2 * (uint64_t)nrec + ((tag & WIRE_META) != 0 ? 1 : 0);
    return true;
  case WIRE_CODE:
    if ((at = cast_api_take(m, 1)) == NULL || take_item(m) == NULL)
      return false;
    if (content && (tag & WIRE_PURE) == 0)
      *n += *at + ((tag & WIRE_ENV) != 0 ? 1u : 0u);
    return true;
  case WIRE_SAVE: return pass_save(m, saves);
  case WIRE_NAME:
    if ((tag & WIRE_TRANSFERRED) != 0) return take_item(m) != NULL;
    if ((at = cast_api_take(m, sizeof size)) == NULL) return false;
    memcpy(&size, at, sizeof size);
    return cast_api_take(m, size) != NULL;
  default: return false;
  }
}

/* How many bytes follow a tag, if that depends on nothing else; else
   SIZE_MAX. */
static size_t fixed_size(unsigned tag) {
  if (tag >= WIRE_INT) return 0;
  if ((tag & 0xe0) == WIRE_STR) return tag & 0x1f;
  switch (tag) {
  case WIRE_NIL:
  case WIRE_FALSE:
  case WIRE_TRUE:
  case WIRE_GLOBALS: return 0;
  case WIRE_INT16: return 2;
  case WIRE_INT32:
  case WIRE_BACK: return 4;
  case WIRE_JOIN: return 5;
  case WIRE_INT64:
  case WIRE_FLOAT: return 8;
  case WIRE_POINTER: return sizeof(void *);
  default: return SIZE_MAX;
  }
}

/* A string whose size comes first. */
static bool pass_string(casting_message *m, unsigned tag) {
  const unsigned char *at;
  uint32_t size;
  if (tag == WIRE_STR32) {
    if (!cast_api_take_u32(m, &size)) return false;
  } else {
    if ((at = cast_api_take(m, 1)) == NULL) return false;
    size = *at;
  }
  return cast_api_take(m, size) != NULL;
}

/* Is the value the next reference? That of an outcome is the task. */
static bool has_item(unsigned tag) {
  return tag == WIRE_SHARED || tag == WIRE_HANDLE || tag == WIRE_OUTCOME;
}

/* Passes over n values and all that is in them. */
static bool pass(casting_message *m, uint64_t n, unsigned saves) {
  for (; n > 0; n--) {
    const unsigned char *tag = cast_api_take(m, 1);
    size_t fixed;
    if (tag == NULL) return false;
    fixed = fixed_size(*tag);
    if (fixed != SIZE_MAX) {
      if (cast_api_take(m, fixed) == NULL) return false;
    } else if (*tag == WIRE_STR8 || *tag == WIRE_STR32) {
      if (!pass_string(m, *tag)) return false;
    } else if (has_item(*tag)) {
      if (take_item(m) == NULL) return false;
    } else if (!pass_object(m, *tag, &n, saves)) {
      return false;
    }
  }
  return true;
}

/* -- reading -------------------------------------------------------------- */

/* A number that does not lie in its tag. */
static bool read_number(casting_message *m, unsigned tag, casting_value *v) {
  int16_t narrow;
  int32_t wide;
  const unsigned char *at = cast_api_take(m, fixed_size(tag));
  if (at == NULL) return false;
  v->type = CASTING_TINTEGER;
  switch (tag) {
  case WIRE_INT16:
    memcpy(&narrow, at, sizeof narrow);
    v->as.integer = narrow;
    break;
  case WIRE_INT32:
    memcpy(&wide, at, sizeof wide);
    v->as.integer = wide;
    break;
  case WIRE_INT64: memcpy(&v->as.integer, at, sizeof v->as.integer); break;
  default:
    v->type = CASTING_TNUMBER;
    memcpy(&v->as.number, at, sizeof v->as.number);
  }
  return true;
}

static bool read_string(casting_message *m, size_t size, casting_value *v) {
  const unsigned char *at = cast_api_take(m, size);
  v->type = CASTING_TSTRING;
  v->as.string.at = (const char *)at;
  v->as.string.size = size;
  return at != NULL;
}

/* A shared string or a handle. */
static bool read_item(casting_message *m, casting_value *v) {
  cast_object *o = take_item(m);
  if (o == NULL) return false;
  if (o->type == &cast_bytes_type) {
    cast_bytes *b = CAST_CONTAINER(o, cast_bytes, object);
    v->type = CASTING_TSTRING;
    v->as.string.at = b->data;
    v->as.string.size = b->size;
  } else if (o->type == &cast_chan_type) {
    v->type = CASTING_TCHANNEL;
    v->as.channel = cast_api_chan_out(o);
  } else if (o->type == &cast_task_type) {
    v->type = CASTING_TTASK;
    v->as.task = cast_api_task_out(o);
  } else if (o->type == &cast_session_type) {
    v->type = CASTING_TSESSION;
    v->as.session = cast_api_session_out(o);
  }
  return true;
}

/* A table: opens a frame for it, so its values come next. Its sizes are checked
   against the bytes that are left, so that a wrong one ends the reading now. */
static bool read_table(casting_message *m, unsigned tag, casting_value *v) {
  uint32_t narr, nrec;
  api_frame *f;
  if (!cast_api_take_u32(m, &narr) || !cast_api_take_u32(m, &nrec))
    return false;
  if ((tag & WIRE_LATER) != 0) return true; /* CASTING_TOTHER */
  if (m->depth == sizeof m->frames / sizeof *m->frames ||
      (uint64_t)narr + 2 * (uint64_t)nrec > (size_t)(m->end - m->at))
    return false;
  v->type = CASTING_TTABLE;
  v->as.table.items = narr;
  v->as.table.pairs = nrec;
  f = &m->frames[m->depth++];
  f->left = narr + 2 * nrec;
  f->meta = (tag & WIRE_META) != 0;
  return true;
}

/* Reads the next value, whatever level it is on. */
static bool read_value(casting_message *m, casting_value *v) {
  const unsigned char *tag = cast_api_take(m, 1);
  uint64_t more = 0;
  uint32_t size;
  v->type = CASTING_TOTHER;
  if (tag == NULL) return false;
  if (*tag >= WIRE_INT) {
    v->type = CASTING_TINTEGER;
    v->as.integer = (int64_t)*tag - WIRE_INT - 1;
    return true;
  }
  if ((*tag & 0xe0) == WIRE_STR) return read_string(m, *tag & 0x1f, v);
  if ((*tag & 0xf0) == WIRE_TABLE) return read_table(m, *tag, v);
  switch (*tag) {
  case WIRE_NIL: v->type = CASTING_TNIL; return true;
  case WIRE_FALSE:
  case WIRE_TRUE:
    v->type = CASTING_TBOOLEAN;
    v->as.boolean = *tag == WIRE_TRUE;
    return true;
  case WIRE_INT16:
  case WIRE_INT32:
  case WIRE_INT64:
  case WIRE_FLOAT: return read_number(m, *tag, v);
  case WIRE_STR8:
    return (tag = cast_api_take(m, 1)) != NULL && read_string(m, *tag, v);
  case WIRE_STR32:
    return cast_api_take_u32(m, &size) && read_string(m, size, v);
  case WIRE_POINTER:
    v->type = CASTING_TPOINTER;
    if ((tag = cast_api_take(m, sizeof v->as.pointer)) == NULL) return false;
    memcpy(&v->as.pointer, tag, sizeof v->as.pointer);
    return true;
  case WIRE_GLOBALS: return true;
  case WIRE_BACK: return cast_api_take(m, 4) != NULL;
  default:
    if (has_item(*tag)) return read_item(m, v);
    if (!pass_object(m, *tag, &more, CAST_SAVE_DEPTH)) return false;
    return pass(m, more, CAST_SAVE_DEPTH);
  }
}

/* Closes the tables of which all values were read. */
static bool leave_tables(casting_message *m) {
  while (m->depth > 0 && m->frames[m->depth - 1].left == 0) {
    m->depth--;
    if (m->frames[m->depth].meta && !pass(m, 1, CAST_SAVE_DEPTH)) return false;
  }
  return true;
}

/* The bytes are not a message: nothing more can be read. */
static int broken(casting_message *m) {
  m->left = m->depth = 0;
  return CASTING_EINVAL;
}

/* Also reads what was just written: it is completed then. */
int casting_message_read(casting_message *m, casting_value *v) {
  if (CAST_UNLIKELY(cast_msg_is_empty(&m->msg))) {
    int rc = cast_api_is_empty(m) ? 0 : cast_api_complete(m);
    if (rc != 0 || cast_api_is_empty(m)) return rc;
  }
  if (!leave_tables(m)) return broken(m);
  if (m->depth > 0)
    m->frames[m->depth - 1].left--;
  else if (m->left > 0)
    m->left--;
  else
    return 0;
  return read_value(m, v) ? 1 : broken(m);
}

/* Passes over what is left of the innermost open table. */
int casting_message_skip(casting_message *m) {
  api_frame *f;
  if (cast_msg_is_empty(&m->msg) || m->depth == 0) return CASTING_EINVAL;
  f = &m->frames[m->depth - 1];
  if (!pass(m, f->left, CAST_SAVE_DEPTH)) return broken(m);
  f->left = 0;
  return leave_tables(m) ? 0 : broken(m);
}
