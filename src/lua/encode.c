/* encode.c - walks Lua values and writes them into an encoder.
   SPDX-License-Identifier: MIT

   Depth first, with a stack of frames of our own, one for each object that is
   being written, and a few slots of the Lua stack for each frame. An object
   CAST_PACK_DEPTH levels down only gets its header; it is put on the list of
   work, and its content follows when the frames are done. So neither stack
   grows with the depth of the data.

   Nothing but __save calls Lua code here: tables are read raw. But memory is
   asked for, so finalizers may run, and any call may raise: see encoder.h.

   Modules loaded since the last message are noticed at the first function or
   object with a metatable, and if there are any, the message is begun anew:
   one of them may have been copied before. In the same way a message begins
   anew at its first __save, to keep all objects alive from then on: Lua code
   might drop one, and another be made at the same address.

   A frame's counters, i and n:
     list      values written, and how many there are: those of the message
               (behind `at`) or the results of a __save (behind `at`, too)
     table     array items and pairs written; the key lies at `at` + 1
     function  upvalues written, and how many there are

   Functions called put_* write what is on top of the stack and pop it; they
   are true if that is all, false if the loop in run() has to go on with it
   (a frame was opened, or the message begins anew). */
#include "code.h"
#include "encoder.h"
#include "handle.h"
#include "names.h"
#include "path.h"
#include "strings.h"

enum { FRAME_ROOT, FRAME_SAVE, FRAME_TABLE, FRAME_CODE };
enum { STEP_ARRAY, STEP_PAIR, STEP_KEY, STEP_META, STEP_ENV, STEP_UPVALUE };

/* State of an object in seen: complete with all that it leads to; complete
   itself, but it may lead to one that is not; being written; being saved; put
   off. */
enum { STATE_DONE, STATE_LOOSE, STATE_OPEN, STATE_SAVING, STATE_PENDING };

#define FRAME_SLOTS 4  /* of the Lua stack: table, key, value, key again */
#define SPARE_SLOTS 12 /* for what is done with a value */
#define HAS_JOIN (CAST_LUA >= 502 || CAST_LUAJIT)
#define HAS_FENV (CAST_LUA < 502)

static bool put(cast_encoder *e);

static int table_at(const cast_encoder *e) { return e->base + CAST_AT_TABLE; }

static cast_frame *top_frame(const cast_encoder *e) {
  return &e->frames[e->depth - 1];
}

/* -- errors --------------------------------------------------------------- */

static void path_of_frame(
  cast_encoder *e, const cast_frame *f, cast_path *path) {
  const char *name;
  switch (f->step) {
  case STEP_ARRAY: cast_path_index(path, f->i); break;
  case STEP_PAIR: cast_path_key(path, e->L, f->at + 1); break;
  case STEP_KEY: cast_path_word(path, "a key", NULL); break;
  case STEP_META: cast_path_word(path, "metatable", NULL); break;
  case STEP_ENV: cast_path_word(path, "environment", NULL); break;
  default:
    name = lua_getupvalue(e->L, f->at, (int)f->i);
    if (name != NULL) lua_pop(e->L, 1);
    cast_path_word(path, "upvalue", name != NULL ? name : "?");
    break;
  }
}

/* The innermost frame whose parents are not on the stack, or 0. */
static uint32_t last_body(const cast_encoder *e) {
  uint32_t k = e->depth;
  while (--k > 0)
    if (e->frames[k].value != 0) break;
  return k;
}

/* Which value of the message the frames are in, and how deep. */
static uint32_t current_value(const cast_encoder *e, uint32_t *levels) {
  uint32_t body = last_body(e);
  *levels = e->depth - 1 - body + e->frames[body].levels;
  return body > 0 ? e->frames[body].value : e->frames[0].i;
}

/* Pushes "(argument 2: .a.b)" for what the frames are about. */
static void push_path(cast_encoder *e) {
  cast_path path;
  uint32_t levels, first = last_body(e);
  uint32_t value = current_value(e, &levels);
  cast_path_start(&path, e->what, e->number - 1 + (int)value);
  if (first == 0)
    first = 1;
  else
    cast_path_gap(&path, e->frames[first].levels);
  for (uint32_t k = first; k < e->depth; k++) {
    const cast_frame *f = &e->frames[k];
    if (!cast_path_shows(&path, k - first, e->depth - first)) continue;
    if (f->kind == FRAME_SAVE)
      cast_path_word(
        &path, f->i == 1 ? "constructor" : "argument of __save", NULL);
    else
      path_of_frame(e, f, &path);
  }
  lua_pushfstring(e->L, "(%s)", path.text);
}

/* "cannot send a <kind> (<path>): <reason>"; reason may be NULL. */
static _Noreturn void fail(
  cast_encoder *e, const char *kind, const char *reason) {
  lua_State *L = e->L;
  lua_checkstack(L, SPARE_SLOTS);
  luaL_where(L, 1);
  push_path(e);
  lua_pushfstring(L,
    reason != NULL ? "%scannot send a %s %s: %s" : "%scannot send a %s %s",
    lua_tostring(L, -2), kind, lua_tostring(L, -1), reason);
  cast_encoder_raise(e);
}

/* -- scalars and strings -------------------------------------------------- */

static void put_shared(cast_encoder *e, int idx) {
  cast_encoder_item_room(e);
  cast_bytes *b = cast_strings_get(e->p, e->L, table_at(e), idx);
  if (b == NULL) cast_encoder_nomem(e);
  cast_encoder_item(e, &b->object);
  cast_encoder_byte(e, WIRE_SHARED);
}

static void put_string(cast_encoder *e, int idx) {
  size_t size;
  const char *s = lua_tolstring(e->L, idx, &size);
  if (size >= CAST_SHARED_STRING) {
    put_shared(e, idx);
    return;
  }
  unsigned char *at = cast_encoder_room(e, (uint32_t)size + 5);
  if (size <= WIRE_STR_MAX) {
    *at++ = (unsigned char)(WIRE_STR + size);
  } else if (size <= UINT8_MAX) {
    *at++ = WIRE_STR8;
    *at++ = (unsigned char)size;
  } else {
    *at++ = WIRE_STR32;
    at = wire_put_u32(at, (uint32_t)size);
  }
  e->size = (uint32_t)(wire_put(at, s, size) - e->bytes);
}

/* Writes what is at idx, if it is no object. */
static bool write_scalar(cast_encoder *e, int idx) {
  unsigned char *at;
  void *pointer;
  switch (lua_type(e->L, idx)) {
  case LUA_TNIL: cast_encoder_byte(e, WIRE_NIL); return true;
  case LUA_TBOOLEAN:
    cast_encoder_byte(e, lua_toboolean(e->L, idx) ? WIRE_TRUE : WIRE_FALSE);
    return true;
  case LUA_TNUMBER:
    at = wire_put_number(e->L, idx, cast_encoder_room(e, WIRE_NUMBER));
    e->size = (uint32_t)(at - e->bytes);
    return true;
  case LUA_TSTRING: put_string(e, idx); return true;
  case LUA_TLIGHTUSERDATA:
    pointer = lua_touserdata(e->L, idx);
    at = cast_encoder_room(e, 1 + sizeof pointer);
    *at = WIRE_POINTER;
    wire_put(at + 1, &pointer, sizeof pointer);
    e->size += 1 + (uint32_t)sizeof pointer;
    return true;
  default: return false;
  }
}

/* -- objects -------------------------------------------------------------- */

/* Keeps the object on top alive; returns its key in the table of anchors. */
static uint32_t anchor(cast_encoder *e) {
  lua_State *L = e->L;
  int anchors = e->base + CAST_AT_ANCHORS;
  if (lua_isnil(L, anchors)) {
    lua_newtable(L);
    lua_replace(L, anchors);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, anchors, (int)++e->nanchors);
  return e->nanchors;
}

/* Numbers the object whose tag comes next; returns its index in seen. */
static uint32_t add_object(cast_encoder *e, const void *key, uint32_t state) {
  cast_seen_entry *entry = cast_seen_add(&e->seen, key);
  if (entry == NULL) cast_encoder_nomem(e);
  entry->tag = e->size;
  entry->seq = e->seq++;
  entry->state = state;
  return e->seen.count - 1;
}

/* Tells the decoder to keep that object at hand. */
static void register_object(cast_encoder *e, const cast_seen_entry *entry) {
  if ((e->bytes[entry->tag] & WIRE_REG) != 0) return;
  e->bytes[entry->tag] |= WIRE_REG;
  e->nreg++;
}

static cast_frame *open_frame(
  cast_encoder *e, unsigned kind, int at, uint32_t entry) {
  if (!lua_checkstack(e->L, FRAME_SLOTS + SPARE_SLOTS)) {
    if (e->saves == 0) cast_encoder_nomem(e);
    fail(e, "value", "__save results lie too deep in each other");
  }
  cast_frame *f = cast_encoder_frame(e);
  f->kind = (unsigned char)kind;
  f->at = at;
  f->entry = entry;
  return f;
}

/* An object that was written before, or that will be. */
static bool put_back(cast_encoder *e, cast_seen_entry *entry) {
  if (entry->state == STATE_SAVING)
    fail(e, luaL_typename(e->L, -1), "its __save returns it again");
  if (entry->state != STATE_DONE) {
    top_frame(e)->loose = true;
    /* A constructor is to be given complete arguments. One that is open can
       not be completed before: it contains the constructor's object. */
    if (entry->state != STATE_OPEN && entry < &e->seen.entries[e->list.save])
      e->list.mark = 0;
  }
  register_object(e, entry);
  cast_encoder_byte(e, WIRE_BACK);
  cast_encoder_u32(e, entry->seq);
  lua_pop(e->L, 1);
  return true;
}

/* The content of the object on top comes later; hint is where the numbers of
   its header lie, or 0. */
static bool put_off(cast_encoder *e, uint32_t entry, uint32_t hint) {
  uint32_t levels, value = current_value(e, &levels);
  uint32_t key = anchor(e);
  cast_work *w = cast_encoder_work(e);
  *w = (cast_work){key, entry, hint, value, levels};
  e->seen.entries[entry].state = STATE_PENDING;
  top_frame(e)->loose = true;
  lua_pop(e->L, 1);
  return true;
}

/* Looks for modules loaded since the last message, once for this one. False
   if it has to begin anew; then the value on top is popped. */
static bool scan(cast_encoder *e) {
  if (!e->scanned) {
    e->scanned = true;
    if (cast_names_refresh(e->p, e->L, table_at(e)) && e->seq > 0)
      e->again = true;
  }
  if (e->again) lua_pop(e->L, 1);
  return !e->again;
}

/* The name on top stands for the object below it. */
static bool put_name(cast_encoder *e, const void *key) {
  size_t size;
  const char *name = lua_tolstring(e->L, -1, &size);
  uint16_t narrow = (uint16_t)size;
  CAST_ASSERT(size <= CAST_NAME_MAX);
  add_object(e, key, STATE_DONE);
  unsigned char *at = cast_encoder_room(e, 3 + narrow);
  *at = WIRE_NAME;
  at = wire_put(at + 1, &narrow, sizeof narrow);
  e->size = (uint32_t)(wire_put(at, name, size) - e->bytes);
  lua_pop(e->L, 2);
  return true;
}

/* -- __save --------------------------------------------------------------- */

/* Whether the metatable on top has a __save: pushes it. */
static bool has_save(cast_encoder *e) {
  cast_packer_get(e->L, table_at(e), CAST_SLOT_SAVE);
  lua_rawget(e->L, -2);
  if (!lua_isnil(e->L, -1)) return true;
  lua_pop(e->L, 1);
  return false;
}

/* The error of a __save is on top: adds the path, if it is a string. */
static _Noreturn void fail_save(cast_encoder *e, const char *kind) {
  if (lua_type(e->L, -1) != LUA_TSTRING) cast_encoder_raise(e);
  fail(e, kind, lua_tostring(e->L, -1));
}

/* On the stack: object, metatable, __save. */
static bool put_saved(cast_encoder *e, const void *key) {
  lua_State *L = e->L;
  lua_replace(L, -2);
  lua_insert(L, -2);
  if (!e->anchor_all) {
    e->anchor_all = true;
    e->again = e->seq > 0;
  }
  if (!scan(e)) {
    lua_pop(L, 1);
    return false;
  }
  const char *kind = luaL_typename(L, -1);
  if (e->saves == CAST_SAVE_DEPTH)
    fail(e, kind, "__save results lie too deep in each other");
  int at = lua_gettop(L) - 1;
  anchor(e);
  uint32_t entry = add_object(e, key, STATE_SAVING);
  if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) fail_save(e, kind);
  lua_pushboolean(L, 0); /* a place for the list */
  lua_insert(L, at);
  uint32_t n = (uint32_t)(lua_gettop(L) - at);
  if (n == 0 || !(lua_isfunction(L, at + 1) || lua_istable(L, at + 1)))
    fail(e, kind, "its __save returned no constructor");
  cast_encoder_byte(e, WIRE_SAVE);
  cast_encoder_u32(e, n);
  cast_frame *f = open_frame(e, FRAME_SAVE, at, entry);
  f->n = n;
  f->outer = e->list;
  e->list = (cast_list_state){
    .mark = e->nwork, .limit = e->depth + CAST_PACK_DEPTH, .save = entry};
  e->saves++;
  e->saved = true;
  return false;
}

/* -- tables --------------------------------------------------------------- */

static bool put_table(cast_encoder *e) {
  lua_State *L = e->L;
  const void *key = lua_topointer(L, -1);
  cast_seen_entry *seen = cast_seen_find(&e->seen, key);
  if (seen != NULL) return put_back(e, seen);
  if (key == e->p->globals) {
    cast_encoder_byte(e, WIRE_GLOBALS);
    lua_pop(L, 1);
    return true;
  }
  if (cast_names_maybe(e->p, key) && cast_names_find(e->p, L, table_at(e)))
    return put_name(e, key);
  if (lua_getmetatable(L, -1)) {
    if (has_save(e)) return put_saved(e, key);
    lua_pop(L, 1);
  }
  if (e->anchor_all) anchor(e);
  uint32_t entry = add_object(e, key, STATE_OPEN);
  bool later = e->depth >= e->list.limit;
  unsigned char *at = cast_encoder_room(e, 9);
  memset(at, 0, 9);
  *at = WIRE_TABLE;
  uint32_t counts = e->size + 1;
  e->size += 9;
  if (later) {
    *at = WIRE_TABLE | WIRE_LATER;
    register_object(e, &e->seen.entries[entry]);
    return put_off(e, entry, counts);
  }
  cast_frame *f = open_frame(e, FRAME_TABLE, lua_gettop(L), entry);
  f->counts = counts;
  f->tag = counts - 1;
  lua_pushnil(L);
  return false;
}

/* Whether the key of the pair on the stack continues the array; holes before
   it are filled if the table takes it for one, too. */
static bool in_sequence(cast_encoder *e, cast_frame *f) {
  lua_State *L = e->L;
  int64_t next = (int64_t)f->i + 1;
#if CAST_LUA >= 503
  if (!lua_isinteger(L, -2)) return false;
  int64_t key = lua_tointeger(L, -2);
#else
  if (lua_type(L, -2) != LUA_TNUMBER) return false;
  double number = lua_tonumber(L, -2);
  if (!(number >= 1 && number <= INT32_MAX)) return false;
  int64_t key = (int64_t)number;
  if ((double)key != number) return false;
#endif
  if (CAST_LIKELY(key == next)) return true;
  if (key < next || key > 2 * next + 32 || key > INT32_MAX ||
      (size_t)key > lua_rawlen(L, f->at))
    return false;
  while (f->i + 1 < (uint32_t)key) {
    cast_encoder_byte(e, WIRE_NIL);
    f->i++;
  }
  return true;
}

/* Writes the key of the pair on the stack; leaves it. */
static bool put_key(cast_encoder *e, cast_frame *f) {
  if (CAST_LIKELY(write_scalar(e, f->at + 1))) return true;
  f->step = STEP_KEY;
  lua_pushvalue(e->L, f->at + 1);
  if (!put(e)) return false;
  f->step = STEP_PAIR;
  return true;
}

/* A metatable that is not complete when its object is gets __gc too late for
   Lua to notice: it is set once more at the end. */
static void check_metatable(
  cast_encoder *e, const cast_frame *f, const void *key) {
  const cast_seen_entry *entry = cast_seen_find(&e->seen, key);
  if (entry == NULL || entry->state <= STATE_LOOSE) return;
  lua_getmetatable(e->L, f->at);
  cast_packer_get(e->L, table_at(e), CAST_SLOT_GC);
  lua_rawget(e->L, -2);
  bool has_gc = !lua_isnil(e->L, -1);
  lua_pop(e->L, 2);
  if (!has_gc) return;
  const cast_seen_entry *object = &e->seen.entries[f->entry];
  cast_remeta *again = cast_encoder_remeta(e);
  again->object = object->seq;
  again->metatable = entry->seq;
  register_object(e, object);
  register_object(e, entry);
}

/* Sees to it that a metatable that has a name is noted. */
static bool seek_name(cast_encoder *e, const void *key) {
  lua_State *L = e->L;
  if (cast_seen_find(&e->seen, key) != NULL || key == e->p->globals)
    return true;
  if (!(cast_names_maybe(e->p, key) && cast_names_find(e->p, L, table_at(e)))) {
    if (!scan(e)) return false;
    if (!cast_names_search_once(e->p, L, table_at(e))) return true;
  }
  lua_pop(L, 1);
  return true;
}

static bool put_metatable(cast_encoder *e, cast_frame *f) {
  if (CAST_LIKELY(!lua_getmetatable(e->L, f->at))) return true;
  const void *key = lua_topointer(e->L, -1);
  f->step = STEP_META;
  e->bytes[f->tag] |= WIRE_META;
  if (!seek_name(e, key) || !put(e)) return false;
  check_metatable(e, f, key);
  return true;
}

/* Goes on with a table's content; true at its end. */
static bool step_table(cast_encoder *e, cast_frame *f) {
  lua_State *L = e->L;
  if (f->step == STEP_META) return true;
  if (f->step == STEP_KEY) {
    f->step = STEP_PAIR;
    if (!put(e)) return false;
  }
  while (lua_next(L, f->at)) {
    if (f->step == STEP_ARRAY && in_sequence(e, f)) {
      f->i++;
    } else {
      f->step = STEP_PAIR;
      f->n++;
      if (!put_key(e, f)) return false;
    }
    if (write_scalar(e, -1))
      lua_pop(L, 1);
    else if (!put(e))
      return false;
  }
  return put_metatable(e, f);
}

/* -- functions ------------------------------------------------------------ */

/* Whether some functions written in Lua are of the library. */
static bool is_library(lua_State *L) {
  if (lua_iscfunction(L, -1)) return true;
#if CAST_LUAJIT
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  return strncmp(ar.short_src, "[builtin:", 9) == 0;
#else
  return false;
#endif
}

static bool put_library(cast_encoder *e, const void *key) {
  lua_State *L = e->L;
  if (cast_names_find(e->p, L, table_at(e))) return put_name(e, key);
  if (!scan(e)) return false;
  if (cast_names_search(e->p, L, table_at(e))) return put_name(e, key);
  fail(e, "C function", "no loaded module has it");
}

static bool is_globals(const cast_encoder *e, int idx) {
  return lua_topointer(e->L, idx) == e->p->globals;
}

/* Whether the function on top has an environment that is not the globals. */
static bool has_environment(cast_encoder *e) {
#if HAS_FENV
  lua_getfenv(e->L, -1);
  bool has = !is_globals(e, -1);
  lua_pop(e->L, 1);
  return has;
#else
  CAST_UNUSED(e);
  return false;
#endif
}

static bool is_pure(cast_encoder *e, uint32_t nups) {
  bool pure = nups == 0;
  if (nups == 1) {
    lua_getupvalue(e->L, -1, 1);
    pure = is_globals(e, -1);
    lua_pop(e->L, 1);
  }
  return pure;
}

static uint32_t count_upvalues(lua_State *L) {
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">u", &ar);
  return (uint32_t)ar.nups;
}

/* The frame of the function on top is open: writes its environment, if that
   is one of its own. */
static void begin_code(cast_encoder *e, cast_frame *f) {
  f->n = count_upvalues(e->L);
  f->step = STEP_UPVALUE;
#if HAS_FENV
  if (!has_environment(e)) return;
  f->step = STEP_ENV;
  e->bytes[f->tag] |= WIRE_ENV;
  lua_getfenv(e->L, f->at);
  put(e);
#endif
}

static bool put_function(cast_encoder *e) {
  lua_State *L = e->L;
  const void *key = lua_topointer(L, -1);
  cast_seen_entry *seen = cast_seen_find(&e->seen, key);
  if (seen != NULL) return put_back(e, seen);
  if (is_library(L)) return put_library(e, key);
  if (!scan(e)) return false;
  cast_encoder_item_room(e);
  cast_bytes *b = cast_code_get(e->p, L, table_at(e), -1);
  cast_encoder_item(e, &b->object);

  uint32_t nups = count_upvalues(L);
  bool pure = !has_environment(e) && is_pure(e, nups);
  bool later = !pure && e->depth >= e->list.limit;
  if (e->anchor_all) anchor(e);
  uint32_t entry = add_object(e, key, pure ? STATE_DONE : STATE_OPEN);
  uint32_t tag = e->size;
  cast_encoder_byte(
    e, WIRE_CODE | (pure ? WIRE_PURE : 0u) | (later ? WIRE_LATER : 0u));
  cast_encoder_byte(e, nups);
  if (pure) {
    lua_pop(L, 1);
    return true;
  }
  if (later) {
    register_object(e, &e->seen.entries[entry]);
    return put_off(e, entry, 0);
  }
  cast_frame *f = open_frame(e, FRAME_CODE, lua_gettop(L), entry);
  f->tag = tag;
  begin_code(e, f);
  return false;
}

/* Writes upvalue i of the frame's function: its value, or where the same
   variable was before. That of the globals is not worth being shared. */
static bool put_upvalue(cast_encoder *e, const cast_frame *f) {
  lua_State *L = e->L;
  lua_getupvalue(L, f->at, (int)f->i);
#if HAS_JOIN
  if (!is_globals(e, -1)) {
    const void *id = lua_upvalueid(L, f->at, (int)f->i);
    cast_seen_entry *entry = cast_seen_find(&e->seen, id);
    if (entry != NULL) {
      register_object(e, entry);
      cast_encoder_byte(e, WIRE_JOIN);
      cast_encoder_u32(e, entry->seq);
      cast_encoder_byte(e, entry->state);
      lua_pop(L, 1);
      return true;
    }
    entry = cast_seen_add(&e->seen, id);
    if (entry == NULL) cast_encoder_nomem(e);
    entry->tag = e->seen.entries[f->entry].tag;
    entry->seq = e->seen.entries[f->entry].seq;
    entry->state = f->i;
  }
#endif
  return put(e);
}

static bool step_code(cast_encoder *e, cast_frame *f) {
  f->step = STEP_UPVALUE;
  while (f->i < f->n) {
    f->i++;
    if (!put_upvalue(e, f)) return false;
  }
  return true;
}

/* -- all types ------------------------------------------------------------ */

static _Noreturn void fail_userdata(cast_encoder *e) {
  const char *name = NULL;
  if (luaL_getmetafield(e->L, -1, "__name")) name = lua_tostring(e->L, -1);
  lua_pushfstring(
    e->L, name != NULL ? "a %s has no __save" : "no __save", name);
  fail(e, "userdata", lua_tostring(e->L, -1));
}

static bool put_userdata(cast_encoder *e) {
  lua_State *L = e->L;
  cast_object *o = cast_handle_test(L, -1);
  if (o != NULL) {
    cast_encoder_item_room(e);
    cast_encoder_item(e, cast_ref(o));
    cast_encoder_byte(e, WIRE_HANDLE);
    lua_pop(L, 1);
    return true;
  }
  const void *key = lua_topointer(L, -1);
  cast_seen_entry *seen = cast_seen_find(&e->seen, key);
  if (seen != NULL) return put_back(e, seen);
  if (lua_getmetatable(L, -1)) {
    if (has_save(e)) return put_saved(e, key);
    lua_pop(L, 1);
  }
  fail_userdata(e);
}

static bool put(cast_encoder *e) {
  if (write_scalar(e, -1)) {
    lua_pop(e->L, 1);
    return true;
  }
  switch (lua_type(e->L, -1)) {
  case LUA_TTABLE: return put_table(e);
  case LUA_TFUNCTION: return put_function(e);
  case LUA_TUSERDATA: return put_userdata(e);
  case LUA_TTHREAD: fail(e, "coroutine", NULL);
  default: fail(e, luaL_typename(e->L, -1), NULL);
  }
}

/* -- the loop ------------------------------------------------------------- */

/* Begins the content of the next object of this list that was put off. */
static bool open_work(cast_encoder *e) {
  lua_State *L = e->L;
  if (e->nwork <= e->list.mark) return false;
  cast_work w = e->work[--e->nwork];
  lua_rawgeti(L, e->base + CAST_AT_ANCHORS, (int)w.anchor);
  bool is_table = lua_istable(L, -1);
  cast_frame *f =
    open_frame(e, is_table ? FRAME_TABLE : FRAME_CODE, lua_gettop(L), w.entry);
  f->value = w.value;
  f->levels = w.levels;
  f->hint = w.hint;
  e->seen.entries[w.entry].state = STATE_OPEN;
  cast_encoder_byte(e, WIRE_BODY);
  cast_encoder_u32(e, e->seen.entries[w.entry].seq);
  f->counts = e->size;
  cast_encoder_u32(e, 0);
  cast_encoder_u32(e, 0);
  f->tag = e->size;
  cast_encoder_byte(e, 0);
  if (is_table)
    lua_pushnil(L);
  else
    begin_code(e, f);
  return true;
}

/* Goes on with a list: its values, then the work put off in it. */
static bool step_list(cast_encoder *e, cast_frame *f) {
  while (f->i < f->n) {
    f->i++;
    lua_pushvalue(e->L, f->at + (int)f->i);
    if (!put(e)) return false;
  }
  return !open_work(e);
}

static void close_save(cast_encoder *e, const cast_frame *f) {
  cast_encoder_byte(e, WIRE_CALL);
  e->list = f->outer;
  e->saves--;
}

static void close_root(cast_encoder *e) {
  for (uint32_t i = 0; i < e->nremeta; i++) {
    cast_encoder_byte(e, WIRE_REMETA);
    cast_encoder_u32(e, e->remeta[i].object);
    cast_encoder_u32(e, e->remeta[i].metatable);
  }
}

static void put_counts(cast_encoder *e, uint32_t at, const cast_frame *f) {
  if (at == 0) return;
  bool is_table = f->kind == FRAME_TABLE;
  wire_put_u32(e->bytes + at, is_table ? f->i : f->n);
  wire_put_u32(e->bytes + at + 4, is_table ? f->n : 0);
}

/* The object of the last frame is written. */
static void close_frame(cast_encoder *e) {
  const cast_frame *f = top_frame(e);
  e->depth--;
  if (f->kind == FRAME_ROOT) {
    close_root(e);
    return;
  }
  if (f->kind == FRAME_SAVE) close_save(e, f);
  put_counts(e, f->counts, f);
  put_counts(e, f->hint, f);
  e->seen.entries[f->entry].state = f->loose ? STATE_LOOSE : STATE_DONE;
  if (f->loose) top_frame(e)->loose = true;
  lua_settop(e->L, f->at - 1);
}

static void run(cast_encoder *e) {
  while (e->depth > 0 && !e->again) {
    cast_frame *f = top_frame(e);
    bool done;
    switch (f->kind) {
    case FRAME_TABLE: done = step_table(e, f); break;
    case FRAME_CODE: done = step_code(e, f); break;
    default: done = step_list(e, f); break;
    }
    if (done) close_frame(e);
  }
}

void cast_encode(cast_packer *p, lua_State *L, int first, int n,
  const char *what, int base, cast_msg *out) {
  cast_encoder *e = cast_encoder_take(p, L);
  e->what = what != NULL ? what : "argument";
  e->number = base + 1;
  do {
    cast_encoder_reset(e);
    lua_settop(L, e->base + CAST_AT_ANCHORS);
    cast_frame *f = open_frame(e, FRAME_ROOT, first - 1, 0);
    f->n = (uint32_t)n;
    e->list.limit = 1 + CAST_PACK_DEPTH;
    run(e);
  } while (e->again);
  int top = e->base;
  cast_encoder_finish(e, (uint32_t)n, out);
  lua_settop(L, top);
}
