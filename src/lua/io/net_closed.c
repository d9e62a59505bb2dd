/* net_closed.c - waiting until a listener is closed.
   SPDX-License-Identifier: MIT

   A server that has as many connections as it may have does not accept, so it
   would not be told of the end of its listener. It waits for the listener to be
   writable instead: no listening socket is, so that wait ends when the listener
   is closed. (An event may tell too much: then the task waits again.) */
#include "../../../include/casting.h"
#include "../compat/auxiliary.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "net.h"
#include "net_listener.h"

static int wait_on(cast_listener *l, cast_ltask *t) {
  int rc;
  do {
    cast_descriptor_try(l->file, CAST_WRITE);
    rc = cast_descriptor_wait(l->file, CAST_WRITE, &t->base);
  } while (rc == 0);
  return rc;
}

static int again(cast_state *S, cast_ltask *t) {
  CAST_UNUSED(S);
  return wait_on(t->arg, t);
}

static int push_outcome(lua_State *L, int rc) {
  if (rc != CASTING_ECLOSED) return cast_net_failure(L, rc);
  lua_pushboolean(L, 1);
  return 1;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  return push_outcome(L, result);
}

static const cast_wait_kind closed_kind = {.finish = finish,
  .again = again,
  .what = "waiting for its listener to be closed"};

int cast_listener_closed(lua_State *L, cast_listener *l) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_enter(L, S, OS_FOREVER);
  int rc;
  t->arg = l;
  rc = wait_on(l, t);
  if (rc == CAST_PARKED)
    return cast_park_about(L, S, t, OS_FOREVER, &closed_kind);
  return push_outcome(L, rc);
}
