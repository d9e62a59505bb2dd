/* message.c - fuzzer of the C API's messages: written, sent, read in any order.
   SPDX-License-Identifier: MIT

   The input is a program: each byte stands for a call of the C API with one of
   two messages, operands are bytes that follow. A message is written value by
   value, or comes from the decoder's corpus of bytes (`raw`): then it may be
   anything, and reading it must end, within its bytes. What was written is
   noted in a model, and what is read must be just that, also after the message
   went through a channel, or through Lua and back. */
#include <stdio.h>
#include <stdlib.h>

#include "../../include/casting.h"
#include "../../src/lua/api/api.h"
#include "../../src/mem.h"
#include "../../src/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* -- models --------------------------------------------------------------- */

#define NOTES 4000u
#define DEPTH 64u

typedef struct note {
  casting_value value; /* strings: in the input */
  bool map;
  uint32_t after; /* table: the note after its content */
} note;

/* What a message must be. */
typedef struct model {
  bool known;    /* else anything may come */
  bool complete; /* by a send, a read and the like: cannot be added to */
  uint32_t n;
  note notes[NOTES];
  uint32_t depth;       /* tables that are open, while written or read */
  uint32_t open[DEPTH]; /* written: their notes; read: the notes after them */
  uint32_t children[DEPTH];
  uint32_t count, at; /* values outside of tables; next note to be read */
} model;

typedef struct subject {
  casting_message *m;
  model model;
} subject;

static subject subjects[2];

static void forget(model *o, bool known) {
  o->known = known;
  o->complete = false;
  o->n = o->depth = o->count = o->at = 0;
}

static void rewind_model(model *o) { o->depth = o->at = 0; }

static note *add_note(model *o, casting_type type) {
  if (!o->known) return NULL;
  if (o->n == NOTES) {
    o->known = false;
    return NULL;
  }
  note *e = &o->notes[o->n++];
  memset(e, 0, sizeof *e);
  e->value.type = type;
  if (o->depth > 0)
    o->children[o->depth - 1]++;
  else
    o->count++;
  return e;
}

static bool same(const casting_value *a, const casting_value *b) {
  if (a->type == CASTING_TINTEGER && b->type == CASTING_TNUMBER)
    return CAST_LUA < 503 && (double)a->as.integer == b->as.number;
  /* Where Lua has one kind of number, whole ones travel as integers. */
  if (a->type == CASTING_TNUMBER && b->type == CASTING_TINTEGER)
    return CAST_LUA < 503 && a->as.number == (double)b->as.integer;
  if (a->type != b->type) return false;
  switch (a->type) {
  case CASTING_TNIL: return true;
  case CASTING_TBOOLEAN: return !a->as.boolean == !b->as.boolean;
  case CASTING_TINTEGER: return a->as.integer == b->as.integer;
  case CASTING_TNUMBER:
    return a->as.number == b->as.number ||
           (a->as.number != a->as.number && b->as.number != b->as.number);
  case CASTING_TSTRING:
    return a->as.string.size == b->as.string.size &&
           (a->as.string.size == 0 ||
             memcmp(a->as.string.at, b->as.string.at, a->as.string.size) == 0);
  case CASTING_TTABLE:
    return a->as.table.items == b->as.table.items &&
           a->as.table.pairs == b->as.table.pairs;
  default: return a->as.pointer == b->as.pointer;
  }
}

/* -- the input ------------------------------------------------------------ */

static const uint8_t *at, *end;

static unsigned byte(void) { return at < end ? *at++ : 0; }

static uint64_t word(void) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v = v << 8 | byte();
  return v;
}

/* -- what messages hold --------------------------------------------------- */

static lua_State *L;
static casting_channel *channel; /* what is sent, and sent through */
static casting_session *session;
static casting_task *task;
static cast_object *items[3]; /* of raw messages; counted */

static void open_world(void) {
  L = luaL_newstate();
  luaL_openlibs(L);
  CAST_ALWAYS(casting_adopt(L, &session) == 0);
  channel = casting_channel_new(4);
  CAST_ALWAYS(casting_spawn_source(session, "return", 6, NULL, &task) == 0);
  cast_bytes *text = cast_bytes_new(5000);
  memset(text->data, 'x', 5000);
  items[0] = &cast_api_chan(channel)->object;
  items[1] = &text->object;
  items[2] = &cast_api_task(task)->base.object;
}

/* What LuaJIT refers to LeakSanitizer does not find. */
static void close_world(void) {
  casting_task_unref(task);
  casting_channel_unref(channel);
  cast_unref(items[1]);
  lua_close(L);
}

/* A message of the bytes that are left, with references to match. */
static void set_raw(subject *s) {
  cast_msg m;
  size_t size = (size_t)(end - at);
  if (size == 0) return;
  uint32_t n = size % 7;
  CAST_ALWAYS(cast_msg_init(&m, (uint32_t)size, n) == 0);
  memcpy(cast_msg_data(&m), at, size);
  for (uint32_t i = 0; i < n; i++)
    cast_msg_items(&m)[i] = cast_ref(items[(i + size) % 3]);
  cast_api_set(s->m, &m);
  forget(&s->model, false);
  s->model.complete = true;
  at += size / 2; /* what follows are also instructions */
}

/* -- writing -------------------------------------------------------------- */

/* Before each append. */
static void renew(model *o) {
  if (o->complete) forget(o, true);
}
static void check_write(model *o, int rc) {
  if (rc != 0) forget(o, false);
}

static void write_scalar(subject *s, unsigned what) {
  casting_message *m = s->m;
  model *o = &s->model;
  casting_value v = {.type = CASTING_TNIL, .as.pointer = NULL};
  int rc;
  switch (what) {
  case 0: rc = casting_message_nil(m); break;
  case 1:
    v.type = CASTING_TBOOLEAN;
    v.as.boolean = (int)(byte() & 1);
    rc = casting_message_boolean(m, v.as.boolean);
    break;
  case 2:
    v.type = CASTING_TINTEGER;
    v.as.integer = (int64_t)(word() >> (byte() & 63));
    rc = casting_message_integer(m, v.as.integer);
    break;
  case 3:
    v.type = CASTING_TNUMBER;
    uint64_t bits = word();
    memcpy(&v.as.number, &bits, sizeof bits);
    rc = casting_message_number(m, v.as.number);
    break;
  default:
    v.type = CASTING_TSTRING;
    v.as.string.size = byte() % 64;
    if (v.as.string.size > (size_t)(end - at))
      v.as.string.size = (size_t)(end - at);
    v.as.string.at = (const char *)at;
    at += v.as.string.size;
    rc = casting_message_string(m, v.as.string.at, v.as.string.size);
  }
  renew(o);
  note *e = rc == 0 ? add_note(o, v.type) : NULL;
  if (e != NULL) e->value = v;
  check_write(o, rc);
}

static void write_handle(subject *s, unsigned what) {
  model *o = &s->model;
  casting_value v = {.type = CASTING_TPOINTER, .as.pointer = (void *)&L};
  int rc;
  switch (what) {
  case 0: rc = casting_message_pointer(s->m, v.as.pointer); break;
  case 1:
    v.type = CASTING_TCHANNEL;
    v.as.channel = channel;
    rc = casting_message_channel(s->m, channel);
    break;
  case 2:
    v.type = CASTING_TTASK;
    v.as.task = task;
    rc = casting_message_task(s->m, task);
    break;
  default:
    v.type = CASTING_TSESSION;
    v.as.session = session;
    rc = casting_message_session(s->m, session);
  }
  renew(o);
  note *e = rc == 0 ? add_note(o, v.type) : NULL;
  if (e != NULL) e->value = v;
  check_write(o, rc);
}

static void begin_table(subject *s, bool map) {
  model *o = &s->model;
  int rc = map ? casting_message_map(s->m) : casting_message_array(s->m);
  renew(o);
  note *e = rc == 0 ? add_note(o, CASTING_TTABLE) : NULL;
  check_write(o, rc);
  if (e == NULL) return;
  e->map = map;
  CAST_ALWAYS(o->depth < DEPTH);
  o->open[o->depth] = o->n - 1;
  o->children[o->depth++] = 0;
}

static void end_table(subject *s) {
  model *o = &s->model;
  int rc = casting_message_end(s->m);
  renew(o);
  if (rc != 0) {
    check_write(o, rc);
  } else if (o->known) {
    CAST_ALWAYS(o->depth > 0);
    note *e = &o->notes[o->open[--o->depth]];
    uint32_t n = o->children[o->depth];
    e->value.as.table.items = e->map ? 0 : n;
    e->value.as.table.pairs = e->map ? n / 2 : 0;
    e->after = o->n;
  }
}

/* -- reading -------------------------------------------------------------- */

/* The message is whole from here on, if it is that at all. */
static void complete(model *o) {
  if (o->complete || !o->known || o->depth > 0 || o->count == 0) return;
  o->complete = true;
  rewind_model(o);
}

static volatile unsigned seen; /* so that each byte is looked at */

static int read_one(subject *s) {
  casting_value v;
  model *o = &s->model;
  memset(&v, 0, sizeof v);
  bool open = !o->complete && (o->depth > 0 || o->count == 0);
  int rc = casting_message_read(s->m, &v);
  if (rc == 1 && v.type == CASTING_TSTRING)
    for (size_t i = 0; i < v.as.string.size; i++)
      seen += (unsigned char)v.as.string.at[i];
  if (!o->known) return rc;
  if (open) {
    CAST_ALWAYS(rc == (o->n == 0 ? 0 : CASTING_EINVAL));
    return rc;
  }
  complete(o);
  while (o->depth > 0 && o->open[o->depth - 1] == o->at) o->depth--;
  CAST_ALWAYS(rc == (o->at < o->n ? 1 : 0));
  if (rc == 0) return rc;
  const note *e = &o->notes[o->at++];
  CAST_ALWAYS(same(&e->value, &v));
  if (v.type == CASTING_TTABLE) o->open[o->depth++] = e->after;
  return rc;
}

static void skip(subject *s) {
  model *o = &s->model;
  int rc = casting_message_skip(s->m);
  if (!o->known) return;
  if (!o->complete || o->depth == 0) {
    CAST_ALWAYS(rc == CASTING_EINVAL);
    return;
  }
  CAST_ALWAYS(rc == 0);
  o->at = o->open[--o->depth];
  while (o->depth > 0 && o->open[o->depth - 1] == o->at) o->depth--;
}

/* To its end; a damaged message ends, too. */
static void read_all(subject *s) {
  for (uint32_t n = 0; read_one(s) == 1; n++) CAST_ALWAYS(n < 1u << 20);
}

/* -- on its way ----------------------------------------------------------- */

/* Through the channel, from s to t. */
static void pass_on(subject *s, subject *t) {
  int rc = casting_channel_send(channel, s->m, 0);
  complete(&s->model);
  if (rc != 0) {
    CAST_ALWAYS(!s->model.known || !s->model.complete);
    return;
  }
  CAST_ALWAYS(!s->model.known || s->model.complete);
  CAST_ALWAYS(casting_channel_receive(channel, t->m, 0) == 0);
  if (s != t) t->model = s->model;
  t->model.complete = true;
  rewind_model(&t->model);
  if (s != t) {
    forget(&s->model, true);
    CAST_ALWAYS(casting_message_count(s->m) == 0);
  }
}

static int lua_pass(lua_State *state) {
  subject *s = lua_touserdata(state, 1);
  lua_settop(state, 0);
  int n = casting_message_push(state, s->m);
  if (n > 0) casting_message_pack(state, 1, n, s->m);
  return 0;
}

/* Into Lua and back. A table comes back with its pairs in any order, and what
   it was written with twice, or as nil, not at all. */
static void through_lua(subject *s) {
  model *o = &s->model;
  if (!o->known) return; /* it might call anything */
  lua_pushcfunction(L, lua_pass);
  lua_pushlightuserdata(L, s);
  int status = lua_pcall(L, 1, 0, 0);
  lua_settop(L, 0);
  complete(o);
  if (!o->complete) return;
  CAST_ALWAYS(status == 0);
  rewind_model(o);
  for (uint32_t i = 0; i < o->n; i++)
    if (o->notes[i].value.type == CASTING_TTABLE) o->known = false;
}

/* -- one input ------------------------------------------------------------ */

static void step(unsigned instruction) {
  subject *s = &subjects[instruction >> 7];
  model *o = &s->model;
  unsigned what = instruction & 31;
  if (what < 5) {
    write_scalar(s, what);
  } else if (what < 9) {
    write_handle(s, what - 5);
  } else if (what < 11) {
    begin_table(s, what == 10);
  } else if (what < 13) {
    end_table(s);
  } else if (what < 18) {
    (void)read_one(s);
  } else if (what == 18) {
    skip(s);
  } else if (what == 19) {
    casting_message_rewind(s->m);
    complete(o);
    if (o->complete) rewind_model(o);
  } else if (what == 20) {
    casting_message_clear(s->m);
    forget(o, true);
  } else if (what == 21) {
    set_raw(s);
  } else if (what == 22) {
    pass_on(s, &subjects[byte() & 1]);
  } else if (what == 23) {
    through_lua(s);
  } else if (what == 24) {
    read_all(s);
  } else if (o->known) {
    CAST_ALWAYS(casting_message_count(s->m) == o->count);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  CAST_UNUSED(argc);
  CAST_UNUSED(argv);
  open_world();
  return atexit(close_world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  for (int i = 0; i < 2; i++) {
    subjects[i].m = casting_message_new();
    forget(&subjects[i].model, true);
  }
  at = data;
  end = data + size;
  while (at < end) step(byte());
  for (int i = 0; i < 2; i++) {
    read_all(&subjects[i]);
    casting_message_free(subjects[i].m);
  }
  (void)lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}
