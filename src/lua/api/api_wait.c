/* api_wait.c - descriptors for C: functions that wait for one; streams.
   SPDX-License-Identifier: MIT

   The wait is a select with one case, or with two (../io/net_wait.h). Whatever
   happens, `finish` is called once: so all that can raise before the wait, a
   cancellation for example, is caught, the module is told, and then it is
   raised again.
   Owner: the task's session. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../fork.h"
#include "../../io/descriptor.h"
#include "../../mem.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../io/net.h"
#include "../io/net_listener.h"
#include "../io/net_udp.h"
#include "../io/net_wait.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/scope.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "api.h"

/* What the wait of a module's function is about: t->arg, with the only
   reference. */
typedef struct waiting {
  cast_object object;
  casting_finish finish; /* (i) what pushes the results, ... */
  void *ud;              /* (i) ... and its argument */
} waiting;

static void free_waiting(cast_object *o) {
  cast_free(CAST_CONTAINER(o, waiting, object));
}

static const cast_type waiting_type = {"wait", free_waiting, NULL};

/* The wait has ended with that result, or has not begun: tells the module. */
static int tell(lua_State *L, casting_finish finish, void *ud, int result) {
  bool stopped = result == CAST_DEADLOCK;
  return cast_api_finish(L, finish, stopped ? CASTING_ECANCELLED : result, ud);
}

/* `finish` may wait itself, which frees *w. */
static int finish_waiting(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  const waiting *w = t->arg;
  CAST_UNUSED(S);
  return tell(L, w->finish, w->ud, cast_net_wait_end(t, result));
}

static const cast_wait_kind waiting_kind = {.finish = finish_waiting,
  .again = cast_net_select_again,
  .describe = cast_net_wait_describe,
  .cleans_up = true};

/* -- streams -------------------------------------------------------------- */

/* Of a stream, listener or socket at i; NULL: there is something else. */
static cast_descriptor *file_at(lua_State *L, int i) {
  cast_object *o = cast_handle_test(L, i);
  const cast_stream *s = cast_net_stream_test(L, i);
  const cast_udp *u = cast_net_udp_test(L, i);
  if (s != NULL) return s->file;
  if (u != NULL) return u->file;
  return o != NULL && o->type == &cast_listener_type
           ? CAST_CONTAINER(o, cast_listener, object)->file
           : NULL;
}

int casting_stream_fd(lua_State *L, int i) {
  cast_descriptor *d = file_at(L, i);
  int fd = -1;
  if (d == NULL || cast_forked || !cast_descriptor_begin(d)) return -1;
  fd = d->fd;
  cast_descriptor_end(d);
  return fd;
}

int casting_push_stream(lua_State *L, int fd) {
  (void)cast_api_state(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (fd < 0) luaL_error(L, "casting_push_stream: a descriptor expected");
  return cast_net_adopt(L, fd);
}

/* Owner. No more than a look: if the task has anything to meet first, or is to
   give others their turn, stream:write does that. */
static bool may_offer(lua_State *L, cast_state *S, const cast_stream *s) {
  cast_task *base = S->session.current;
  const cast_ltask *t;
  if (cast_forked || base == NULL || S->protect.active > 0) return false;
  t = cast_ltask_of(base);
  return L == t->co && !cast_scope_is_needed(t) && !s->closed && !s->shut &&
         s->layer == NULL && s->is_socket && s->name == NULL &&
         cast_list_is_empty(&s->writers) && cast_turn_is_left(S, t);
}

size_t casting_stream_offer(lua_State *L, int i, const void *bytes, size_t n) {
  cast_stream *s = cast_net_stream_test(L, i);
  os_bytes piece = {bytes, n};
  cast_state *S;
  size_t done = 0;
  if (s == NULL || s->account == NULL) return 0;
  S = CAST_CONTAINER(s->account, cast_state, memory.slabs);
  if (may_offer(L, S, s))
    (void)cast_stream_send(s, &piece, 1, &done, &S->session);
  return done;
}

/* -- before it waits ------------------------------------------------------ */

typedef struct request {
  int fd, events;
  cast_state *S;
  cast_ltask *t;
} request;

static uint32_t events_of(int events) {
  uint32_t what = 0;
  if (events & CASTING_READABLE) what |= OS_READABLE;
  if (events & CASTING_WRITABLE) what |= OS_WRITABLE;
  return (events & ~(CASTING_READABLE | CASTING_WRITABLE)) == 0 ? what : 0;
}

/* Protected: all of it that raises. */
static int prepare(lua_State *L) {
  request *r = lua_touserdata(L, 1);
  if (r->fd < 0 || events_of(r->events) == 0)
    luaL_error(L, "casting_wait_fd: a descriptor and events expected");
  r->S = cast_api_state(L);
  r->t = cast_enter(L, r->S, 0); /* not OS_FOREVER: with room for a deadline */
  return 0;
}

/* Makes the cases, reserves what waiting needs in L itself, and sets t->arg.
   NULL: out of memory, and nothing is held. */
static waiting *begin(lua_State *L, const request *r) {
  waiting *w = cast_calloc(sizeof *w);
  if (w == NULL) return NULL;
  if (cast_net_wait_begin(r->t, r->fd, events_of(r->events))) {
    cast_object_init(&w->object, &waiting_type);
    if (cast_enter_anew(L, r->S, r->t)) return w;
    cast_net_select_over(r->t);
  }
  cast_free(w);
  return NULL;
}

int casting_wait_fd(lua_State *L, int fd, int events, double seconds,
  casting_finish finish, void *ud) {
  request r = {fd, events, NULL, NULL};
  uint64_t deadline = cast_api_deadline(seconds);
  waiting *w;
  int rc;
  if (!cast_lua_reserve(L, LUA_MINSTACK))
    return tell(L, finish, ud, CASTING_ECANCELLED); /* it raises */
  if (cast_lua_cpcall(L, prepare, &r) != LUA_OK) {
    int top = lua_gettop(L); /* the error is there */
    (void)tell(L, finish, ud, CASTING_ECANCELLED);
    lua_settop(L, top);
    return lua_error(L);
  }
  if ((w = begin(L, &r)) == NULL) {
    (void)tell(L, finish, ud, CASTING_ECANCELLED);
    cast_raise_memory(L);
  }
  w->finish = finish;
  w->ud = ud;
  rc = cast_net_select(r.S, r.t, deadline != 0);
  if (rc == CAST_PARKED) {
    r.t->arg = w;
    r.t->owns_arg = true;
    return cast_park(L, r.S, r.t, deadline, &waiting_kind);
  }
  cast_unref(&w->object);
  return tell(L, finish, ud, cast_net_wait_end(r.t, rc));
}
