/* lib_serving.c - the side of a service that serves.
   SPDX-License-Identifier: MIT

   What service_keeper.lua and service_worker.lua call; the callers' side is
   lib_service.c.

   Owner: `serving` belongs to the state of the session that serves, and its
   seats to the calls, under their lock. They are given up with the end of the
   task that has opened it, or with the state, whichever comes first; the same
   thread does either. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../calls.h"
#include "../../event.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../session.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../task/complete.h"
#include "../task/crossing.h"
#include "../task/enter.h"
#include "../task/newtask.h"
#include "../task/park.h"
#include "../task/receive.h"
#include "../task/scratch.h"
#include "../transfer/pack.h"
#include "../transfer/packed.h"
#include "lib_monitor.h"
#include "lib_service.h"
#include "service_message.h"

typedef struct serving {
  cast_cleanup cleanup;
  cast_watcher watcher; /* of the end of the task that serves */
  cast_task *task;      /* (i) that, one reference; NULL: it was not opened */
  cast_calls *calls;    /* (i) one reference */
  cast_seat seats[];    /* of the calls */
} serving;

static bool serving_claim(cast_watcher *w) {
  CAST_UNUSED(w);
  return true; /* what frees it is in the same thread */
}

static void serving_over(cast_watcher *w, cast_session *self) {
  serving *p = CAST_CONTAINER(w, serving, watcher);
  cast_calls_close(p->calls, self, p->seats);
}

static void serving_drop(cast_cleanup *h) {
  serving *p = CAST_CONTAINER(h, serving, cleanup);
  if (p->task != NULL) {
    cast_event_unwatch(&p->task->done, &p->watcher);
    cast_calls_close(p->calls, NULL, p->seats);
    cast_unref(&p->task->object);
  }
  if (p->calls != NULL) cast_unref(&p->calls->object);
}

/* What the closure's userdata owns, and its seat i (from 1), argument 1. */
static serving *this_serving(lua_State *L, uint32_t *i) {
  cast_cleanup **owner = lua_touserdata(L, lua_upvalueindex(2));
  lua_Integer n = lua_tointeger(L, 1);
  serving *p;
  if (*owner == NULL || (*owner)->drop == NULL) cast_raise_closed(L);
  p = CAST_CONTAINER(*owner, serving, cleanup);
  cast_arg_check(L, n >= 1 && n <= p->calls->nseats, 1, "no such seat");
  *i = (uint32_t)n - 1;
  return p;
}

/* The next call has come: its name and arguments; nothing: none will. */
static int finish_next(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  if (CAST_UNLIKELY(result != 0)) return cast_unsend(L, S, t), 0;
  if (CAST_LIKELY(cast_service_unpack_request(L, &t->base.waiter.msg)))
    return 2;
  return cast_receive_values(L, S, t, &t->base.waiter.msg);
}

static const cast_wait_kind next_kind = {
  .finish = finish_next, .what = "waiting for a call"};

/* next(i, ...): answers the call of the seat, if it has one, with the results
   behind, and waits for the next. The seat is read without the lock: others
   change it only while its worker waits. */
static int serve_next(lua_State *L) {
  cast_state *S = cast_state_here(L);
  uint32_t i;
  serving *p = this_serving(L, &i);
  const cast_seat *seat = &p->seats[i];
  cast_ltask *t = cast_enter_quick(L, S);
  int rc;
  if (CAST_UNLIKELY(seat->task != &t->base)) {
    cast_ltask_cross(L, S, t, CAST_TOLD); /* its failure will be */
    t = cast_enter_quick(L, S);
  }
  if (seat->serial != 0 && !cast_service_pack_answer(L, &t->base.waiter.msg)) {
    cast_msg *m = &t->base.waiter.msg;
    lua_pushboolean(L, 1);
    lua_replace(L, 1);
    if (!cast_pack_values_inline(L, S, 1, lua_gettop(L), m)) {
      cast_pack(S->packer, L, 1, lua_gettop(L), "result", -1, m);
      cast_enter_again(L, S, t);
    }
  }
  t->arg = NULL;
  rc = cast_calls_next(p->calls, &S->session, &t->base, p->seats, i);
  if (CAST_UNLIKELY(rc == CAST_UNHEARD)) {
    cast_unsend(L, S, t);
    rc = cast_calls_next(p->calls, &S->session, &t->base, p->seats, i);
  }
  if (rc == CAST_PARKED) return cast_park_quick(L, S, t, &next_kind);
  return finish_next(L, S, t, rc);
}

/* Does the service end, too? Then its worker has most likely ended because of
   that, and the caller is told, as all others are, that the service is gone. */
static bool ends_as_well(serving *p) {
  cast_ltask *t = cast_ltask_of(p->task);
  return t->base.cancelled || cast_cancel_is_requested(t) ||
         cast_session_is_closing(t->base.session);
}

/* fail(i, task): the seat's worker has ended: gives its outcome to who waits
   for its answer. False: nobody does. */
static int serve_fail(lua_State *L) {
  cast_state *S = cast_state_here(L);
  uint32_t i;
  serving *p = this_serving(L, &i);
  cast_ltask *worker = cast_ltask_check(L, 2);
  bool heard;
  cast_msg m;
  if (ends_as_well(p)) {
    cast_calls_close(p->calls, &S->session, p->seats);
    return lua_pushboolean(L, 0), 1;
  }
  if (!cast_monitor_message(&m, worker)) cast_raise_memory(L);
  heard = cast_calls_fail(p->calls, &S->session, &p->seats[i], &m);
  if (!heard) cast_msg_drop(&m);
  lua_pushboolean(L, heard);
  return 1;
}

/* internal.service_open(service): the calling task serves from now on, until
   it ends. Returns the functions next and fail, and how many seats there
   are. */
int cast_lib_service_open(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_calls *c = cast_service_calls(L, 1);
  cast_ltask *t = cast_current(S);
  serving *p;
  if (t == NULL || S->sandbox != NULL)
    return cast_lua_error(L, "service: it cannot be served here");
  cast_ltask_cross(L, S, t, CAST_SHARED);
  p = cast_cleanup_push(
    L, S, sizeof *p + c->nseats * sizeof(cast_seat), serving_drop);
  p->calls = cast_ref(&c->object);
  if (!cast_calls_open(c, p->seats, &t->base))
    return cast_lua_error(L, "service: it is served by another task");
  p->task = cast_ref(&t->base.object);
  p->watcher.claim = serving_claim;
  p->watcher.fire = serving_over;
  (void)cast_event_watch(&t->base.done, &p->watcher);
  for (int k = 0; k < 2; k++) {
    cast_state_box(L);
    lua_pushvalue(L, 2);
    lua_pushliteral(L, "");
    lua_pushcclosure(L, k == 0 ? serve_next : serve_fail, 3);
  }
  lua_pushinteger(L, (lua_Integer)c->nseats);
  return 3;
}

/* internal.service_drain(service): nothing is taken any more. Returns the task
   that serves, or has done so last; whether the calling task is a worker of it;
   and whether its session was made for it. nil: there was none. */
int cast_lib_service_drain(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_calls *c = cast_service_calls(L, 1);
  cast_calls_drain(c, &S->session);
  if (!cast_service_push_server(L, S, c)) return 0;
  lua_pushboolean(L, cast_calls_has_worker(c, S->session.current));
  lua_pushboolean(L, c->own);
  return 3;
}
