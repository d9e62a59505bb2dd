/* save.c - writes objects that have a __save into an encoder.
   SPDX-License-Identifier: MIT

   A __save is the only Lua code that an encoding calls. It may do anything:
   send something itself, wait while other tasks run, change what is being sent,
   drop objects that are in the message already, load modules. Therefore, from
   the first one on, the message is written with care (`careful`): all objects
   of the message are anchored, or the memo might take a new object for one that
   was at the same address; and names are looked for before a table is written,
   as the message cannot begin anew for a name without calling __save twice.

   What a __save returns is a list of its own in the message, with its own limit
   of depth and its own work that is put off (wire.h, 3).

   Owner: the encoder. */
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

/* The first __save of a message has it begin anew, with care, unless no object
   was written yet. The object is in the memo while its __save runs and while
   the result is written, so that a result that leads back to the object is
   found out (cast_encoder_back); it is anchored, for nothing else holds it. */
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
  if (e->p->freed) cast_lua_error(L, "cannot send: the Lua state is closing");
  lua_pushboolean(L, 0); /* the frame's object: what it returned lies behind */
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

/* What was put off in the list is written: only the call is missing. */
void cast_save_end(cast_encoder *e, const cast_frame *f) {
  cast_encoder_byte(e, WIRE_CALL);
  e->walk.list = f->outer;
  e->walk.saves--;
}
