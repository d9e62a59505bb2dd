/* lib_limiter.c - limiters for Lua.
   SPDX-License-Identifier: MIT

   The public function, which looks at the options, is in
   lualib/casting/limiter.lua. */
#include "lib_limiter.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../limiter.h"
#include "../../limits.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "lib.h"

#include <math.h>

/* internal.new_limiter(rate, burst) */
int cast_lib_limiter(lua_State *L) {
  cast_state *S = cast_state_here(L);
  lua_Number rate = cast_arg_number(L, 1), burst = cast_arg_number(L, 2);
  cast_account *a = S->session.account;
  uint64_t id = S->session.id;
  cast_limiter *l;
  cast_handle *h;
  cast_arg_check(L, rate > 0 && rate <= CAST_RATE_MAX, 1, "not a rate");
  cast_arg_check(L,
    burst >= 1 && burst <= CAST_TOKENS_MAX && burst == floor(burst) &&
      burst / rate <= CAST_FILL_SECONDS,
    2, "not a burst");
  cast_state_prepare(L, S);
  h = cast_handle_new(L, &cast_limiter_type, sizeof(cast_limiter));
  l = cast_limiter_new(rate, (uint32_t)burst, id, a);
  if (l == NULL) {
    lua_gc(L, LUA_GCCOLLECT, 0); /* others that nobody has any more */
    l = cast_limiter_new(rate, (uint32_t)burst, id, a);
  }
  if (l == NULL) cast_raise_memory(L);
  h->object = &l->object;
  cast_handle_note(L, h);
  return 1;
}

static cast_limiter *check_limiter(lua_State *L) {
  cast_object *o =
    cast_handle_quick(L, cast_state_here(L), 1, &cast_limiter_type);
  return CAST_CONTAINER(o, cast_limiter, object);
}

/* -- limiter:take ([n [, timeout]]) --------------------------------------- */

static int finish_take(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  if (CAST_LIKELY(result == 0)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  cast_limiter_serve(
    CAST_CONTAINER((cast_object *)t->arg, cast_limiter, object), &S->session);
  return cast_push_interrupt(L, result);
}

static void describe_take(cast_buffer *b, const cast_ltask *t) {
  cast_buffer_form(b, "waiting for limiter: %p", (const void *)t->arg);
}

static const cast_wait_kind take_kind = {
  .finish = finish_take, .describe = describe_take, .cleans_up = true};

static uint32_t check_tokens(lua_State *L, const cast_limiter *l) {
  lua_Number n;
  if (lua_isnoneornil(L, 2)) return 1;
  n = cast_arg_number(L, 2);
  if (CAST_UNLIKELY(!(n >= 1 && n <= l->burst && n == floor(n))))
    cast_arg_error(L, 2,
      lua_pushfstring(L,
        "a number of tokens must be an integer from 1 to %d, got %s",
        (int)l->burst, cast_arg_got(L, 2)));
  return (uint32_t)n;
}

static int try_take(lua_State *L, cast_limiter *l, uint32_t n, int if_empty) {
  int rc = cast_limiter_take(l, NULL, n);
  if (rc != 0) return cast_push_failure(L, if_empty);
  lua_pushboolean(L, 1);
  return 1;
}

static int limiter_take(lua_State *L) {
  cast_limiter *l = check_limiter(L);
  cast_state *S = cast_state_here(L);
  uint32_t n = check_tokens(L, l);
  uint64_t deadline = cast_deadline(L, 3);
  cast_ltask *t;
  if (deadline != OS_FOREVER && lua_tonumber(L, 3) <= 0)
    return try_take(L, l, n, CASTING_ETIMEOUT);
  t = cast_enter(L, S, deadline);
  t->arg = &l->object;
  if (cast_limiter_take(l, &t->base, n) == CAST_PARKED)
    return cast_park_about(L, S, t, deadline, &take_kind);
  t->arg = NULL;
  lua_pushboolean(L, 1);
  return 1;
}

static int limiter_try_take(lua_State *L) {
  cast_limiter *l = check_limiter(L);
  return try_take(L, l, check_tokens(L, l), CASTING_EEMPTY);
}

static int limiter_available(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)cast_limiter_available(check_limiter(L)));
  return 1;
}

static const luaL_Reg limiter_methods[] = {
  {"take", limiter_take},
  {"try_take", limiter_try_take},
  {"available", limiter_available},
  {NULL, NULL},
};

const cast_class cast_limiter_class = {
  .type = &cast_limiter_type,
  .title = "casting.limiter",
  .methods = limiter_methods,
};
