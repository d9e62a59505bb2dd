/* transferable.c - userdata whose content moves instead of being copied.
   SPDX-License-Identifier: MIT

   Owner: a box belongs to its message. The packer's weak table
   (CAST_SLOT_TRANSFERRED: box -> userdata) remembers where its content came
   from. An entry may outlive its box, but is not mistaken for that of another
   at the same address: it is only looked up for a message that was packed in
   this state, which has made the entry anew. */
#include "transferable.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "names.h"
#include "pack.h"
#include "packer.h"

/* -- boxes ---------------------------------------------------------------- */

/* Takes the content out; NULL: somebody else has. */
static void *empty(cast_transferable *b) {
  /* PAIR moved: what the sender did to the content before what the receiver,
     or who drops it, does. */
  return atomic_exchange_explicit(&b->content, NULL, memory_order_acq_rel);
}

/* The message was dropped, on any thread: content that nobody has received is
   the C module's to free. */
static void transferable_free(cast_object *o) {
  cast_transferable *b = CAST_CONTAINER(o, cast_transferable, object);
  void *content = empty(b);
  if (content != NULL) b->how->drop(content);
  cast_free(b);
}

const cast_type cast_transferable_type = {
  "moved userdata", transferable_free, NULL};

/* -- out ------------------------------------------------------------------ */

/* A struct that is smaller than ours was compiled for an older casting.h. */
const casting_transfer *cast_transferable_how(lua_State *L, int t) {
  const casting_transfer *how = NULL;
  cast_packer_get(L, t, CAST_SLOT_TRANSFER);
  lua_rawget(L, -2);
  if (lua_islightuserdata(L, -1)) how = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return how != NULL && how->size >= sizeof *how ? how : NULL;
}

/* Pushes the weak table of boxes and userdata. */
static void push_origins(lua_State *L, int t) {
  (void)cast_single_push_in(L, t, CAST_SLOT_TRANSFERRED, cast_make_weak, "v");
}

/* A box may outlive the state that loaded the C module, so the module's library
   is kept in memory (os_pin). The table is made before the box, for that may
   raise. */
cast_transferable *cast_transferable_new(
  cast_packer *p, lua_State *L, int t, const casting_transfer *how) {
  if (p->pinned != how) os_pin((const void *)how);
  p->pinned = how;
  push_origins(L, t);
  cast_transferable *b = cast_alloc(sizeof *b);
  if (b == NULL) return NULL;
  cast_object_init(&b->object, &cast_transferable_type);
  b->how = how;
  atomic_init(&b->content, NULL);
  lua_pop(L, 1);
  return b;
}

const char cast_transferable_gone[] = "a result has been collected";

/* `take` is the C module's, and raises nothing: casting.h says so. */
const void *cast_transferable_take(cast_packer *p, lua_State *L, cast_msg *m) {
  const void *refused = NULL;
  cast_object **items = cast_msg_items(m);
  int top = lua_gettop(L);
  for (uint32_t i = 0; i < m->nrefs && refused == NULL; i++) {
    if (items[i] == NULL || items[i]->type != &cast_transferable_type) continue;
    cast_transferable *b = CAST_CONTAINER(items[i], cast_transferable, object);
    cast_packer_table(p, L);
    cast_packer_get(L, -1, CAST_SLOT_TRANSFERRED);
    lua_rawgetp(L, -1, b);
    if (lua_isuserdata(L, -1)) {
      void *content = b->how->take(L, lua_gettop(L));
      if (content == NULL) refused = lua_topointer(L, -1);
      /* PAIR moved. */
      atomic_store_explicit(&b->content, content, memory_order_release);
    } else {
      refused = cast_transferable_gone;
    }
    lua_settop(L, top);
  }
  return refused;
}

/* Without room on the Lua stack, or with the userdata gone, the content stays
   in the box, and is freed with it. */
void cast_transferable_undo(cast_packer *p, lua_State *L, cast_msg *m) {
  int top = lua_gettop(L);
  for (uint32_t i = 0; i < m->nrefs; i++) {
    cast_object *o = cast_msg_items(m)[i];
    if (o == NULL || o->type != &cast_transferable_type) continue;
    cast_transferable *b = CAST_CONTAINER(o, cast_transferable, object);
    if (!lua_checkstack(L, LUA_MINSTACK)) break;
    cast_packer_table(p, L);
    cast_packer_get(L, -1, CAST_SLOT_TRANSFERRED);
    if (lua_istable(L, -1)) {
      lua_rawgetp(L, -1, b);
      void *content = lua_isuserdata(L, -1) ? empty(b) : NULL;
      if (content != NULL) b->how->put(L, lua_gettop(L), content);
    }
    lua_settop(L, top);
  }
  cast_msg_drop(m);
}

/* -- in ------------------------------------------------------------------- */

/* The C module may not be loaded here: it is required, so that its class is
   there when an object of it is. */
bool cast_transferable_push(
  cast_packer *p, lua_State *L, cast_transferable *b) {
  const char *module = b->how->module;
  cast_packer_stack(L, LUA_MINSTACK);
  if (module != NULL) {
    size_t size = strlen(module);
    if (!cast_names_resolve(p, L, module, size, LUA_TNONE)) return false;
    lua_pop(L, 1);
  }
  lua_pushcfunction(L, b->how->make);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) return false;
  /* Only now: what cannot be made is not taken out of the message either. */
  void *content = lua_isuserdata(L, -1) ? empty(b) : NULL;
  if (content != NULL) {
    b->how->put(L, lua_gettop(L), content);
    return true;
  }
  lua_pushstring(L, lua_isuserdata(L, -1)
                      ? "another receiver of this message has it"
                      : "its 'make' has made no userdata");
  lua_replace(L, -2);
  return false;
}

void casting_transfer_register(
  lua_State *L, int i, const casting_transfer *how) {
  i = lua_absindex(L, i);
  if (!lua_istable(L, i))
    luaL_error(L, "casting_transfer_register: no metatable");
  if (how == NULL || how->size < sizeof *how || how->name == NULL ||
      how->take == NULL || how->make == NULL || how->put == NULL ||
      how->drop == NULL)
    luaL_error(L, "casting_transfer_register: a field is missing");
  luaL_checkstack(L, 2, NULL);
  lua_pushlightuserdata(L, (void *)(uintptr_t)how);
  lua_setfield(L, i, "__transfer");
}
