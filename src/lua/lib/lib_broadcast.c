/* lib_broadcast.c - broadcasts for Lua.
   SPDX-License-Identifier: MIT

   What is published is packed once, and each subscriber shares its memory, as
   with casting.pack. A sandbox has no broadcasts: what it sends is charged to
   it for each place in a channel. */
#include "lib_broadcast.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../broadcast.h"
#include "../../fork.h"
#include "../../object.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/state.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "lib.h"
#include "lib_chan.h"

#include <math.h>

static cast_broadcast *check_broadcast(lua_State *L) {
  cast_object *o = cast_handle_check(L, 1, &cast_broadcast_type);
  return CAST_CONTAINER(o, cast_broadcast, object);
}

/* casting.broadcast() */
int cast_lib_broadcast(lua_State *L) {
  cast_handle *h;
  cast_broadcast *b;
  cast_state_here(L);
  h = cast_handle_new(L, &cast_broadcast_type, sizeof *b);
  b = cast_broadcast_new();
  if (b == NULL) cast_raise_memory(L);
  h->object = &b->object;
  cast_handle_note(L, h);
  return 1;
}

/* broadcast:subscribe([options]), which is written in Lua. */
int cast_broadcast_subscribe_lua(lua_State *L) {
  return cast_state_here(L)->binding->call(
    L, "broadcast_subscribe", "subscribe");
}

/* internal.new_subscriber(broadcast, capacity, slow) */
int cast_lib_subscribe(lua_State *L) {
  cast_broadcast *b = check_broadcast(L);
  const cast_state *S = cast_state_here(L);
  lua_Number capacity = cast_arg_count(L, 2, "capacity", 281474976710655.0);
  lua_Number slow = cast_arg_number(L, 3);
  cast_chan *c;
  int rc;
  cast_arg_check(L, capacity > 0, 2, "not buffered");
  cast_arg_check(L,
    slow == CAST_SLOW_OLDEST || slow == CAST_SLOW_NEWEST ||
      slow == CAST_SLOW_CLOSE,
    3, "not a policy");
  cast_arg_check(L, S->session.account == NULL, 1, "this is a sandbox");
  c = cast_chan_push(
    L, capacity == (lua_Number)HUGE_VAL ? CAST_UNBOUNDED : (size_t)capacity);
  rc = cast_broadcast_subscribe(b, c, (cast_slow)(int)slow);
  if (rc != 0) return cast_push_failure(L, rc);
  return 1;
}

/* broadcast:publish(v, ...) */
static int broadcast_publish(lua_State *L) {
  cast_broadcast *b = check_broadcast(L);
  cast_state *S = cast_state_here(L);
  uint32_t got, missed;
  cast_message *m;
  int rc;
  if (lua_isnoneornil(L, 2))
    cast_arg_error(L, 2,
      lua_isnone(L, 2) ? "a message needs at least one value"
                       : "the first value of a message cannot be nil");
  m = lua_gettop(L) == 2 ? cast_message_at(L, 2) : NULL;
  if (m == NULL)
    m = cast_message_new(L, S, 2, lua_gettop(L) - 1, NULL, CAST_PACK_COPY);
  rc = cast_broadcast_publish(b, &S->session, &m->msg, &got, &missed);
  if (rc != 0) return cast_push_failure(L, rc);
  lua_pushinteger(L, (lua_Integer)got);
  lua_pushinteger(L, (lua_Integer)missed);
  return 2;
}

static int broadcast_count(lua_State *L) {
  cast_broadcast *b = check_broadcast(L);
  cast_state_here(L);
  lua_pushinteger(L, (lua_Integer)cast_broadcast_count(b));
  return 1;
}

/* In the child of a fork it does nothing, as with channels. */
static int broadcast_close(lua_State *L) {
  cast_broadcast *b = check_broadcast(L);
  lua_pushboolean(
    L, !cast_forked && cast_broadcast_close(b, &cast_state_here(L)->session));
  return 1;
}

static int broadcast_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0; /* the state is closing */
  return broadcast_close(L);
}

static const luaL_Reg broadcast_methods[] = {
  {"subscribe", cast_broadcast_subscribe_lua},
  {"publish", broadcast_publish},
  {"count", broadcast_count},
  {"close", broadcast_close},
  {NULL, NULL},
};

static const luaL_Reg broadcast_meta[] = {
  {"__close", broadcast_close_scope},
  {NULL, NULL},
};

static int unavailable(lua_State *L) {
  return cast_lua_error(L, "broadcasts are not available in a sandbox");
}

static const luaL_Reg broadcast_sandbox_methods[] = {
  {"subscribe", unavailable},
  {"publish", unavailable},
  {"close", unavailable},
  {NULL, NULL},
};

static const luaL_Reg broadcast_sandbox_meta[] = {
  {"__close", unavailable},
  {NULL, NULL},
};

const cast_class cast_broadcast_class = {
  .type = &cast_broadcast_type,
  .title = "casting.broadcast",
  .methods = broadcast_methods,
  .meta = broadcast_meta,
  .sandbox_methods = broadcast_sandbox_methods,
  .sandbox_meta = broadcast_sandbox_meta,
};
