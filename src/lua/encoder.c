/* encoder.c - the memory of an encoding in progress, and its end.
   SPDX-License-Identifier: MIT

   Owner: the packer's state; see encoder.h. */
#include "encoder.h"

#include <stdlib.h>

#include "../mem.h"

/* -- life ----------------------------------------------------------------- */

void cast_encoder_reset(cast_encoder *e) {
  while (e->nitems > 0) {
    cast_object *o = e->items[--e->nitems];
    cast_unref(o);
  }
  cast_seen_clear(&e->seen);
  e->size = WIRE_HEADER;
  e->depth = 0;
  e->nwork = 0;
  e->list = (cast_list_state){0, 0, 0};
  e->nremeta = 0;
  e->nanchors = 0;
  e->seq = 0;
  e->nreg = 0;
  e->saves = 0;
  e->saved = false;
  e->again = false;
}

static void free_array(void *array, uint32_t *capacity) {
  cast_free(array);
  *capacity = 0;
}

static void encoder_fini(cast_encoder *e) {
  cast_encoder_reset(e);
  cast_seen_fini(&e->seen);
  free_array(e->bytes, &e->capacity);
  free_array(e->items, &e->items_capacity);
  free_array(e->frames, &e->frames_capacity);
  free_array(e->work, &e->work_capacity);
  free_array(e->remeta, &e->remeta_capacity);
  e->bytes = NULL;
  e->items = NULL;
  e->frames = NULL;
  e->work = NULL;
  e->remeta = NULL;
}

/* The idle encoder goes only when the state closes. */
static int encoder_gc(lua_State *L) {
  cast_encoder *e = lua_touserdata(L, 1);
  if (e->p->encoder == e) e->p->closed = true;
  encoder_fini(e);
  return 0;
}

void cast_encode_open(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, encoder_gc);
  lua_setfield(L, -2, "__gc");
}

/* Replaces nil or a busy encoder on top by a new one. */
static cast_encoder *encoder_new(cast_packer *p, lua_State *L, int t) {
  cast_encoder *e = cast_lua_newuserdata(L, sizeof *e);
  memset(e, 0, sizeof *e);
  cast_seen_init(&e->seen);
  e->p = p;
  e->size = WIRE_HEADER;
  cast_packer_get(L, t, CAST_SLOT_ENCODER_META);
  lua_setmetatable(L, -2);
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
  if (p->closed) luaL_error(L, "cannot send: the Lua state is closing");
  cast_packer_get(L, base + 1, CAST_SLOT_ENCODER);
  cast_encoder *e = lua_touserdata(L, -1);
  if (e == NULL || e->busy) e = encoder_new(p, L, base + 1);
  lua_pushnil(L);
  e->L = L;
  e->base = base;
  e->busy = true;
  e->scanned = false;
  e->anchor_all = false;
  return e;
}

void cast_encoder_done(cast_encoder *e) {
  bool spare = e->p->encoder != e || e->p->closed;
  e->busy = false;
  if (spare || e->capacity > CAST_PACK_KEEP ||
      e->items_capacity > CAST_PACK_KEEP / sizeof e->items[0] ||
      e->work_capacity > CAST_PACK_KEEP / sizeof e->work[0])
    encoder_fini(e);
  else
    cast_encoder_reset(e);
}

void cast_encoder_raise(cast_encoder *e) {
  lua_State *L = e->L;
  cast_encoder_done(e);
  lua_error(L);
  abort();
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
  uint64_t least = (uint64_t)e->size + more;
  if (least < 512) least = 512;
  if (least > UINT32_MAX) {
    lua_pushliteral(e->L, "cannot send a message of more than 4 GiB");
    cast_encoder_raise(e);
  }
  e->bytes = grow(e, e->bytes, &e->capacity, least, 1);
}

cast_frame *cast_encoder_frame(cast_encoder *e) {
  if (e->depth == e->frames_capacity)
    e->frames = grow(e, e->frames, &e->frames_capacity,
      e->frames_capacity + UINT64_C(1), sizeof *e->frames);
  cast_frame *f = &e->frames[e->depth++];
  memset(f, 0, sizeof *f);
  return f;
}

cast_work *cast_encoder_work(cast_encoder *e) {
  if (e->nwork == e->work_capacity)
    e->work = grow(e, e->work, &e->work_capacity,
      e->work_capacity + UINT64_C(1), sizeof *e->work);
  return &e->work[e->nwork++];
}

cast_remeta *cast_encoder_remeta(cast_encoder *e) {
  if (e->nremeta == e->remeta_capacity)
    e->remeta = grow(e, e->remeta, &e->remeta_capacity,
      e->remeta_capacity + UINT64_C(1), sizeof *e->remeta);
  return &e->remeta[e->nremeta++];
}

void cast_encoder_item_room(cast_encoder *e) {
  if (e->nitems == e->items_capacity)
    e->items = grow(e, e->items, &e->items_capacity,
      e->items_capacity + UINT64_C(1), sizeof(cast_object *));
}

/* -- end ------------------------------------------------------------------ */

/* Writes the header before what was written; returns where it begins. */
static unsigned char *put_header(cast_encoder *e, uint32_t n) {
  bool many = n > WIRE_COUNT_MAX, refs = e->nreg > 0 || e->saved;
  uint32_t size = 1 + (many ? 4u : 0u) + (refs ? 4u : 0u);
  unsigned char *start = e->bytes + (WIRE_HEADER - size), *at = start;
  unsigned flags = many ? WIRE_COUNT : n;
  if (refs) flags |= WIRE_REFS;
  *at++ = (unsigned char)flags;
  if (many) at = wire_put_u32(at, n);
  if (refs) at = wire_put_u32(at, e->nreg);
  CAST_ASSERT(at == e->bytes + WIRE_HEADER);
  return start;
}

void cast_encoder_finish(cast_encoder *e, uint32_t n, cast_msg *out) {
  const unsigned char *start = put_header(e, n);
  uint32_t size = (uint32_t)(e->bytes + e->size - start);
  if (cast_msg_init(out, size, e->nitems) != 0) cast_encoder_nomem(e);
  if (e->nitems > 0)
    memcpy(cast_msg_items(out), e->items, e->nitems * sizeof e->items[0]);
  memcpy(cast_msg_data(out), start, size);
  e->nitems = 0; /* now the message's */
  cast_encoder_done(e);
}
