/* lib_message.c - packed messages, and what a send does with its values.
   SPDX-License-Identifier: MIT

   casting.pack encodes values once; the message that it returns can then be
   sent to any number of channels and tasks, which share its one block. It is a
   handle like those of channels. As the only value of a send it stands for its
   values; elsewhere it crosses as itself. */
#include "../../include/casting.h"
#include "../mem.h"
#include "argument.h"
#include "handle.h"
#include "message.h"

static void message_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, cast_message, object));
}

static void message_release(cast_object *o, cast_object **more) {
  cast_msg_drop_later(&CAST_CONTAINER(o, cast_message, object)->msg, more);
}

const cast_type cast_message_type = {"message", message_free, message_release};

cast_message *cast_message_at(lua_State *L, int i) {
  cast_object *o = cast_handle_test(L, i);
  if (o == NULL || o->type != &cast_message_type) return NULL;
  return CAST_CONTAINER(o, cast_message, object);
}

/* -- sending -------------------------------------------------------------- */

bool cast_pack_ready(lua_State *L, int first, int n, cast_msg *out) {
  const cast_message *m = NULL;
  if (n == 1 && lua_type(L, first) == LUA_TUSERDATA)
    m = cast_message_at(L, first);
  if (m == NULL) return cast_pack_inline(L, first, n, out);
  cast_msg_dup(out, &m->msg);
  return true;
}

void cast_pack_values(lua_State *L, cast_state *S, int first, int n,
  const char *what, cast_msg *out) {
  if (!cast_pack_ready(L, first, n, out))
    cast_pack(S->packer, L, first, n, what, 0, out);
  /* By a __save, or a finalizer. */
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
}

bool cast_message_callable(lua_State *L, int i) {
  const cast_message *m = cast_message_at(L, i);
  return m != NULL && m->callable;
}

void cast_unsend(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_extra *x = t->extra;
  cast_msg *m = &t->core.waiter.msg;
  if (!cast_msg_empty(m)) cast_pack_undo(S->packer, L, m);
  for (uint32_t i = 0; x != NULL && i < x->ncases; i++) {
    m = &x->cases[i].waiter.msg;
    if (x->cases[i].sending && !cast_msg_empty(m))
      cast_pack_undo(S->packer, L, m);
  }
}

/* -- the functions -------------------------------------------------------- */

cast_message *cast_message_new(
  lua_State *L, cast_state *S, int first, int n, cast_pack_how how) {
  cast_handle *h = cast_handle_new(L, &cast_message_type, sizeof(cast_message));
  cast_message *m = cast_calloc(sizeof *m);
  if (m == NULL) cast_raise_memory(L);
  cast_object_init(&m->object, &cast_message_type);
  m->n = n;
  m->callable = lua_isfunction(L, first);
  h->object = &m->object;
  cast_handle_note(L, h);
  cast_pack_as(S->packer, L, first, n, NULL, 0, how, &m->msg);
  cast_handle_weigh(L, S, m->msg.size);
  return m;
}

int cast_lib_pack(lua_State *L) {
  cast_state *S = cast_state_here(L);
  int n = lua_gettop(L);
  if (lua_isnoneornil(L, 1))
    cast_arg_error(L, 1,
      n == 0 ? "a message needs at least one value"
             : "the first value of a message cannot be nil");
  if (n == 1 && cast_message_at(L, 1) != NULL) return 1;
  cast_message_new(L, S, 1, n, CAST_PACK_COPY);
  return 1;
}

static int message_unpack(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_handle_check(L, 1, &cast_message_type);
  cast_ltask *t = cast_scratch(L, S);
  cast_msg_dup(&t->core.waiter.msg, &cast_message_at(L, 1)->msg);
  return cast_rebuild_values(L, S, t, &t->core.waiter.msg);
}

static int message_count(lua_State *L) {
  cast_handle_check(L, 1, &cast_message_type);
  lua_pushinteger(L, cast_message_at(L, 1)->n);
  return 1;
}

/* Upvalue-free, so that it can be called in a protected call: the state is
   light userdata at 2. */
static int try_pack(lua_State *L) {
  cast_state *S = lua_touserdata(L, 2);
  cast_ltask *t = cast_scratch(L, S);
  cast_pack_as(
    S->packer, L, 1, 1, "value", -1, CAST_PACK_TRY, &t->core.waiter.msg);
  cast_msg_drop(&t->core.waiter.msg);
  return 0;
}

int cast_lib_transferable(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_arg_any(L, 1);
  lua_settop(L, 1);
  lua_pushcfunction(L, try_pack);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, S);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (lua_type(L, -1) == LUA_TSTRING &&
      strcmp(lua_tostring(L, -1), "not enough memory") == 0)
    return lua_error(L);
  (void)cast_lua_describe(L, -1); /* pushed */
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static const luaL_Reg message_methods[] = {
  {"unpack", message_unpack},
  {NULL, NULL},
};

static const luaL_Reg message_meta[] = {
  {"__len", message_count},
  {NULL, NULL},
};

const cast_class cast_message_class = {
  .type = &cast_message_type,
  .title = "casting.message",
  .methods = message_methods,
  .meta = message_meta,
};
