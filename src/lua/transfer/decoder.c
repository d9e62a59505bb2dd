/* decoder.c - the frames of a decoding in progress, and its errors.
   SPDX-License-Identifier: MIT

   The errors are those of the program's: a constructor that fails, a module
   that is not there, no memory. They tell the place in the message, as the
   frames know it. A damaged message is told of without: its frames mean
   nothing.

   Owner: cast_unpack; see decoder.h. */
#include "decoder.h"

#include "../../account.h"
#include "../../base.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "packer.h"
#include "path.h"
#include "transferable.h"
#include "wire.h"

/* No encoder writes more frames in each other: CAST_PACK_DEPTH levels and a
   list, in the message and in each open __save. */
#define FILLS_MAX ((CAST_SAVE_DEPTH + 1) * (CAST_PACK_DEPTH + 2))

/* -- errors --------------------------------------------------------------- */

/* Adds the step from the object of a frame to its child. */
static void path_of_frame(
  cast_decoder *d, const cast_fill *f, cast_path *path) {
  const char *name;
  if (f->kind == CAST_FILL_SAVE) {
    cast_path_word(
      path, f->i == 0 ? "constructor" : "argument of __save", NULL);
    return;
  }
  switch (f->step) {
  case CAST_NEXT_ITEM: cast_path_index(path, f->i + 1); break;
  case CAST_NEXT_KEY: cast_path_word(path, "a key", NULL); break;
  case CAST_NEXT_VALUE: cast_path_key(path, d->L, f->at + 1); break;
  case CAST_NEXT_META: cast_path_word(path, "metatable", NULL); break;
  case CAST_NEXT_ENV: cast_path_word(path, "environment", NULL); break;
  default:
    name = lua_getupvalue(d->L, f->at, (int)f->i + 1);
    if (name != NULL) lua_pop(d->L, 1);
    cast_path_word(path, "upvalue", name != NULL ? name : "?");
    break;
  }
}

/* Pushes "value 2: .a.b" for what the frames are about. Objects that were put
   off have lost the path to them: "value: ... .b". */
static void push_path(cast_decoder *d) {
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

/* An error value that is no string may be the program's own: it is raised as it
   is. So is a lack of memory, which has nothing to do with the place. */
void cast_decoder_fail(cast_decoder *d) {
  lua_State *L = d->L;
  if (lua_type(L, -1) == LUA_TSTRING && !cast_is_memory_error(L, -1)) {
    luaL_checkstack(L, CAST_FILL_SPARE, "error message");
    cast_lua_where(L);
    push_path(d);
    lua_pushfstring(L, "%scannot receive %s (%s): %s", lua_tostring(L, -2),
      lua_tostring(L, -4), lua_tostring(L, -1), lua_tostring(L, -3));
  }
  lua_error(L);
  cast_panic(__FILE__, __LINE__, "lua_error returned");
}

void cast_decoder_fail_at(cast_decoder *d, const char *thing) {
  lua_pushstring(d->L, thing);
  lua_insert(d->L, -2);
  cast_decoder_fail(d);
}

/* -- references ----------------------------------------------------------- */

/* Strings, boxes and charges have no handles; all other types do. */
static bool has_handle(const cast_object *o) {
  return o->type != &cast_bytes_type && o->type != &cast_transferable_type &&
         o->type != &cast_charge_type;
}

/* A NULL is the handle of a task in its own results. It is none of a message
   that is received: a join gets one with a reference there
   (cast_msg_complete). */
cast_object *cast_decoder_item(cast_decoder *d, const cast_type *type) {
  cast_object *o = d->item < d->items_end ? *d->item++ : NULL;
  if (o == NULL) cast_decoder_corrupt(d);
  if (type != NULL ? o->type != type : !has_handle(o)) cast_decoder_corrupt(d);
  return o;
}

cast_bytes *cast_decoder_shared(cast_decoder *d) {
  return CAST_CONTAINER(
    cast_decoder_item(d, &cast_bytes_type), cast_bytes, object);
}

/* -- objects -------------------------------------------------------------- */

void cast_decoder_reserve(cast_decoder *d, uint32_t n) {
  if (n > (size_t)(d->end - d->at) || n > CAST_VALUES_MAX)
    cast_decoder_corrupt(d);
  cast_packer_stack(d->L, (int)n + CAST_FILL_ROOM);
}

void cast_decoder_keep(cast_decoder *d, uint32_t seq) {
  if (!d->has_refs) cast_decoder_corrupt(d);
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->base + 1, (int)seq);
}

void cast_decoder_add(cast_decoder *d, unsigned flags) {
  uint32_t seq = d->seq++;
  if ((flags & WIRE_REG) != 0) cast_decoder_keep(d, seq);
}

void cast_decoder_push(cast_decoder *d, uint32_t seq) {
  if (!d->has_refs || seq >= d->seq) cast_decoder_corrupt(d);
  lua_rawgeti(d->L, d->base + 1, (int)seq);
  if (lua_isnil(d->L, -1)) cast_decoder_corrupt(d);
}

/* More frames than usual: __save in __save. They are in a userdata below the
   values, as nothing frees memory of C's when an error passes by. A message
   without references has no place for it, and no __save. */
static void grow_frames(cast_decoder *d) {
  uint32_t capacity = 4 * d->capacity;
  if (!d->has_refs || d->depth >= FILLS_MAX) cast_decoder_corrupt(d);
  cast_fill *more = cast_lua_newuserdata(d->L, capacity * sizeof *more);
  memcpy(more, d->frames, d->depth * sizeof *more);
  lua_replace(d->L, d->base + 2);
  d->frames = more;
  d->capacity = capacity;
}

cast_fill *cast_decoder_open(
  cast_decoder *d, unsigned kind, int at, uint32_t n) {
  if (d->depth % CAST_FILLS_STEP == 0) cast_packer_stack(d->L, CAST_FILL_ROOM);
  if (d->depth == d->capacity) grow_frames(d);
  cast_fill *f = &d->frames[d->depth++];
  *f = (cast_fill){.kind = (unsigned char)kind, .at = at, .n = n};
  return f;
}
