/* turn.c - calls that need not wait let others run now and then.
   SPDX-License-Identifier: MIT

   See turn.h. */
#include "turn.h"

#include "../../os/os.h"
#include "../../wait.h"
#include "park.h"

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  CAST_UNUSED(result);
  lua_pushboolean(L, 1);
  return 1;
}

static const cast_wait_kind turn_kind = {
  .finish = finish, .what = "letting others run"};

int cast_turn_take(lua_State *L, cast_state *S, cast_ltask *t) {
  t->arg = NULL;
  (void)cast_wait_turn(&t->base);
  return cast_park(L, S, t, OS_FOREVER, &turn_kind);
}
