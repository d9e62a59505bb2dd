/* decode.c - reads a message and pushes its values.
   SPDX-License-Identifier: MIT

   The bytes come from encode.c of the same process (wire.h). They are read
   with their bounds checked all the same: a mistake there must not become a
   wild read here.

   Frames mirror those of the encoder: one for each object that is being
   filled, so the C stack does not grow with the depth of the data. Nothing is
   owned by C alone: any call may raise, and then the message, which its owner
   drops, and the Lua stack hold all there is.

   The Lua stack, when something in the message is referred to (WIRE_REFS):
   from `base` up a table of the registered objects by number, then nil or a
   userdata with more frames, then the values and the frames' objects.

   A frame's counters: i of n done; list: values, table: array items, then
   pairs, function: upvalues.

   Functions called step_* go on with a frame and are true at its end; with
   `child`, the value that they waited for is on top of the stack. */
#include "../../base.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "bytecode.h"
#include "names.h"
#include "pack.h"
#include "packer.h"
#include "path.h"
#include "scalar.h"
#include "sharedstr.h"
#include "transferable.h"
#include "wire.h"

enum { FRAME_ROOT, FRAME_SAVE, FRAME_TABLE, FRAME_CODE };

enum { STEP_ARRAY, STEP_KEY, STEP_VALUE, STEP_META, STEP_ENV, STEP_UPVALUE };

#define STACK_FRAMES 8 /* so many are given room on the Lua stack at once */

#define STACK_ROOM (STACK_FRAMES * 4 + SPARE_SLOTS)

#define SPARE_SLOTS 12

#define FRAMES_HERE (CAST_PACK_DEPTH + 2)

#define FRAMES_MAX ((CAST_SAVE_DEPTH + 1) * (CAST_PACK_DEPTH + 2))

typedef struct frame {
  unsigned char kind, step;
  bool body;       /* ends without a value for the frame below */
  bool has_meta;   /* table */
  bool registered; /* __save */
  int at;          /* object; list: the first value */
  uint32_t i, n;
  uint32_t nrec; /* table: pairs */
  uint32_t seq;  /* __save */
} frame;

typedef struct decoder {
  lua_State *L;
  cast_packer *p;
  const unsigned char *at, *end;
  cast_object *const *item, *const *items_end;
  int base;
  bool has_refs;
  uint32_t message; /* its number in the packer */
  uint32_t seq;
  uint32_t depth, capacity;
  frame *frames;
  frame here[FRAMES_HERE];
} decoder;

/* -- errors --------------------------------------------------------------- */

static _Noreturn void corrupt(const decoder *d) { cast_decode_corrupt(d->L); }

static void path_of_frame(decoder *d, const frame *f, cast_path *path) {
  const char *name;
  if (f->kind == FRAME_SAVE) {
    cast_path_word(
      path, f->i == 0 ? "constructor" : "argument of __save", NULL);
    return;
  }
  switch (f->step) {
  case STEP_ARRAY: cast_path_index(path, f->i + 1); break;
  case STEP_KEY: cast_path_word(path, "a key", NULL); break;
  case STEP_VALUE: cast_path_key(path, d->L, f->at + 1); break;
  case STEP_META: cast_path_word(path, "metatable", NULL); break;
  case STEP_ENV: cast_path_word(path, "environment", NULL); break;
  default:
    name = lua_getupvalue(d->L, f->at, (int)f->i + 1);
    if (name != NULL) lua_pop(d->L, 1);
    cast_path_word(path, "upvalue", name != NULL ? name : "?");
    break;
  }
}

static void push_path(decoder *d) {
  cast_path path;
  uint32_t first = d->depth;
  while (--first > 0)
    if (d->frames[first].body) break;
  if (first > 0) {
    cast_path_start(&path, "value", 0);
    cast_path_gap(&path, 0);
  } else {
    cast_path_start(&path, "value", (int)d->frames[0].i + 1);
    first = 1;
  }
  for (uint32_t k = first; k < d->depth; k++)
    if (cast_path_shows(&path, k - first, d->depth - first))
      path_of_frame(d, &d->frames[k], &path);
  lua_pushstring(d->L, path.text);
}

/* The cause is on top of the stack, the name of the thing below it. */
static _Noreturn void fail(decoder *d) {
  lua_State *L = d->L;
  if (lua_type(L, -1) == LUA_TSTRING &&
      strcmp(lua_tostring(L, -1), "not enough memory") != 0) {
    luaL_checkstack(L, SPARE_SLOTS, "error message");
    cast_lua_where(L);
    push_path(d);
    lua_pushfstring(L, "%scannot receive %s (%s): %s", lua_tostring(L, -2),
      lua_tostring(L, -4), lua_tostring(L, -1), lua_tostring(L, -3));
  }
  lua_error(L);
  cast_panic(__FILE__, __LINE__, "lua_error returned");
}

/* The cause is on top of the stack. */
static _Noreturn void fail_at(decoder *d, const char *thing) {
  lua_pushstring(d->L, thing);
  lua_insert(d->L, -2);
  fail(d);
}

/* -- bytes ---------------------------------------------------------------- */

static const unsigned char *take(decoder *d, size_t size) {
  if (CAST_UNLIKELY((size_t)(d->end - d->at) < size)) corrupt(d);
  const unsigned char *at = d->at;
  d->at += size;
  return at;
}

static unsigned take_byte(decoder *d) { return *take(d, 1); }

static uint32_t take_u32(decoder *d) { return wire_get_u32(take(d, 4)); }

/* The next reference, of that type; NULL: of a handle. */
static cast_object *take_item(decoder *d, const cast_type *type) {
  cast_object *o = d->item < d->items_end ? *d->item++ : NULL;
  if (o == NULL) corrupt(d);
  if (type != NULL
        ? o->type != type
        : o->type == &cast_bytes_type || o->type == &cast_transferable_type)
    corrupt(d);
  return o;
}

static cast_bytes *take_shared(decoder *d) {
  return CAST_CONTAINER(take_item(d, &cast_bytes_type), cast_bytes, object);
}

/* -- objects -------------------------------------------------------------- */

/* Numbers the object on top, and keeps it at hand if anything refers to it. */
static void add_object(decoder *d, unsigned flags) {
  uint32_t seq = d->seq++;
  if ((flags & WIRE_REG) == 0) return;
  if (!d->has_refs) corrupt(d);
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->base + 1, (int)seq);
}

/* Pushes a registered object. */
static void push_object(decoder *d, uint32_t seq) {
  if (!d->has_refs || seq >= d->seq) corrupt(d);
  lua_rawgeti(d->L, d->base + 1, (int)seq);
  if (lua_isnil(d->L, -1)) corrupt(d);
}

/* More frames than usual: __save in __save. */
static void grow_frames(decoder *d) {
  uint32_t capacity = 4 * d->capacity;
  if (!d->has_refs || d->depth >= FRAMES_MAX) corrupt(d);
  frame *more = cast_lua_newuserdata(d->L, capacity * sizeof *more);
  memcpy(more, d->frames, d->depth * sizeof *more);
  lua_replace(d->L, d->base + 2);
  d->frames = more;
  d->capacity = capacity;
}

static frame *open_frame(decoder *d, unsigned kind, int at, uint32_t n) {
  if (d->depth % STACK_FRAMES == 0) cast_packer_stack(d->L, STACK_ROOM);
  if (d->depth == d->capacity) grow_frames(d);
  frame *f = &d->frames[d->depth++];
  *f = (frame){.kind = (unsigned char)kind, .at = at, .n = n};
  return f;
}

static int hint(const decoder *d, uint32_t n) {
  return cast_scalar_hint((size_t)(d->end - d->at), n);
}

static void open_table(
  decoder *d, unsigned flags, uint32_t narr, uint32_t nrec) {
  frame *f = open_frame(d, FRAME_TABLE, lua_gettop(d->L), narr);
  f->step = STEP_ARRAY;
  f->nrec = nrec;
  f->has_meta = (flags & WIRE_META) != 0;
}

static bool get_table(decoder *d, unsigned flags) {
  const unsigned char *at = take(d, 8);
  uint32_t narr = wire_get_u32(at), nrec = wire_get_u32(at + 4);
  lua_createtable(d->L, hint(d, narr), hint(d, nrec));
  add_object(d, flags);
  if ((flags & WIRE_LATER) != 0) return true;
  open_table(d, flags, narr, nrec);
  return false;
}

static void open_code(decoder *d, unsigned flags, uint32_t nups) {
  frame *f = open_frame(d, FRAME_CODE, lua_gettop(d->L), nups);
  f->step = (flags & WIRE_ENV) != 0 ? STEP_ENV : STEP_UPVALUE;
}

static bool get_code(decoder *d, unsigned flags) {
  unsigned nups = take_byte(d);
  bool pure = (flags & WIRE_PURE) != 0;
  cast_bytes *b = take_shared(d);
  if (!cast_bytecode_load(d->p, d->L, b, pure, nups, d->message))
    fail_at(d, "a function");
  add_object(d, flags);
  if (pure || (flags & WIRE_LATER) != 0) return true;
  open_code(d, flags, nups);
  return false;
}

static bool get_save(decoder *d, unsigned flags) {
  uint32_t n = take_u32(d);
  if (n == 0 || n > (size_t)(d->end - d->at)) corrupt(d);
  cast_packer_stack(d->L, (int)n + STACK_ROOM);
  frame *f = open_frame(d, FRAME_SAVE, lua_gettop(d->L) + 1, n);
  f->seq = d->seq++;
  f->registered = (flags & WIRE_REG) != 0;
  return false;
}

static bool get_transferable(decoder *d, unsigned flags) {
  cast_transferable *b = CAST_CONTAINER(
    take_item(d, &cast_transferable_type), cast_transferable, object);
  if (!cast_transferable_push(d->p, d->L, b)) {
    lua_pushfstring(d->L, "a %s", b->how->name);
    lua_insert(d->L, -2);
    fail(d);
  }
  add_object(d, flags);
  return true;
}

static bool get_name(decoder *d, unsigned flags) {
  uint16_t size;
  if ((flags & WIRE_TRANSFERRED) != 0) return get_transferable(d, flags);
  memcpy(&size, take(d, sizeof size), sizeof size);
  const char *name = (const char *)take(d, size);
  int type = (flags & WIRE_NAMED) != 0 ? LUA_TTABLE : LUA_TFUNCTION;
  if (!cast_names_resolve(d->p, d->L, name, size, type)) {
    cast_names_describe(d->L, name, size);
    lua_insert(d->L, -2);
    fail(d);
  }
  add_object(d, flags);
  return true;
}

/* -- values --------------------------------------------------------------- */

static bool get_object(decoder *d, unsigned tag) {
  unsigned flags = tag & 0x0f;
  switch (tag & 0xf0) {
  case WIRE_TABLE: return get_table(d, flags);
  case WIRE_CODE: return get_code(d, flags);
  case WIRE_SAVE: return get_save(d, flags);
  case WIRE_NAME: return get_name(d, flags);
  default: corrupt(d);
  }
}

static bool get_other(decoder *d, unsigned tag) {
  lua_State *L = d->L;
  switch (tag) {
  case WIRE_SHARED: cast_sharedstr_push(d->p, L, take_shared(d)); break;
  case WIRE_OUTCOME: /* only who knows no better gets the task */
  case WIRE_HANDLE: cast_handle_push(L, take_item(d, NULL)); break;
  case WIRE_GLOBALS:
    cast_packer_table(d->p, L);
    cast_packer_get(L, -1, CAST_SLOT_GLOBALS);
    lua_replace(L, -2);
    break;
  case WIRE_BACK: push_object(d, take_u32(d)); break;
  default: return get_object(d, tag);
  }
  return true;
}

/* Reads a value: true when it is on the stack, false when a frame was opened
   for it. */
static inline bool get(decoder *d) {
  unsigned tag = take_byte(d);
  if (!wire_is_scalar(tag)) return get_other(d, tag);
  d->at = cast_scalar_push(d->L, tag, d->at, d->end);
  return true;
}

/* -- content -------------------------------------------------------------- */

static bool step_array(decoder *d, frame *f, bool child) {
  while (f->i < f->n) {
    if (!child && !get(d)) return false;
    child = false;
    lua_rawseti(d->L, f->at, (int)++f->i);
  }
  f->step = STEP_KEY;
  f->i = 0;
  return true;
}

/* A constructor may return NaN. */
static void check_key(decoder *d) {
  lua_State *L = d->L;
  if (lua_type(L, -1) != LUA_TNUMBER || lua_rawequal(L, -1, -1)) return;
  lua_pushliteral(L, "NaN cannot be one");
  fail_at(d, "a number");
}

static bool step_table(decoder *d, frame *f, bool child) {
  if (f->step == STEP_ARRAY) {
    if (!step_array(d, f, child)) return false;
    child = false;
  }
  while (f->i < f->nrec) {
    if (f->step == STEP_KEY) {
      if (!child && !get(d)) return false;
      child = false;
      check_key(d);
      f->step = STEP_VALUE;
    }
    if (!child && !get(d)) return false;
    child = false;
    lua_rawset(d->L, f->at);
    f->step = STEP_KEY;
    f->i++;
  }
  if (!f->has_meta) return true;
  f->step = STEP_META;
  if (!child && !get(d)) return false;
  if (!lua_istable(d->L, -1)) corrupt(d);
  lua_setmetatable(d->L, f->at);
  return true;
}

/* Makes the next upvalue of the frame's function the same variable as one of
   another function. */
static void join(decoder *d, frame *f) {
  uint32_t seq = take_u32(d);
  int index = (int)take_byte(d);
  push_object(d, seq);
  f->i++;
#if CAST_LUA >= 502 || CAST_LUAJIT
  lua_State *L = d->L;
  int other = lua_gettop(L);
  if (!lua_isfunction(L, other) || lua_iscfunction(L, other) ||
      lua_getupvalue(L, other, index) == NULL ||
      lua_getupvalue(L, f->at, (int)f->i) == NULL)
    corrupt(d);
  lua_upvaluejoin(L, f->at, (int)f->i, other, index);
  lua_settop(L, other - 1);
#else
  CAST_UNUSED(index);
  corrupt(d);
#endif
}

static bool step_code(decoder *d, frame *f, bool child) {
  if (f->step == STEP_ENV) {
    if (!child && !get(d)) return false;
    child = false;
#if CAST_LUA < 502
    if (!lua_istable(d->L, -1)) corrupt(d);
    lua_setfenv(d->L, f->at);
#endif
    f->step = STEP_UPVALUE;
  }
  while (f->i < f->n) {
    if (!child && d->at < d->end && *d->at == WIRE_JOIN) {
      d->at++;
      join(d, f);
      continue;
    }
    if (!child && !get(d)) return false;
    child = false;
    if (lua_setupvalue(d->L, f->at, (int)++f->i) == NULL) corrupt(d);
  }
  return true;
}

/* The content of an object that is on the stack of registered ones only. */
static void get_body(decoder *d) {
  lua_State *L = d->L;
  push_object(d, take_u32(d));
  uint32_t narr = take_u32(d), nrec = take_u32(d);
  unsigned flags = take_byte(d);
  if (lua_istable(L, -1))
    open_table(d, flags, narr, nrec);
  else if (lua_isfunction(L, -1) && !lua_iscfunction(L, -1))
    open_code(d, flags, narr);
  else
    corrupt(d);
  d->frames[d->depth - 1].body = true;
}

static void get_remeta(decoder *d) {
  lua_State *L = d->L;
  push_object(d, take_u32(d));
  push_object(d, take_u32(d));
  if (!lua_istable(L, -1) || !lua_istable(L, -2)) corrupt(d);
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

static bool step_root(decoder *d, frame *f, bool child) {
  while (f->i < f->n) {
    if (!child && !get(d)) return false;
    child = false;
    f->i++;
  }
  while (d->at < d->end) {
    switch (take_byte(d)) {
    case WIRE_BODY: get_body(d); return false;
    case WIRE_REMETA: get_remeta(d); break;
    default: corrupt(d);
    }
  }
  return true;
}

/* Calls the constructor. */
static void call(decoder *d, const frame *f) {
  lua_State *L = d->L;
  if (lua_pcall(L, (int)f->n - 1, 1, 0) == LUA_OK && !lua_isnil(L, -1)) return;
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "its constructor returned nil");
  }
  d->depth--; /* the path is that of the object */
  fail_at(d, "an object");
}

static bool step_save(decoder *d, frame *f, bool child) {
  while (f->i < f->n) {
    if (!child && !get(d)) return false;
    child = false;
    f->i++;
  }
  switch (take_byte(d)) {
  case WIRE_BODY: get_body(d); return false;
  case WIRE_CALL: break;
  default: corrupt(d);
  }
  call(d, f);
  if (!f->registered) return true;
  if (!d->has_refs) corrupt(d);
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->base + 1, (int)f->seq);
  return true;
}

/* -- the loop ------------------------------------------------------------- */

static void run(decoder *d) {
  bool child = false;
  for (;;) {
    frame *f = &d->frames[d->depth - 1];
    bool done;
    switch (f->kind) {
    case FRAME_TABLE: done = step_table(d, f, child); break;
    case FRAME_CODE: done = step_code(d, f, child); break;
    case FRAME_SAVE: done = step_save(d, f, child); break;
    default: done = step_root(d, f, child); break;
    }
    child = false;
    if (!done) continue;
    if (--d->depth == 0) return;
    child = !f->body;
    if (f->body) lua_settop(d->L, f->at - 1);
  }
}

/* Reads the header; returns the number of values. */
static uint32_t start(decoder *d) {
  unsigned head = take_byte(d);
  uint32_t n = head & WIRE_COUNT;
  if (n > WIRE_COUNT_MAX) n = take_u32(d);
  if (n > (size_t)(d->end - d->at)) corrupt(d);
  d->base = lua_gettop(d->L);
  d->has_refs = (head & WIRE_REFS) != 0;
  cast_packer_stack(d->L, (int)n + STACK_ROOM);
  if (d->has_refs) {
    uint32_t count = take_u32(d);
    lua_createtable(d->L, 0, hint(d, count));
    lua_pushnil(d->L);
  }
  return n;
}

static void decode(decoder *d, uint32_t n) {
  lua_State *L = d->L;
  d->seq = 0;
  d->depth = 0;
  d->capacity = FRAMES_HERE;
  d->frames = d->here;
  open_frame(d, FRAME_ROOT, lua_gettop(L) + 1, n);
  run(d);
  if (!d->has_refs) return;
  lua_remove(L, d->base + 2);
  lua_remove(L, d->base + 1);
}

int cast_unpack(cast_packer *p, lua_State *L, cast_msg *msg) {
  decoder d;
  d.L = L;
  d.p = p;
  d.at = cast_msg_data(msg);
  d.end = d.at + msg->size;
  d.item = cast_msg_items(msg);
  d.items_end = d.item + msg->nrefs;
  d.message = ++p->unpacked;
  p->message++;
  bool is_tree = d.at < d.end && (*d.at & WIRE_TREE) != 0;
  uint32_t n = start(&d);
  if (is_tree) {
    if (d.has_refs) corrupt(&d);
    cast_decode_tree(p, L, n, d.at, d.end);
  } else {
    decode(&d, n);
  }
  CAST_ASSERT(lua_gettop(L) == d.base + (int)n);
  cast_msg_drop_to(msg, cast_packer_blocks(p));
  return (int)n;
}
