/* save.c - writes objects that have a __save into an encoder.
   SPDX-License-Identifier: MIT */
#include "save.h"

#include "../../limits.h"
#include "../compat/compat.h"
#include "encoder.h"
#include "memo.h"
#include "packer.h"
#include "wire.h"

bool cast_save_find(cast_encoder *e) {
  cast_packer_get(e->L, cast_encoder_table(e), CAST_SLOT_SAVE);
  lua_rawget(e->L, -2);
  if (!lua_isnil(e->L, -1)) return true;
  lua_pop(e->L, 1);
  return false;
}

/* The error of a __save is on top: adds the path, if it is a string. */
static _Noreturn void fail_save(cast_encoder *e, const char *kind) {
  if (lua_type(e->L, -1) != LUA_TSTRING) cast_encoder_raise(e);
  cast_encoder_fail(e, kind, lua_tostring(e->L, -1));
}

cast_put cast_save_put(cast_encoder *e, const void *key) {
  lua_State *L = e->L;
  lua_replace(L, -2);
  lua_insert(L, -2);
  if (!e->known.careful) {
    e->known.careful = true;
    if (e->out.seq > 0) return CAST_PUT_AGAIN;
  }
  const char *kind = luaL_typename(L, -1);
  if (e->walk.saves == CAST_SAVE_DEPTH)
    cast_encoder_fail(e, kind, "__save results lie too deep in each other");
  int at = lua_gettop(L) - 1;
  cast_encoder_anchor(e);
  uint32_t entry = cast_encoder_add(e, key, CAST_MEMO_SAVING);
  if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) fail_save(e, kind);
  lua_pushboolean(L, 0); /* a place for the list */
  lua_insert(L, at);
  cast_encoder_rescan(e);
  uint32_t n = (uint32_t)(lua_gettop(L) - at);
  if (n == 0 || !(lua_isfunction(L, at + 1) || lua_istable(L, at + 1)))
    cast_encoder_fail(e, kind, "its __save returned no constructor");
  cast_encoder_stack(e);
  cast_encoder_byte(e, WIRE_SAVE);
  cast_encoder_u32(e, n);
  cast_frame *f = cast_encoder_open(e, CAST_FRAME_SAVE, at, entry);
  f->n = n;
  f->outer = e->walk.list;
  e->walk.list = (cast_list_state){.mark = e->walk.nwork,
    .limit = e->walk.depth + CAST_PACK_DEPTH,
    .save = entry};
  e->walk.saves++;
  e->out.saved = true;
  return CAST_PUT_OPENED;
}

void cast_save_end(cast_encoder *e, const cast_frame *f) {
  cast_encoder_byte(e, WIRE_CALL);
  e->walk.list = f->outer;
  e->walk.saves--;
}
