/* encoder.c - the memory of an encoding in progress, and its end.
   SPDX-License-Identifier: MIT

   What encode.c and its like do with an encoder: take it and give it back, make
   its arrays grow, name the place of an error, undo a part, make a message.

   An encoder is taken for each message and given back idle, with its arrays, so
   that a state that sends much does not allocate for it. What a large message
   has made them grow to is freed at once, beyond CAST_PACK_KEEP.

   Owner: the packer's state; see encoder.h. */
#include "encoder.h"

#include "../../account.h"
#include "../../base.h"
#include "../../block.h"
#include "../../limits.h"
#include "../../list.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
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

/* Slots of the Lua stack, for each frame: table, key, value, key again. */
#define FRAME_SLOTS 4

/* And once: for what is done with a value, or for an error. */
#define SPARE_SLOTS 12

/* -- life ----------------------------------------------------------------- */

/* `call` and `known` stay: a message that begins anew is the same one. */
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
  e->out.giving = NULL;
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

/* Frees all arrays: the encoder is as new. */
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
  cast_account_give(e->p->account, CAST_BYTES, e->charged);
  e->charged = 0;
}

/* A closing state does not finalize userdata that are made meanwhile, and one
   that was collected without memory for its finalizer is there no more: so all
   encoders are freed here, and a finalizer that comes later leaves its own
   alone. Only those stay, empty, that somebody may be in: where a task is stuck
   for good, perhaps in a __save; and before 5.4, where a collection within a
   finalizer that lua_close runs can call this while that finalizer sends. */
void cast_encoder_close(cast_packer *p) {
  cast_list *node;
  while ((node = cast_list_shift(&p->encoders)) != NULL) {
    cast_encoder *e = CAST_CONTAINER(node, cast_encoder, link);
    bool in_use = e->busy && CAST_LUA < 504 && p->runner != NULL;
    encoder_fini(e);
    if (!p->stuck && !in_use) cast_free(e);
  }
}

/* The packer's table keeps the idle encoder, so it is finalized only when the
   state closes. Then a busy one may belong to a task that waits in a __save:
   the first finalizer of ours ends the host (see finalizer.h), which lets that
   task unwind, and while that is under way the encoder is kept. A busy encoder
   that is finalized otherwise is one that an error has passed over. */
static int encoder_gc(lua_State *L) {
  cast_encoder **at = lua_touserdata(L, 1), *e = *at;
  cast_packer *p = lua_touserdata(L, lua_upvalueindex(1));
  if (e == NULL || p->freed) return 0;
  if (p->end != NULL && !p->closed &&
      !p->end(L, cast_finalizer_is_closing(L, at))) {
    cast_finalizer_keep(L, 1);
    return 0;
  }
  if (p->freed) return 0; /* by that */
  if (p->encoder == e) p->closed = true;
  cast_list_remove(&e->link);
  encoder_fini(e);
  *at = NULL;
  cast_free(e);
  return 0;
}

/* Replaces nil or a busy encoder on top by a new one, which is the packer's
   from now on. It is in the packer's list before it has anything to free. */
static cast_encoder *encoder_new(cast_packer *p, lua_State *L, int t) {
  cast_encoder **at = cast_lua_newuserdata(L, sizeof *at), *e;
  *at = NULL;
  cast_packer_meta(p, L, t, CAST_SLOT_ENCODER_META, encoder_gc);
  lua_setmetatable(L, -2);
  cast_finalizer_add(L, at);
  e = cast_calloc(sizeof *e);
  if (e == NULL) cast_raise_memory(L);
  *at = e;
  cast_memo_init(&e->memo, p->account);
  e->p = p;
  e->out.size = WIRE_HEADER;
  e->out.tree = true;
  cast_list_push(&p->encoders, &e->link);
  lua_replace(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, t, CAST_SLOT_ENCODER);
  p->encoder = e;
  return e;
}

/* The encoder becomes busy after the last line that may raise. A busy one is
   met here when a __save or a finalizer sends something within a send, or after
   an error has passed over cast_pack. */
cast_encoder *cast_encoder_take(cast_packer *p, lua_State *L) {
  cast_packer_stack(L, LUA_MINSTACK);
  int base = lua_gettop(L);
  cast_packer_table(p, L);
  if (p->closed) cast_lua_error(L, "cannot send: the Lua state is closing");
  cast_packer_get(L, base + 1, CAST_SLOT_ENCODER);
  cast_encoder **at = lua_touserdata(L, -1);
  cast_encoder *e = at != NULL ? *at : NULL;
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

/* An encoder that is not the packer's any more was replaced while it was busy:
   it will not be used again. */
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
  cast_raise_memory(L);
}

/* -- growth --------------------------------------------------------------- */

/* What a sandbox sends may take far more memory than it has in its state, as it
   can contain a string any number of times. */
static void charge(cast_encoder *e, size_t bytes) {
  if (!cast_account_take(e->p->account, CAST_BYTES, bytes))
    cast_encoder_nomem(e);
  e->charged += bytes;
}

/* Makes an array larger, by doubling, so that it has room for `least` elements.
   When it raises the array is as it was. Numbers of elements are u32 all over:
   messages are limited to 4 GiB. */
static void *grow(cast_encoder *e, void *array, uint32_t *capacity,
  uint64_t least, size_t element) {
  uint64_t more = *capacity == 0 ? 16 : 2 * (uint64_t)*capacity;
  while (more < least) more *= 2;
  if (more > UINT32_MAX) more = UINT32_MAX;
  if (more < least || more > SIZE_MAX / element) cast_encoder_nomem(e);
  charge(e, (size_t)(more - *capacity) * element);
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

/* The table of anchors is made for the first: most messages need none. */
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

/* The flag is set in the tag of the object's header, also if its content came
   later, in a BODY: the decoder reads the header first. */
void cast_encoder_register(cast_encoder *e, const cast_memo_entry *entry) {
  if ((e->out.bytes[entry->tag] & WIRE_REG) != 0) return;
  e->out.bytes[entry->tag] |= WIRE_REG;
  e->out.nreg++;
}

/* Depth is limited in every list, so only lists in each other can use up Lua's
   stack; else it has no memory. */
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

/* A large string: the message gets a reference to shared bytes (sharedstr.c)
   instead of a copy. */
static void put_shared(cast_encoder *e, int idx) {
  cast_encoder_item_room(e);
  cast_bytes *b = cast_sharedstr_get(e->p, e->L, cast_encoder_table(e), idx);
  if (b == NULL) cast_encoder_nomem(e);
  cast_encoder_item(e, &b->object);
  cast_encoder_byte(e, WIRE_SHARED);
}

/* Strings of up to WIRE_STR_MAX bytes are written where they are met, by
   cast_scalar_put. */
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

/* Adds the step from the object of a frame to its child. */
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

/* The innermost frame whose parents are not on the stack, as its object was put
   off; or 0, the message itself. */
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

/* Pushes "(argument 2: .a.b)" for what the frames are about. For an object that
   was put off the steps that led to it are forgotten: their number is shown. */
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

/* The position in front is that of the call that sends, as luaL_error would put
   it; where nothing is sent (CAST_PACK_TRY) there is none. */
void cast_encoder_fail(cast_encoder *e, const char *kind, const char *reason) {
  lua_State *L = e->L;
  (void)lua_checkstack(L, SPARE_SLOTS);
  if (cast_pack_tries(e->call.how))
    lua_pushliteral(L, "");
  else
    cast_lua_where(L);
  push_path(e);
  lua_pushfstring(L,
    reason != NULL ? "%scannot send a %s %s: %s" : "%scannot send a %s %s",
    lua_tostring(L, -2), kind, lua_tostring(L, -1), reason);
  cast_encoder_raise(e);
}

/* Undoes what was written since frame k, that of a function, was opened: bytes,
   references, objects in the memo and what was put off; and closes the frames
   from k on. Bits that were set in earlier tags (WIRE_REG) stay: they cost the
   decoder a slot in a table, and nothing else. */
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

/* Something in the frames can not be sent. Is there a function around it that
   is in a module? Then writes its name in place of all that was written of it:
   the receiver has a function of its own under that name. The innermost one is
   taken. Functions are not all looked for by name in the first place, as that
   takes a search through all modules for each; most can simply be copied.

   It cannot be one that was put off itself, whose header is in the message
   already; and after the work of an outer list was taken over (`flushed`), what
   was written since cannot be undone. */
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

/* Is a table around the object on top? One may have been around a body. */
static bool is_within_table(const cast_encoder *e) {
  for (uint32_t k = e->walk.depth; --k > 0;)
    if (e->walk.frames[k].kind == CAST_FRAME_TABLE ||
        e->walk.frames[k].value != 0)
      return true;
  return false;
}

cast_put cast_encoder_refuse(
  cast_encoder *e, const char *kind, const char *reason) {
  if (CAST_UNLIKELY(e->call.data)) cast_encoder_fail(e, kind, reason);
  /* A table around it may be a metatable in a module, and not have been asked
     yet: which of its keys comes first is chance. */
  if (!e->known.careful && is_within_table(e)) {
    e->known.careful = true;
    return CAST_PUT_AGAIN;
  }
  if (try_by_name(e)) return CAST_PUT_UNWOUND;
  if (!e->known.names_first && last_body(e) > 0) {
    /* The object was put off, so the function around it may be one whose frame
       is gone: with names first, it is not opened at all. */
    e->known.names_first = true;
    return CAST_PUT_AGAIN;
  }
  cast_encoder_fail(e, kind, reason);
}

/* -- what most objects need ----------------------------------------------- */

/* A back reference keeps sharing and cycles. But the arguments of a constructor
   must be complete when it is called (wire.h, 4). So in a __save's list a
   reference to an object from before that list, which is not complete, has all
   the work of outer lists written in this one. */
cast_put cast_encoder_back(cast_encoder *e, cast_memo_entry *entry) {
  if (entry->state == CAST_MEMO_SAVING)
    cast_encoder_fail(
      e, luaL_typename(e->L, -1), "its __save returns it again");
  if (entry->state != CAST_MEMO_DONE) {
    cast_encoder_top(e)->loose = true;
    /* An open object is an exception: it contains the constructor's object, so
       no order would do. */
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

/* The path to the object is noted along with it, for errors in its content; it
   is anchored, as only the list of work knows it from now on. */
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

/* Objects that go by name have a number, too: the second time one is met it is
   a back reference, and so the same object even if the module changes. */
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

/* Writes the header before what was written, in the room that was left for the
   longest one; returns where it begins. Only now its numbers are known. */
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

/* The charge of a sandbox's message is the last of its objects: not read. */
static void put_charge(cast_encoder *e, uint32_t size) {
  cast_object *o;
  cast_encoder_item_room(e);
  o = cast_packer_charge(e->p, e->L, size, e->out.items, e->out.nitems);
  if (o == NULL) cast_encoder_nomem(e);
  cast_encoder_item(e, o);
}

/* The references move with the bytes, so from the last copy on nothing of the
   message belongs to the encoder. */
void cast_encoder_finish(cast_encoder *e, uint32_t n, cast_msg *out) {
  const unsigned char *start = put_header(e, n);
  uint32_t size = (uint32_t)(e->out.bytes + e->out.size - start);
  cast_blocks *blocks = cast_packer_blocks(e->p);
  if (CAST_UNLIKELY(e->p->account != NULL)) put_charge(e, size);
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
