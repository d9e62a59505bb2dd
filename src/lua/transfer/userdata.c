/* userdata.c - writes userdata into an encoder.
   SPDX-License-Identifier: MIT

   Userdata is memory of C code's, so it is never copied. There are three ways:
   a handle of ours is a reference to what it stands for; an object with a
   __save is replaced by a constructor; and a transferable object lets its
   content move (transferable.c). All others are errors.

   Owner: the encoder. */
#include "userdata.h"

#include "../../../include/casting.h"
#include "../../object.h"
#include "../compat/compat.h"
#include "../state/handle.h"
#include "dataonly.h"
#include "encoder.h"
#include "memo.h"
#include "pack.h"
#include "packer.h"
#include "save.h"
#include "transferable.h"
#include "wire.h"

/* The class's name, which from 5.3 on is in the metatable, says which it is. */
static cast_put refuse_userdata(cast_encoder *e) {
  const char *name = NULL;
  if (luaL_getmetafield(e->L, -1, "__name")) name = lua_tostring(e->L, -1);
  lua_pushfstring(
    e->L, name != NULL ? "a %s has no __save" : "no __save", name);
  return cast_encoder_refuse(e, "userdata", lua_tostring(e->L, -1));
}

/* A class of ours may say, in a metamethod, why `take` would take nothing of
   the userdata on the top: then that is an error. False: it is none that says
   so. */
static bool check_transferable(cast_encoder *e, const casting_transfer *how) {
  lua_State *L = e->L;
  if (!luaL_callmeta(L, lua_gettop(L), "__refused")) return false;
  if (lua_type(L, -1) == LUA_TSTRING)
    cast_encoder_fail(e, how->name, lua_tostring(L, -1));
  lua_pop(L, 1);
  return true;
}

/* What moves in results does so later (crossing.c), where an error has no path
   any more. So here it is tried, and put back at once. */
static void try_transferable(cast_encoder *e, const casting_transfer *how) {
  int i = lua_gettop(e->L);
  void *content;
  if (check_transferable(e, how)) return;
  content = how->take(e->L, i);
  if (content == NULL)
    cast_encoder_fail(e, how->name, "it is empty, or in use");
  how->put(e->L, i, content);
}

/* The metatable is on top, the userdata below. Here its place in the message is
   made, an empty box; its content moves in when the message is complete, so an
   error before leaves the userdata as it was. The packer's table knows for each
   box which userdata it is for. After a refusal the message is written once
   more, and meets the userdata again here, where its path is known. */
static cast_put put_transferable(
  cast_encoder *e, const void *key, const casting_transfer *how) {
  lua_State *L = e->L;
  int t = cast_encoder_table(e);
  lua_pop(L, 1);
  if (key == e->call.refused || cast_pack_tries(e->call.how))
    (void)check_transferable(e, how);
  if (key == e->call.refused)
    cast_encoder_fail(e, how->name, "it is empty, or in use");
  if (e->call.how == CAST_PACK_COPY || e->call.how == CAST_PACK_LOADER)
    cast_encoder_fail(
      e, how->name, "it moves, but this may be sent more than once");
  if (e->call.how == CAST_PACK_TELL)
    cast_encoder_fail(
      e, how->name, "it moves, but who is only told of the end takes nothing");
  if (e->call.results != NULL) try_transferable(e, how);
  cast_encoder_item_room(e);
  cast_transferable *b = cast_transferable_new(e->p, L, t, how);
  if (b == NULL) cast_encoder_nomem(e);
  cast_encoder_item(e, &b->object);
  cast_packer_get(L, t, CAST_SLOT_TRANSFERRED);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, b);
  lua_pop(L, 1);
  cast_encoder_anchor(e);
  cast_encoder_add(e, key, CAST_MEMO_DONE);
  cast_encoder_byte(e, WIRE_NAME | WIRE_TRANSFERRED);
  e->out.moves = true;
  lua_pop(L, 1);
  return CAST_PUT_DONE;
}

/* There is one class of which that is said: tasks. */
static void note_giving(cast_encoder *e, const cast_object *o) {
  const cast_giving *giving = cast_handle_giving(e->L, o);
  if (giving != NULL) e->out.giving = giving;
}

/* Handles are no objects of the wire format: they have no number, as the
   receiver has one handle for each object anyway. That of the task whose
   results these are is no reference, or the task would keep itself (see
   pack.h). */
cast_put cast_userdata_put(cast_encoder *e) {
  lua_State *L = e->L;
  cast_object *o = cast_handle_test(L, -1);
  if (o != NULL) {
    bool self = o == e->call.results;
    if (CAST_UNLIKELY(e->call.data) && !cast_data_is_handle(e->p, o))
      cast_encoder_fail(e, o->type->name, CAST_DATA_ONLY);
    if (!self) note_giving(e, o);
    cast_encoder_item_room(e);
    cast_encoder_item(e, self ? NULL : cast_ref(o));
    cast_encoder_byte(e, WIRE_HANDLE);
    lua_pop(L, 1);
    return CAST_PUT_DONE;
  }
  if (CAST_UNLIKELY(e->call.data))
    cast_encoder_fail(e, "userdata", CAST_DATA_ONLY);
  const void *key = lua_topointer(L, -1);
  cast_memo_entry *seen = cast_memo_find(&e->memo, key);
  if (seen != NULL) return cast_encoder_back(e, seen);
  if (lua_getmetatable(L, -1)) {
    if (cast_save_find(e)) return cast_save_put(e, key);
    const casting_transfer *how =
      cast_transferable_how(L, cast_encoder_table(e));
    if (how != NULL) return put_transferable(e, key, how);
    lua_pop(L, 1);
  }
  return refuse_userdata(e);
}
