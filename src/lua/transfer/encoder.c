/* encoder.c - the memory of an encoding in progress, and its end.
   SPDX-License-Identifier: MIT

   Owner: the packer's state; see encoder.h. */
#include "encoder.h"

#include "../../base.h"
#include "../../block.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../compat/finalizer.h"
#include "../compat/single.h"
#include "memo.h"
#include "names.h"
#include "pack.h"
#include "packer.h"
#include "path.h"
#include "sharedstr.h"
#include "wire.h"

#define STACK_FRAMES CAST_FRAMES_STEP

#define FRAME_SLOTS 4 /* of the Lua stack: table, key, value, key again */

#define SPARE_SLOTS 12 /* for what is done with a value */

/* -- life ----------------------------------------------------------------- */

void cast_encoder_reset(cast_encoder *e) {
  while (e->out.nitems > 0) {
    cast_object *o = e->out.items[--e->out.nitems];
    if (o != NULL) cast_unref(o);
  }
  e->out.size = WIRE_HEADER;
  e->out.seq = 0;
  e->out.nreg = 0;
  e->out.tree = true;
  e->out.moves = false;
  e->out.saved = false;
  e->walk.depth = 0;
  e->walk.list = (cast_list_state){0, 0, 0};
  e->walk.nwork = 0;
  e->walk.nremeta = 0;
  e->walk.nanchors = 0;
  e->walk.flushed = 0;
  e->walk.saves = 0;
  cast_memo_clear(&e->memo);
}

static void free_array(void *array, uint32_t *capacity) {
  cast_free(array);
  *capacity = 0;
}

static void encoder_fini(cast_encoder *e) {
  cast_encoder_reset(e);
  cast_memo_fini(&e->memo);
  free_array(e->out.bytes, &e->out.capacity);
  free_array(e->out.items, &e->out.items_capacity);
  free_array(e->walk.frames, &e->walk.frames_capacity);
  free_array(e->walk.work, &e->walk.work_capacity);
  free_array(e->walk.remeta, &e->walk.remeta_capacity);
  e->out.bytes = NULL;
  e->out.items = NULL;
  e->walk.frames = NULL;
  e->walk.work = NULL;
  e->walk.remeta = NULL;
}

void cast_encoder_close(cast_packer *p) {
  cast_list *node;
  while ((node = cast_list_shift(&p->encoders)) != NULL)
    encoder_fini(CAST_CONTAINER(node, cast_encoder, link));
}

/* The idle encoder goes only when the state closes; a busy one may then be
   that of a task that is to go on. */
static int encoder_gc(lua_State *L) {
  cast_encoder *e = lua_touserdata(L, 1);
  if (e->p->end != NULL && !e->p->closed &&
      !e->p->end(L, cast_finalizer_is_closing(L, e))) {
    cast_finalizer_keep(L, 1);
    return 0;
  }
  if (e->p->encoder == e) e->p->closed = true;
  cast_list_remove(&e->link);
  encoder_fini(e);
  return 0;
}

/* Replaces nil or a busy encoder on top by a new one. */
static cast_encoder *encoder_new(cast_packer *p, lua_State *L, int t) {
  static const lua_CFunction gc = encoder_gc;
  cast_encoder *e = cast_lua_newuserdata(L, sizeof *e);
  memset(e, 0, sizeof *e);
  cast_memo_init(&e->memo);
  e->p = p;
  e->out.size = WIRE_HEADER;
  e->out.tree = true;
  (void)cast_single_push_in(L, t, CAST_SLOT_ENCODER_META, cast_make_meta, &gc);
  lua_setmetatable(L, -2);
  cast_list_push(&p->encoders, &e->link);
  cast_finalizer_add(L, e);
  lua_replace(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, t, CAST_SLOT_ENCODER);
  p->encoder = e;
  return e;
}

cast_encoder *cast_encoder_take(cast_packer *p, lua_State *L) {
  cast_packer_stack(L, LUA_MINSTACK);
  int base = lua_gettop(L);
  cast_packer_table(p, L);
  if (p->closed) cast_lua_error(L, "cannot send: the Lua state is closing");
  cast_packer_get(L, base + 1, CAST_SLOT_ENCODER);
  cast_encoder *e = lua_touserdata(L, -1);
  if (e == NULL || e->busy) e = encoder_new(p, L, base + 1);
  lua_pushnil(L);
  e->L = L;
  e->base = base;
  e->busy = true;
  e->known.scanned = false;
  e->known.prepared = false;
  e->known.careful = false;
  e->known.names_first = false;
  e->call.refused = NULL;
  return e;
}

void cast_encoder_done(cast_encoder *e) {
  bool spare = e->p->encoder != e || e->p->closed;
  e->busy = false;
  if (spare || e->out.capacity > CAST_PACK_KEEP ||
      e->out.items_capacity > CAST_PACK_KEEP / sizeof e->out.items[0] ||
      e->walk.work_capacity > CAST_PACK_KEEP / sizeof e->walk.work[0])
    encoder_fini(e);
  else
    cast_encoder_reset(e);
}

void cast_encoder_raise(cast_encoder *e) {
  lua_State *L = e->L;
  cast_encoder_done(e);
  lua_error(L);
  cast_panic(__FILE__, __LINE__, "lua_error returned");
}

void cast_encoder_nomem(cast_encoder *e) {
  lua_State *L = e->L;
  cast_encoder_done(e);
  cast_packer_nomem(L);
}

/* -- growth --------------------------------------------------------------- */

static void *grow(cast_encoder *e, void *array, uint32_t *capacity,
  uint64_t least, size_t element) {
  uint64_t more = *capacity == 0 ? 16 : 2 * (uint64_t)*capacity;
  while (more < least) more *= 2;
  if (more > UINT32_MAX) more = UINT32_MAX;
  if (more < least || more > SIZE_MAX / element) cast_encoder_nomem(e);
  array = cast_realloc(array, (size_t)more * element);
  if (array == NULL) cast_encoder_nomem(e);
  *capacity = (uint32_t)more;
  return array;
}

void cast_encoder_grow(cast_encoder *e, uint32_t more) {
  uint64_t least = (uint64_t)e->out.size + more;
  if (least < 512) least = 512;
  if (least > UINT32_MAX) {
    lua_pushliteral(e->L, "cannot send a message of more than 4 GiB");
    cast_encoder_raise(e);
  }
  e->out.bytes = grow(e, e->out.bytes, &e->out.capacity, least, 1);
}

/* Makes room for one more element in an array that is full. */
static void *grow_by_one(
  cast_encoder *e, void *array, uint32_t *capacity, size_t element) {
  return grow(e, array, capacity, *capacity + UINT64_C(1), element);
}

cast_work *cast_encoder_work(cast_encoder *e) {
  if (e->walk.nwork == e->walk.work_capacity)
    e->walk.work = grow_by_one(
      e, e->walk.work, &e->walk.work_capacity, sizeof *e->walk.work);
  return &e->walk.work[e->walk.nwork++];
}

cast_remeta *cast_encoder_remeta(cast_encoder *e) {
  if (e->walk.nremeta == e->walk.remeta_capacity)
    e->walk.remeta = grow_by_one(
      e, e->walk.remeta, &e->walk.remeta_capacity, sizeof *e->walk.remeta);
  return &e->walk.remeta[e->walk.nremeta++];
}

void cast_encoder_item_room(cast_encoder *e) {
  if (e->out.nitems == e->out.items_capacity)
    e->out.items = grow_by_one(
      e, e->out.items, &e->out.items_capacity, sizeof e->out.items[0]);
}

/* -- objects -------------------------------------------------------------- */

uint32_t cast_encoder_anchor(cast_encoder *e) {
  lua_State *L = e->L;
  int anchors = e->base + CAST_AT_ANCHORS;
  if (lua_isnil(L, anchors)) {
    lua_newtable(L);
    lua_replace(L, anchors);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, anchors, (int)++e->walk.nanchors);
  return e->walk.nanchors;
}

void cast_encoder_register(cast_encoder *e, const cast_memo_entry *entry) {
  if ((e->out.bytes[entry->tag] & WIRE_REG) != 0) return;
  e->out.bytes[entry->tag] |= WIRE_REG;
  e->out.nreg++;
}

void cast_encoder_stack(cast_encoder *e) {
  if (lua_checkstack(e->L, STACK_FRAMES * FRAME_SLOTS + SPARE_SLOTS)) return;
  if (e->walk.saves == 0) cast_encoder_nomem(e);
  cast_encoder_fail(e, "value", "__save results lie too deep in each other");
}

void cast_encoder_frames(cast_encoder *e) {
  if (e->walk.depth % STACK_FRAMES == 0) cast_encoder_stack(e);
  if (e->walk.depth == e->walk.frames_capacity)
    e->walk.frames = grow_by_one(
      e, e->walk.frames, &e->walk.frames_capacity, sizeof *e->walk.frames);
}

static void put_shared(cast_encoder *e, int idx) {
  cast_encoder_item_room(e);
  cast_bytes *b = cast_sharedstr_get(e->p, e->L, cast_encoder_table(e), idx);
  if (b == NULL) cast_encoder_nomem(e);
  cast_encoder_item(e, &b->object);
  cast_encoder_byte(e, WIRE_SHARED);
}

void cast_encoder_string(cast_encoder *e, int idx) {
  size_t size;
  const char *s = lua_tolstring(e->L, idx, &size);
  if (size >= CAST_SHARED_STRING) {
    put_shared(e, idx);
    return;
  }
  unsigned char *at = cast_encoder_room(e, (uint32_t)size + 5);
  if (size <= UINT8_MAX) {
    *at++ = WIRE_STR8;
    *at++ = (unsigned char)size;
  } else {
    *at++ = WIRE_STR32;
    at = wire_put_u32(at, (uint32_t)size);
  }
  e->out.size = (uint32_t)(wire_put(at, s, size) - e->out.bytes);
}

/* -- errors --------------------------------------------------------------- */

static void path_of_frame(
  cast_encoder *e, const cast_frame *f, cast_path *path) {
  const char *name;
  switch (f->step) {
  case CAST_STEP_ARRAY: cast_path_index(path, f->i); break;
  case CAST_STEP_PAIR: cast_path_key(path, e->L, f->at + 1); break;
  case CAST_STEP_KEY: cast_path_word(path, "a key", NULL); break;
  case CAST_STEP_META: cast_path_word(path, "metatable", NULL); break;
  case CAST_STEP_ENV: cast_path_word(path, "environment", NULL); break;
  default:
    name = lua_getupvalue(e->L, f->at, (int)f->i);
    if (name != NULL) lua_pop(e->L, 1);
    cast_path_word(path, "upvalue", name != NULL ? name : "?");
    break;
  }
}

/* The innermost frame whose parents are not on the stack, or 0. */
static uint32_t last_body(const cast_encoder *e) {
  uint32_t k = e->walk.depth;
  while (--k > 0)
    if (e->walk.frames[k].value != 0) break;
  return k;
}

uint32_t cast_encoder_where(const cast_encoder *e, uint32_t *levels) {
  uint32_t body = last_body(e);
  *levels = e->walk.depth - 1 - body + e->walk.frames[body].levels;
  return body > 0 ? e->walk.frames[body].value : e->walk.frames[0].i;
}

/* Pushes "(argument 2: .a.b)" for what the frames are about. */
static void push_path(cast_encoder *e) {
  cast_path path;
  uint32_t levels, first = last_body(e);
  uint32_t value = cast_encoder_where(e, &levels);
  cast_path_start(&path, e->call.what, e->call.number - 1 + (int)value);
  if (first == 0)
    first = 1;
  else
    cast_path_gap(&path, e->walk.frames[first].levels);
  for (uint32_t k = first; k < e->walk.depth; k++) {
    const cast_frame *f = &e->walk.frames[k];
    if (!cast_path_shows(&path, k - first, e->walk.depth - first)) continue;
    if (f->kind == CAST_FRAME_SAVE)
      cast_path_word(
        &path, f->i == 1 ? "constructor" : "argument of __save", NULL);
    else
      path_of_frame(e, f, &path);
  }
  lua_pushfstring(e->L, "(%s)", path.text);
}

void cast_encoder_fail(cast_encoder *e, const char *kind, const char *reason) {
  lua_State *L = e->L;
  (void)lua_checkstack(L, SPARE_SLOTS);
  if (e->call.how == CAST_PACK_TRY)
    lua_pushliteral(L, "");
  else
    cast_lua_where(L);
  push_path(e);
  lua_pushfstring(L,
    reason != NULL ? "%scannot send a %s %s: %s" : "%scannot send a %s %s",
    lua_tostring(L, -2), kind, lua_tostring(L, -1), reason);
  cast_encoder_raise(e);
}

/* Undoes what was written since frame k, that of a function, was opened. */
static void roll_back(cast_encoder *e, uint32_t k) {
  const cast_frame *f = &e->walk.frames[k];
  for (uint32_t i = e->walk.depth; --i > k;) {
    if (e->walk.frames[i].kind != CAST_FRAME_SAVE) continue;
    e->walk.list = e->walk.frames[i].outer;
    e->walk.saves--;
  }
  while (e->out.nitems > f->before.items) {
    cast_object *o = e->out.items[--e->out.nitems];
    if (o != NULL) cast_unref(o);
  }
  e->out.seq = e->memo.entries[f->entry].seq;
  cast_memo_cut(&e->memo, f->entry);
  e->out.size = f->tag;
  e->walk.nwork = f->before.nwork;
  e->walk.nremeta = f->before.nremeta;
  e->walk.depth = k;
}

/* Whether a function around what can not be sent could go by name, and does. */
static bool try_by_name(cast_encoder *e) {
  lua_State *L = e->L;
  for (uint32_t k = e->walk.depth; --k > 0;) {
    const cast_frame *f = &e->walk.frames[k];
    if (f->kind != CAST_FRAME_CODE || f->value != 0 ||
        f->before.flushed != e->walk.flushed)
      continue;
    lua_pushvalue(L, f->at);
    if (cast_names_search_modules(e->p, L, cast_encoder_table(e))) {
      int at = f->at;
      roll_back(e, k);
      lua_replace(L, at + 1);
      lua_settop(L, at + 1);
      cast_encoder_name(e, lua_topointer(L, at));
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

cast_put cast_encoder_refuse(
  cast_encoder *e, const char *kind, const char *reason) {
  if (try_by_name(e)) return CAST_PUT_UNWOUND;
  if (!e->known.names_first && last_body(e) > 0) {
    /* The function may be one of the frames that are gone. */
    e->known.names_first = true;
    return CAST_PUT_AGAIN;
  }
  cast_encoder_fail(e, kind, reason);
}

/* -- what most objects need ----------------------------------------------- */

cast_put cast_encoder_back(cast_encoder *e, cast_memo_entry *entry) {
  if (entry->state == CAST_MEMO_SAVING)
    cast_encoder_fail(
      e, luaL_typename(e->L, -1), "its __save returns it again");
  if (entry->state != CAST_MEMO_DONE) {
    cast_encoder_top(e)->loose = true;
    /* A constructor is to be given complete arguments. One that is open can
       not be completed before: it contains the constructor's object. */
    if (entry->state != CAST_MEMO_OPEN &&
        entry < &e->memo.entries[e->walk.list.save] && e->walk.list.mark > 0) {
      e->walk.list.mark = 0;
      e->walk.flushed++;
    }
  }
  cast_encoder_register(e, entry);
  cast_encoder_byte(e, WIRE_BACK);
  cast_encoder_u32(e, entry->seq);
  lua_pop(e->L, 1);
  return CAST_PUT_DONE;
}

cast_put cast_encoder_later(cast_encoder *e, uint32_t entry, uint32_t hint) {
  uint32_t levels, value = cast_encoder_where(e, &levels);
  uint32_t key = cast_encoder_anchor(e);
  cast_work *w = cast_encoder_work(e);
  e->out.tree = false;
  *w = (cast_work){key, entry, hint, value, levels};
  e->memo.entries[entry].state = CAST_MEMO_PENDING;
  cast_encoder_top(e)->loose = true;
  lua_pop(e->L, 1);
  return CAST_PUT_DONE;
}

void cast_encoder_scan(cast_encoder *e) {
  if (e->known.scanned) return;
  cast_names_refresh(e->p, e->L, cast_encoder_table(e));
  e->known.scanned = true;
}

void cast_encoder_rescan(cast_encoder *e) {
  e->known.scanned = false;
  e->known.prepared = false;
  cast_encoder_scan(e);
}

cast_put cast_encoder_name(cast_encoder *e, const void *key) {
  size_t size;
  const char *name = lua_tolstring(e->L, -1, &size);
  uint16_t narrow = (uint16_t)size;
  CAST_ASSERT(size <= CAST_NAME_MAX);
  cast_encoder_add(e, key, CAST_MEMO_DONE);
  e->out.tree = false;
  unsigned char *at = cast_encoder_room(e, 3 + narrow);
  *at = lua_istable(e->L, -2) ? WIRE_NAME | WIRE_NAMED : WIRE_NAME;
  at = wire_put(at + 1, &narrow, sizeof narrow);
  e->out.size = (uint32_t)(wire_put(at, name, size) - e->out.bytes);
  lua_pop(e->L, 2);
  return CAST_PUT_DONE;
}

/* -- end ------------------------------------------------------------------ */

/* Writes the header before what was written; returns where it begins. */
static unsigned char *put_header(cast_encoder *e, uint32_t n) {
  bool many = n > WIRE_COUNT_MAX, refs = e->out.nreg > 0 || e->out.saved;
  uint32_t size = 1 + (many ? 4u : 0u) + (refs ? 4u : 0u);
  unsigned char *start = e->out.bytes + (WIRE_HEADER - size), *at = start;
  unsigned flags = many ? WIRE_COUNT : n;
  if (refs) flags |= WIRE_REFS;
  if (e->out.tree && !refs && e->out.nitems == 0) flags |= WIRE_TREE;
  *at++ = (unsigned char)flags;
  if (many) at = wire_put_u32(at, n);
  if (refs) at = wire_put_u32(at, e->out.nreg);
  CAST_ASSERT(at == e->out.bytes + WIRE_HEADER);
  return start;
}

void cast_encoder_finish(cast_encoder *e, uint32_t n, cast_msg *out) {
  const unsigned char *start = put_header(e, n);
  uint32_t size = (uint32_t)(e->out.bytes + e->out.size - start);
  cast_blocks *blocks = cast_packer_blocks(e->p);
  cast_msg_drop(out); /* what a finalizer's failed operation may have left */
  if (cast_msg_init_from(out, size, e->out.nitems, blocks) != 0)
    cast_encoder_nomem(e);
  if (e->out.nitems > 0)
    memcpy(cast_msg_items(out), e->out.items,
      e->out.nitems * sizeof e->out.items[0]);
  memcpy(cast_msg_data(out), start, size);
  e->out.nitems = 0; /* now the message's */
  cast_encoder_done(e);
}
