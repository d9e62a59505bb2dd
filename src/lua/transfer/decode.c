/* decode.c - reads a message and pushes its values.
   SPDX-License-Identifier: MIT

   Frames mirror those of the encoder: one for each object that is being
   filled, so the C stack does not grow with the depth of the data. Nothing is
   owned by C alone: any call may raise, and then the message, which its owner
   drops, and the Lua stack hold all there is. See decoder.h.

   What is read is trusted nowhere: each place that checks a bound, a number or
   a type says which input it guards against. None of these comes from encode.c;
   tests/fuzz/decode.c makes them. What cannot be checked is bytecode, which Lua
   itself trusts, and the addresses that light userdata are.

   Functions called get_* read one value: true when it is on top of the stack,
   false when a frame was opened for it. Those called step_* go on with a frame:
   true at its end, false when a frame was opened above it. With `child`, the
   value that the frame waited for is on top of the stack. */
#include "../../base.h"
#include "../../msg.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../state/handle.h"
#include "bytecode.h"
#include "decoder.h"
#include "names.h"
#include "pack.h"
#include "packer.h"
#include "scalar.h"
#include "sharedstr.h"
#include "transferable.h"
#include "wire.h"

/* -- objects -------------------------------------------------------------- */

/* Opens a frame for the table on top. Its numbers are believed no further than
   the message goes: each item and pair is read, so a number that is too large
   ends with the bytes. */
static void open_table(
  cast_decoder *d, unsigned flags, uint32_t narr, uint32_t nrec) {
  cast_fill *f = cast_decoder_open(d, CAST_FILL_TABLE, lua_gettop(d->L), narr);
  f->step = CAST_NEXT_ITEM;
  f->nrec = nrec;
  f->has_meta = (flags & WIRE_META) != 0;
}

/* The table is made with room for its content, but for no more than the rest of
   the message can have (cast_scalar_hint). */
static bool get_table(cast_decoder *d, unsigned flags) {
  const unsigned char *at = cast_decoder_take(d, 8);
  uint32_t narr = wire_get_u32(at), nrec = wire_get_u32(at + 4);
  lua_createtable(d->L, cast_decoder_hint(d, narr), cast_decoder_hint(d, nrec));
  cast_decoder_add(d, flags);
  if ((flags & WIRE_LATER) != 0) return true;
  open_table(d, flags, narr, nrec);
  return false;
}

/* Opens a frame for the function on top. */
static void open_code(cast_decoder *d, unsigned flags, uint32_t nups) {
  cast_fill *f = cast_decoder_open(d, CAST_FILL_CODE, lua_gettop(d->L), nups);
  f->step = (flags & WIRE_ENV) != 0 ? CAST_NEXT_ENV : CAST_NEXT_UPVALUE;
}

/* The number of upvalues is the message's. If it is not the bytecode's, no
   closures are made by factory.c, which compares the two; and one upvalue too
   many is found when it is set (step_code). */
static bool get_code(cast_decoder *d, unsigned flags) {
  unsigned nups = cast_decoder_byte(d);
  bool pure = (flags & WIRE_PURE) != 0;
  cast_bytes *b = cast_decoder_shared(d);
  if (!cast_bytecode_load(d->p, d->L, b, pure, nups, d->message))
    cast_decoder_fail_at(d, "a function");
  cast_decoder_add(d, flags);
  if (pure || (flags & WIRE_LATER) != 0) return true;
  open_code(d, flags, nups);
  return false;
}

/* The object's number comes before those of its arguments, as its tag does; it
   is kept at hand when it is there. Guards against a list without a
   constructor. */
static bool get_save(cast_decoder *d, unsigned flags) {
  uint32_t n = cast_decoder_u32(d);
  if (n == 0) cast_decoder_corrupt(d);
  cast_decoder_reserve(d, n);
  cast_fill *f = cast_decoder_open(d, CAST_FILL_SAVE, lua_gettop(d->L) + 1, n);
  f->seq = d->seq++;
  f->registered = (flags & WIRE_REG) != 0;
  return false;
}

/* A transferable object: its content leaves the box, or has left it already, if
   another session has received the same message. */
static bool get_transferable(cast_decoder *d, unsigned flags) {
  cast_transferable *b = CAST_CONTAINER(
    cast_decoder_item(d, &cast_transferable_type), cast_transferable, object);
  if (!cast_transferable_push(d->p, d->L, b)) {
    lua_pushfstring(d->L, "a %s", b->how->name);
    lua_insert(d->L, -2);
    cast_decoder_fail(d);
  }
  cast_decoder_add(d, flags);
  return true;
}

/* The name is read with its size checked, but what it names is another matter:
   the receiver may not have the module, or something else under that name.
   These are errors of the program's, not damaged messages. */
static bool get_name(cast_decoder *d, unsigned flags) {
  uint16_t size;
  if ((flags & WIRE_TRANSFERRED) != 0) return get_transferable(d, flags);
  memcpy(&size, cast_decoder_take(d, sizeof size), sizeof size);
  const char *name = (const char *)cast_decoder_take(d, size);
  int type = (flags & WIRE_NAMED) != 0 ? LUA_TTABLE : LUA_TFUNCTION;
  if (!cast_names_resolve(d->p, d->L, name, size, type)) {
    cast_names_describe(d->L, name, size);
    lua_insert(d->L, -2);
    cast_decoder_fail(d);
  }
  cast_decoder_add(d, flags);
  return true;
}

/* -- values --------------------------------------------------------------- */

/* Guards against tags that do not exist, 0x13 to 0x1f, and against JOIN, BODY,
   CALL and REMETA where a value is expected. */
static bool get_object(cast_decoder *d, unsigned tag) {
  unsigned flags = tag & 0x0f;
  switch (tag & 0xf0) {
  case WIRE_TABLE: return get_table(d, flags);
  case WIRE_CODE: return get_code(d, flags);
  case WIRE_SAVE: return get_save(d, flags);
  case WIRE_NAME: return get_name(d, flags);
  default: cast_decoder_corrupt(d);
  }
}

/* Reads what is more than its bytes. An outcome is made into values where a
   task receives it (../task/receive.c). It is met here only if something else
   reads the message, and becomes the task's handle then. */
static bool get_other(cast_decoder *d, unsigned tag) {
  lua_State *L = d->L;
  switch (tag) {
  case WIRE_SHARED: cast_sharedstr_push(d->p, L, cast_decoder_shared(d)); break;
  case WIRE_OUTCOME:
  case WIRE_HANDLE: cast_handle_push(L, cast_decoder_item(d, NULL)); break;
  case WIRE_GLOBALS:
    cast_packer_table(d->p, L);
    cast_packer_get(L, -1, CAST_SLOT_GLOBALS);
    lua_replace(L, -2);
    break;
  case WIRE_BACK: cast_decoder_push(d, cast_decoder_u32(d)); break;
  default: return get_object(d, tag);
  }
  return true;
}

/* Reads a value: true when it is on the stack, false when a frame was opened
   for it. */
static inline bool get(cast_decoder *d) {
  unsigned tag = cast_decoder_byte(d);
  if (!wire_is_scalar(tag)) return get_other(d, tag);
  d->at = cast_scalar_push(d->L, tag, d->at, d->end);
  return true;
}

/* -- content -------------------------------------------------------------- */

/* Fills the array part; then the pairs come. */
static bool step_array(cast_decoder *d, cast_fill *f, bool child) {
  while (f->i < f->n) {
    if (!child && !get(d)) return false;
    child = false;
    lua_rawseti(d->L, f->at, (int)++f->i);
  }
  f->step = CAST_NEXT_KEY;
  f->i = 0;
  return true;
}

/* Guards against NaN as a key: a constructor may have returned it, or the bytes
   have it. lua_rawset would raise an error that says nothing of the message.
   Nil as a key is only in bytes that no encoder has written; its error is
   Lua's. */
static void check_key(cast_decoder *d) {
  lua_State *L = d->L;
  if (lua_type(L, -1) != LUA_TNUMBER || lua_rawequal(L, -1, -1)) return;
  lua_pushliteral(L, "NaN cannot be one");
  cast_decoder_fail_at(d, "a number");
}

/* In a sandbox no __gc is ever called (session/restrict.c). */
static void set_metatable(cast_decoder *d, int at) {
  if (CAST_UNLIKELY(d->p->account != NULL))
    cast_finalizer_skip(d->L, at);
  else
    lua_setmetatable(d->L, at);
}

/* `step` says what the value that was waited for is. It stays in the frame
   while a child is read, so that the path of an error is right, too. Guards
   against a metatable that is no table. */
static bool step_table(cast_decoder *d, cast_fill *f, bool child) {
  if (f->step == CAST_NEXT_ITEM) {
    if (!step_array(d, f, child)) return false;
    child = false;
  }
  while (f->i < f->nrec) {
    if (f->step == CAST_NEXT_KEY) {
      if (!child && !get(d)) return false;
      child = false;
      check_key(d);
      f->step = CAST_NEXT_VALUE;
    }
    if (!child && !get(d)) return false;
    child = false;
    lua_rawset(d->L, f->at);
    f->step = CAST_NEXT_KEY;
    f->i++;
  }
  if (!f->has_meta) return true;
  f->step = CAST_NEXT_META;
  if (!child && !get(d)) return false;
  if (!lua_istable(d->L, -1)) cast_decoder_corrupt(d);
  set_metatable(d, f->at);
  return true;
}

/* Makes the next upvalue of the frame's function the same variable as one of
   another function. Guards against a number that is no Lua function's, and
   against an index that one of the two functions has no upvalue for:
   lua_upvaluejoin checks neither. On stock 5.1 no encoder writes a JOIN. */
static void join(cast_decoder *d, cast_fill *f) {
  uint32_t seq = cast_decoder_u32(d);
  int index = (int)cast_decoder_byte(d);
  cast_decoder_push(d, seq);
  f->i++;
#if CAST_LUA >= 502 || CAST_LUAJIT
  lua_State *L = d->L;
  int other = lua_gettop(L);
  if (!lua_isfunction(L, other) || lua_iscfunction(L, other) ||
      lua_getupvalue(L, other, index) == NULL ||
      lua_getupvalue(L, f->at, (int)f->i) == NULL)
    cast_decoder_corrupt(d);
  lua_upvaluejoin(L, f->at, (int)f->i, other, index);
  lua_settop(L, other - 1);
#else
  CAST_UNUSED(index);
  cast_decoder_corrupt(d);
#endif
}

/* Sets the environment, if the function has one of its own, and the upvalues.
   Guards against an environment that is no table, or where functions have none,
   and against more upvalues than the bytecode has. */
static bool step_code(cast_decoder *d, cast_fill *f, bool child) {
  if (f->step == CAST_NEXT_ENV) {
#if CAST_LUA < 502
    if (!child && !get(d)) return false;
    child = false;
    if (!lua_istable(d->L, -1)) cast_decoder_corrupt(d);
    lua_setfenv(d->L, f->at);
    f->step = CAST_NEXT_UPVALUE;
#else
    cast_decoder_corrupt(d);
#endif
  }
  while (f->i < f->n) {
    if (!child && d->at < d->end && *d->at == WIRE_JOIN) {
      d->at++;
      join(d, f);
      continue;
    }
    if (!child && !get(d)) return false;
    child = false;
    if (lua_setupvalue(d->L, f->at, (int)++f->i) == NULL)
      cast_decoder_corrupt(d);
  }
  return true;
}

/* Opens a frame for the content of an object that was put off, which is pushed
   from the table of registered objects. Guards against content for what has
   none. An object that gets content twice does no harm: it is filled again. */
static void get_body(cast_decoder *d) {
  lua_State *L = d->L;
  cast_decoder_push(d, cast_decoder_u32(d));
  uint32_t narr = cast_decoder_u32(d), nrec = cast_decoder_u32(d);
  unsigned flags = cast_decoder_byte(d);
  if (lua_istable(L, -1))
    open_table(d, flags, narr, nrec);
  else if (lua_isfunction(L, -1) && !lua_iscfunction(L, -1))
    open_code(d, flags, narr);
  else
    cast_decoder_corrupt(d);
  d->frames[d->depth - 1].body = true;
}

/* Sets a metatable once more: its __gc was not there yet when it was set.
   Guards against numbers that are not of tables. */
static void get_remeta(cast_decoder *d) {
  lua_State *L = d->L;
  cast_decoder_push(d, cast_decoder_u32(d));
  cast_decoder_push(d, cast_decoder_u32(d));
  if (!lua_istable(L, -1) || !lua_istable(L, -2)) cast_decoder_corrupt(d);
  set_metatable(d, -2);
  lua_pop(L, 1);
}

/* Reads the message's values, and then what was put off. The message ends
   with its bytes. Guards against bytes behind the values that are nothing of
   that. */
static bool step_root(cast_decoder *d, cast_fill *f, bool child) {
  while (f->i < f->n) {
    if (!child && !get(d)) return false;
    child = false;
    f->i++;
  }
  while (d->at < d->end) {
    switch (cast_decoder_byte(d)) {
    case WIRE_BODY: get_body(d); return false;
    case WIRE_REMETA: get_remeta(d); break;
    default: cast_decoder_corrupt(d);
    }
  }
  return true;
}

/* Calls the constructor, which is replaced by its result. It is user code: it
   may raise, wait, or receive something itself, with a decoder of its own. What
   is no function is an error in pcall. Nil cannot stand for an object: a table
   would not have it. */
static void call(cast_decoder *d, const cast_fill *f) {
  lua_State *L = d->L;
  if (lua_pcall(L, (int)f->n - 1, 1, 0) == LUA_OK && !lua_isnil(L, -1)) return;
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "its constructor returned nil");
  }
  d->depth--; /* the path is that of the object */
  cast_decoder_fail_at(d, "an object");
}

/* Reads the constructor and its arguments, then what was put off in this list,
   and calls. Guards against a list that ends with anything but CALL. */
static bool step_save(cast_decoder *d, cast_fill *f, bool child) {
  while (f->i < f->n) {
    if (!child && !get(d)) return false;
    child = false;
    f->i++;
  }
  switch (cast_decoder_byte(d)) {
  case WIRE_BODY: get_body(d); return false;
  case WIRE_CALL: break;
  default: cast_decoder_corrupt(d);
  }
  call(d, f);
  if (!f->registered) return true;
  cast_decoder_keep(d, f->seq);
  return true;
}

/* -- the loop ------------------------------------------------------------- */

/* Goes on with the top frame until none is left. A frame that is done leaves
   its object on the stack, as the value that the frame below waits for
   (`child`). A body's object is known to the others already; it is popped. */
static void run(cast_decoder *d) {
  bool child = false;
  for (;;) {
    cast_fill *f = &d->frames[d->depth - 1];
    bool done;
    switch (f->kind) {
    case CAST_FILL_TABLE: done = step_table(d, f, child); break;
    case CAST_FILL_CODE: done = step_code(d, f, child); break;
    case CAST_FILL_SAVE: done = step_save(d, f, child); break;
    default: done = step_root(d, f, child); break;
    }
    child = false;
    if (!done) continue;
    if (--d->depth == 0) return;
    child = !f->body;
    if (f->body) lua_settop(d->L, f->at - 1);
  }
}

/* Reads the header; returns the number of values. Guards against a message that
   is empty, and against numbers larger than its bytes: of values, which would
   take up the Lua stack, and of registered objects, which would take memory. */
static uint32_t start(cast_decoder *d) {
  unsigned head = cast_decoder_byte(d);
  uint32_t n = head & WIRE_COUNT;
  if (n > WIRE_COUNT_MAX) n = cast_decoder_u32(d);
  d->base = lua_gettop(d->L);
  d->has_refs = (head & WIRE_REFS) != 0;
  cast_decoder_reserve(d, n);
  if (d->has_refs) {
    uint32_t count = cast_decoder_u32(d);
    lua_createtable(d->L, 0, cast_decoder_hint(d, count));
    lua_pushnil(d->L);
  }
  return n;
}

/* Reads all that is no tree. The table of objects and the userdata with frames
   are taken out from under the values at last. */
static void decode(cast_decoder *d, uint32_t n) {
  lua_State *L = d->L;
  d->seq = 0;
  d->depth = 0;
  d->capacity = CAST_FILLS_HERE;
  d->frames = d->here;
  cast_decoder_open(d, CAST_FILL_ROOT, lua_gettop(L) + 1, n);
  run(d);
  if (!d->has_refs) return;
  lua_remove(L, d->base + 2);
  lua_remove(L, d->base + 1);
}

/* Both counters tell bytecode.c and sharedstr.c what came in one message. The
   message is dropped only at the end: until then it holds the bytes that are
   read, and when an error passes over this its owner drops it. */
int cast_unpack(cast_packer *p, lua_State *L, cast_msg *msg) {
  cast_decoder d;
  d.L = L;
  d.p = p;
  d.at = cast_msg_data(msg);
  d.end = d.at + msg->size;
  d.item = cast_msg_items(msg);
  d.items_end = d.item + msg->nrefs;
  d.message = ++p->unpacked;
  p->message++;
  bool is_tree = d.at < d.end && (*d.at & WIRE_MONITOR) == WIRE_TREE;
  uint32_t n = start(&d);
  if (is_tree) {
    if (d.has_refs) cast_decoder_corrupt(&d);
    cast_decode_tree(p, L, n, d.at, d.end);
  } else {
    decode(&d, n);
  }
  CAST_ASSERT(lua_gettop(L) == d.base + (int)n);
  cast_msg_drop_to(msg, cast_packer_blocks(p));
  return (int)n;
}
