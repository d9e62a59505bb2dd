/* api_lua.c - handles and messages in Lua states, parking, a host's loop.
   SPDX-License-Identifier: MIT

   For C modules and programs with a Lua state at hand. A function with a
   lua_State runs in the thread that runs that state, and may raise. A state
   that does not know casting yet becomes a host (cast_api_state). */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../deadlock.h"
#include "../../event.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../session.h"
#include "../../task.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../lib/lib_host.h"
#include "../session/program.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../task/await.h"
#include "../task/crossing.h"
#include "../task/enter.h"
#include "../task/newtask.h"
#include "../task/remote.h"
#include "../transfer/pack.h"
#include "api.h"

/* -- states --------------------------------------------------------------- */

cast_state *cast_api_state(lua_State *L) {
  cast_state *S = cast_state_find(L);
  if (CAST_UNLIKELY(cast_forked)) cast_raise_closed(L);
  if (S != NULL && S->packer != NULL) return S; /* it was made completely */
  luaopen_casting(L);
  lua_pop(L, 1);
  return cast_state_find(L);
}

/* Protected: *S = the state. */
static int adopt(lua_State *L) {
  cast_state **S = lua_touserdata(L, 1);
  *S = cast_api_state(L);
  return 0;
}

/* Unlike the other functions with a lua_State it never raises. */
int casting_adopt(lua_State *L, casting_session **out) {
  cast_state *S = NULL;
  if (cast_forked) return CASTING_EFORKED;
  if (!lua_checkstack(L, 3)) return CASTING_ENOMEM;
  if (!cast_version_is_own(L)) return CASTING_EINVAL;
  if (cast_lua_cpcall(L, adopt, &S) != LUA_OK) {
    lua_pop(L, 1);
    return CASTING_ENOMEM;
  }
  if (out != NULL) *out = cast_api_session_out(&S->session.object);
  return 0;
}

int casting_poll(lua_State *L, double seconds) {
  return cast_state_poll(L, cast_api_state(L), cast_api_deadline(seconds));
}

int casting_fd(lua_State *L) {
  cast_state *S = cast_forked ? cast_state_find(L) : cast_api_state(L);
  if (S == NULL) cast_raise_closed(L);
  return cast_state_fd(L, S);
}

/* -- handles -------------------------------------------------------------- */

void casting_channel_push(lua_State *L, casting_channel *c) {
  cast_api_state(L);
  cast_handle_push(L, &cast_api_chan(c)->object);
}

void casting_task_push(lua_State *L, casting_task *t) {
  cast_api_state(L);
  cast_handle_push(L, &cast_api_task(t)->base.object);
}

void casting_session_push(lua_State *L, casting_session *s) {
  cast_api_state(L);
  cast_handle_push(L, &cast_api_session(s)->object);
}

/* The object of the handle at i if it is of that type, else NULL. */
static cast_object *test(lua_State *L, int i, const cast_type *type) {
  cast_object *o = cast_handle_test(L, i);
  return o != NULL && o->type == type ? o : NULL;
}

/* C gets the task, or NULL. C may pass it on to any thread, so from now on its
   results must be able to leave their session. */
static casting_task *task_out(lua_State *L, cast_object *o) {
  casting_task *t = cast_api_task_out(o);
  if (t != NULL)
    cast_ltask_cross(L, cast_api_state(L), cast_api_task(t), CAST_SHARED);
  return t;
}

casting_channel *casting_channel_check(lua_State *L, int i) {
  cast_api_state(L);
  return cast_api_chan_out(cast_handle_check(L, i, &cast_chan_type));
}

casting_channel *casting_channel_test(lua_State *L, int i) {
  return cast_api_chan_out(test(L, i, &cast_chan_type));
}

casting_task *casting_task_check(lua_State *L, int i) {
  cast_api_state(L);
  return task_out(L, cast_handle_check(L, i, &cast_task_type));
}

casting_task *casting_task_test(lua_State *L, int i) {
  return task_out(L, test(L, i, &cast_task_type));
}

casting_session *casting_session_check(lua_State *L, int i) {
  cast_api_state(L);
  return cast_api_session_out(cast_handle_check(L, i, &cast_session_type));
}

casting_session *casting_session_test(lua_State *L, int i) {
  return cast_api_session_out(test(L, i, &cast_session_type));
}

casting_session *casting_session_self(lua_State *L) {
  return cast_api_session_out(&cast_api_state(L)->session.object);
}

casting_task *casting_task_self(lua_State *L) {
  cast_ltask *t = cast_current(cast_api_state(L));
  return t == NULL ? NULL : task_out(L, &t->base.object);
}

/* -- messages and tasks --------------------------------------------------- */

/* Pushes the values, and empties the message. */
int casting_message_push(lua_State *L, casting_message *m) {
  cast_state *S = cast_api_state(L);
  int n;
  if (cast_api_is_empty(m)) return 0;
  if (cast_api_complete(m) != 0)
    return luaL_error(L, "an incomplete message of C");
  luaL_checkstack(L, CAST_MSG_INLINE, NULL);
  /* If a value cannot be rebuilt, the message is still m's. */
  n = cast_unpack(S->packer, L, &m->msg);
  cast_api_set(m, NULL);
  return n;
}

void casting_message_pack(lua_State *L, int first, int n, casting_message *m) {
  cast_state *S = cast_api_state(L);
  cast_msg msg;
  memset(&msg, 0, sizeof msg);
  if (n < 1 || lua_isnoneornil(L, first))
    luaL_error(L, "the first value of a message cannot be nil");
  cast_api_set(m, NULL);
  cast_pack(S->packer, L, first, n, "value", 0, &msg);
  cast_api_set(m, &msg);
}

/* The handle of the new task, on the stack, owns what is packed until the task
   is started. */
int casting_spawn(
  lua_State *L, casting_session *s, int nargs, casting_task **out) {
  cast_state *S = cast_api_state(L);
  cast_state *target = cast_state_of(cast_api_session(s));
  int first = lua_gettop(L) - nargs;
  cast_ltask *t;
  int rc;
  luaL_checkstack(L, 4, NULL);
  if (nargs < 0 || first < 1 || !lua_isfunction(L, first))
    luaL_error(L, "casting_spawn: a function and %d values expected", nargs);
  t = cast_ltask_new(L, target, false);
  cast_ltask_make_remote(t);
  cast_pack_as(S->packer, L, first, nargs + 1, "value", 0, CAST_PACK_SPAWN,
    &t->base.waiter.msg);
  rc = cast_task_start(&t->base, &S->session);
  if (rc != 0) cast_pack_undo(S->packer, L, &t->base.waiter.msg);
  if (rc == 0 && out != NULL)
    *out = cast_api_task_out(cast_ref(&t->base.object));
  lua_settop(L, first - 1);
  return rc;
}

/* -- parking -------------------------------------------------------------- */

/* What a C function waits for: an event that any thread sets. Strong
   references: the userdata on the function's stack, the wait, and whoever will
   wake. */
struct casting_waker {
  cast_object object;
  cast_event event;      /* the wait is over */
  casting_finish finish; /* (w) of the session: what pushes the results, */
  void *ud;              /* (w) and its argument */
};

/* The userdata on the stack of the C function, from casting_waker_new on: if an
   error is raised before the wait, it gives the waker up. */
typedef struct parked {
  cast_cleanup cleanup;
  casting_waker *waker; /* one strong reference, or NULL */
} parked;

static void waker_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, casting_waker, object));
}

static const cast_type waker_type = {"waker", waker_free, NULL};

static void drop_parked(cast_cleanup *h) {
  parked *p = CAST_CONTAINER(h, parked, cleanup);
  if (p->waker != NULL) casting_waker_unref(p->waker);
  p->waker = NULL;
}

/* All that casting_park will need is reserved here, so that it cannot fail once
   the C function has begun its work elsewhere. */
casting_waker *casting_waker_new(lua_State *L) {
  cast_state *S = cast_api_state(L);
  parked *p = cast_cleanup_push(L, S, sizeof *p, drop_parked);
  casting_waker *w;
  (void)cast_enter(L, S, 0); /* not OS_FOREVER: with room for a deadline */
  w = cast_calloc(sizeof *w);
  if (w == NULL) cast_raise_memory(L);
  cast_object_init(&w->object, &waker_type);
  cast_event_init(&w->event);
  p->waker = w;
  return w;
}

casting_waker *casting_waker_ref(casting_waker *w) {
  cast_ref(&w->object);
  return w;
}

void casting_waker_unref(casting_waker *w) { cast_unref(&w->object); }

void casting_pin(const void *address) { os_pin(address); }

/* In a state that casting does not know, the calling thread's own. */
void casting_sigmask(lua_State *L, void *set) {
  cast_state *S = lua_checkstack(L, 1) ? cast_state_find(L) : NULL;
  os_signals signals;
  if (S != NULL)
    signals = cast_signals_now(S);
  else
    os_signals_get(&signals);
  os_signals_mask(&signals, set);
}

void casting_wake(casting_waker *w) {
  if (!cast_forked) cast_event_set(&w->event, NULL);
}

int cast_api_finish(
  lua_State *L, casting_finish finish, int outcome, void *ud) {
  if (CAST_LIKELY(cast_lua_reserve(L, LUA_MINSTACK)))
    return finish(L, outcome, ud);
  lua_settop(L, 0); /* as much as a function of C begins with */
  (void)finish(L, CASTING_ECANCELLED, ud);
  cast_raise_memory(L);
}

/* The wait is over, also if that is because the task is stopped (cleans_up):
   the function of the module must give up what its work needs in any case. */
static int finish_parked(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  casting_waker *w = t->arg;
  CAST_UNUSED(S);
  cast_deadlock_unexpect();
  return cast_api_finish(L, w->finish, result, w->ud);
}

static const cast_wait_kind parked_kind = {.finish = finish_parked,
  .what = "waiting in a function of C",
  .cleans_up = true};

/* Nothing may fail from cast_enter_anew on: the work of the module is under
   way, and `finish` must be called once, whatever happens. */
int casting_park(lua_State *L, casting_waker *w, double seconds,
  casting_finish finish, void *ud) {
  cast_state *S = cast_api_state(L);
  cast_ltask *t = cast_ltask_of(S->session.current);
  uint64_t deadline = cast_api_deadline(seconds);
  w->finish = finish;
  w->ud = ud;
  t->arg = w;
  /* The module may have made Lua values since casting_waker_new. That may have
     run a finalizer which has waited, and used up what was reserved: so it is
     reserved anew. Without memory for that the module is told, as of a
     cancellation. */
  if (!cast_enter_anew(L, S, t)) {
    (void)cast_api_finish(L, finish, CASTING_ECANCELLED, ud);
    cast_raise_memory(L);
  }
  cast_deadlock_expect(); /* somebody outside will wake the task */
  return cast_await_event(L, S, t, &w->event, deadline, &parked_kind);
}
