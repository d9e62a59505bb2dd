/* turn.c - calls that need not wait let others run now and then.
   SPDX-License-Identifier: MIT

   See turn.h. */
#include "turn.h"

#include "../../os/os.h"
#include "../../wait.h"
#include "enter.h"
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

static int finish_first(lua_State *L, cast_state *S, cast_ltask *t, int rc) {
  CAST_UNUSED(L);
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  CAST_UNUSED(rc);
  return 0;
}

static const cast_wait_kind first_kind = {
  .finish = finish_first, .what = "letting others run"};

/* Without memory for a C stack there is no turn. */
void cast_turn_take_in_place(lua_State *L, cast_state *S, cast_ltask *t) {
  if (!cast_enter_in_place(S, t)) return;
  t->arg = NULL;
  (void)cast_wait_turn(&t->base);
  (void)cast_park(L, S, t, OS_FOREVER, &first_kind);
}

void cast_turn_first(lua_State *L, cast_state *S, cast_ltask *t) {
  if (CAST_UNLIKELY(cast_turn_is_due(S, t))) cast_turn_take_in_place(L, S, t);
}

void cast_turn_owe(cast_state *S, const cast_ltask *t) {
  if (cast_turn_is_due(S, t)) S->streak.owed = true;
}

void cast_turn_pay(lua_State *L, cast_state *S) {
  cast_task *base = S->session.current;
  if (base == NULL || S->protect.active > 0 || S->closing) return;
  S->streak.owed = false;
  /* Others have run since, if it is not the same task. */
  if (cast_ltask_of(base) == S->streak.task)
    cast_turn_take_in_place(L, S, cast_enter(L, S, OS_FOREVER));
}
