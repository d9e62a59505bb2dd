/* lib_service.c - services for Lua.
   SPDX-License-Identifier: MIT

   A handle of a service leads to its calls (calls.h), and has a timeout of its
   own (within). What is served, and how it is started and stopped, is written
   in Lua: service.lua, service_keeper.lua, service_worker.lua. Here is the way
   of each call. That is written twice, as a channel's send is (lib_chan.c).

   The answer of a method that has returned is a message of true and its
   results. That of one that has failed is the outcome of the task which has run
   it, as a monitor has it: so the caller gets the very error, and with it where
   it came from, as of a task that it awaits. lib_serving.c is the other
   side. */
#include "lib_service.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../calls.h"
#include "../../mem.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "../state/argument.h"
#include "../state/cleanup.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../task/complete.h"
#include "../task/enter.h"
#include "../task/newtask.h"
#include "../task/origin.h"
#include "../task/park.h"
#include "../task/receive.h"
#include "../task/scratch.h"
#include "../transfer/packed.h"
#include "lib_monitor.h"
#include "service_message.h"

#include <math.h>

/* What a handle leads to. */
typedef struct service {
  cast_object object;
  cast_calls *calls; /* (i) one reference */
  double seconds;    /* (i) the timeout of calls; infinite: none */
} service;

static void service_release(cast_object *o, cast_object **more) {
  service *v = CAST_CONTAINER(o, service, object);
  if (v->calls != NULL) cast_unref_later(&v->calls->object, more);
}

static void service_free(cast_object *o) {
  cast_free(CAST_CONTAINER(o, service, object));
}

static const cast_type service_type = {
  "service", service_free, service_release};

cast_calls *cast_service_calls(lua_State *L, int i) {
  return CAST_CONTAINER(cast_handle_check(L, i, &service_type), service, object)
    ->calls;
}

/* Pushes a new handle, whose calls are to be set; the object is its own. */
static service *service_push(lua_State *L, double seconds) {
  cast_handle *h = cast_handle_new(L, &service_type, sizeof(service));
  service *v = cast_calloc(sizeof *v);
  if (v == NULL) cast_raise_memory(L);
  cast_object_init(&v->object, &service_type);
  v->seconds = seconds;
  h->object = &v->object;
  cast_handle_note(L, h);
  return v;
}

static int push_gone(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "gone");
  return 2;
}

/* -- calling -------------------------------------------------------------- */

/* The method has failed: its task is at `base`, and its error two above. */
static int raise_failure(lua_State *L, cast_state *S, cast_ltask *t, int base) {
  const cast_ltask *target = cast_ltask_check(L, base);
  const cast_failure *origin = cast_origin_take(t, target);
  lua_settop(L, base + 2);
  if (cast_cancel_is_error(L, -1)) { /* that does not mean this task */
    (void)cast_lua_describe(L, -1);
    lua_pushliteral(L, "the method was ");
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  cast_origin_note(L, S, t, origin);
  return lua_error(L);
}

/* The wait for an answer is over. */
static int finish_call(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  int n, base;
  if (CAST_LIKELY(
        result == 0 && cast_service_unpack_answer(L, &t->base.waiter.msg)))
    return 2;
  if (CAST_UNLIKELY(result == CASTING_ECLOSED)) return push_gone(L);
  if (CAST_UNLIKELY(result != 0)) return cast_push_failure(L, result);
  n = cast_receive_values(L, S, t, &t->base.waiter.msg);
  base = lua_gettop(L) - n + 1;
  if (CAST_LIKELY(lua_type(L, base) == LUA_TBOOLEAN)) return n;
  return raise_failure(L, S, t, base);
}

/* The same of a service that cancels: the caller may have left. */
static int finish_or_cancel(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_chars why = cast_chars_of("its caller has left");
  cast_task *worker;
  if (result == 0 || result == CASTING_ECLOSED)
    return finish_call(L, S, t, result);
  worker = cast_calls_worker(t->arg, &t->base.waiter);
  if (worker != NULL) {
    cast_ltask_cancel(cast_ltask_of(worker), &S->session, why);
    cast_unref(&worker->object);
  }
  return cast_push_interrupt(L, result);
}

static const char waiting[] = "waiting for the answer of a service";

static const cast_wait_kind call_kind = {
  .finish = finish_call, .what = waiting};

static const cast_wait_kind cancel_kind = {
  .finish = finish_or_cancel, .what = waiting, .cleans_up = true};

/* No answer can come. */
static int fail_call(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_unsend(L, S, t);
  if (result != CAST_SELF_CALL) return push_gone(L);
  return cast_lua_error(
    L, "call: a method calls its own service, which takes one call at a time");
}

static inline void check_name(lua_State *L) {
  if (CAST_LIKELY(lua_type(L, 2) == LUA_TSTRING)) return;
  cast_arg_error(L, 2,
    lua_pushfstring(
      L, "name of a method expected, got %s", cast_arg_got(L, 2)));
}

/* service:call(name, ...) */
static inline int call_in(lua_State *L, cast_state *S) {
  const service *v =
    CAST_CONTAINER(cast_handle_quick(L, S, 1, &service_type), service, object);
  cast_calls *c = v->calls;
  uint64_t deadline = OS_FOREVER;
  cast_ltask *t;
  int rc;
  check_name(L);
  if (v->seconds < (double)HUGE_VAL) deadline = cast_deadline_in(v->seconds);
  t = deadline == OS_FOREVER ? cast_enter_quick(L, S)
                             : cast_enter(L, S, deadline);
  if (!cast_service_pack_request(L, S, &t->base.waiter.msg) &&
      !cast_pack_values_inline(
        L, S, 2, lua_gettop(L) - 1, &t->base.waiter.msg)) {
    cast_pack_values(L, S, 2, lua_gettop(L) - 1, NULL, &t->base.waiter.msg);
    cast_enter_again(L, S, t);
  }
  t->arg = NULL;
  rc = cast_calls_call(c, &S->session, &t->base);
  if (CAST_UNLIKELY(rc != CAST_PARKED)) return fail_call(L, S, t, rc);
  if (CAST_UNLIKELY(c->cancels)) {
    t->arg = &c->object;
    return cast_park_about(L, S, t, deadline, &cancel_kind);
  }
  return deadline == OS_FOREVER ? cast_park_quick(L, S, t, &call_kind)
                                : cast_park(L, S, t, deadline, &call_kind);
}

static int service_call(lua_State *L) { return call_in(L, cast_state_here(L)); }

#if CAST_HAS_OURS
static int service_call_ours(lua_State *L) {
  return call_in(L, cast_state_ours(L));
}
#endif

/* service:cast(name, ...) */
static int service_cast(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_calls *c = cast_service_calls(L, 1);
  cast_waiter *w, *spare;
  cast_ltask *t;
  bool kept;
  int rc;
  check_name(L);
  t = cast_scratch(L, S);
  w = &t->base.waiter;
  cast_pack_values(L, S, 2, lua_gettop(L) - 1, NULL, &w->msg);
  rc = cast_calls_cast(c, &S->session, w, NULL, &kept);
  if (rc == CASTING_EEMPTY) {
    spare = cast_calloc(sizeof *spare);
    if (spare == NULL) {
      cast_unsend(L, S, t);
      cast_raise_memory(L);
    }
    rc = cast_calls_cast(c, &S->session, w, spare, &kept);
    if (!kept) cast_free(spare);
  }
  if (CAST_LIKELY(rc == 0)) return lua_pushboolean(L, 1), 1;
  cast_unsend(L, S, t);
  return rc == CASTING_ECLOSED ? push_gone(L) : cast_push_failure(L, rc);
}

/* -- other methods -------------------------------------------------------- */

/* service:within(seconds): another handle, with that timeout. */
static int service_within(lua_State *L) {
  cast_calls *c;
  double seconds;
  cast_state_here(L);
  c = cast_service_calls(L, 1);
  seconds = cast_arg_number(L, 2);
  if (!(seconds >= 0))
    cast_arg_error(L, 2,
      lua_pushfstring(L,
        "timeout must be a number of seconds, zero or more, got %s",
        cast_arg_got(L, 2)));
  service_push(L, seconds)->calls = cast_ref(&c->object);
  return 1;
}

/* service:name(): nil if it has none. */
static int service_name(lua_State *L) {
  const cast_calls *c = cast_service_calls(L, 1);
  if (c->name_size == 0) return 0;
  lua_pushlstring(L, c->name, c->name_size);
  return 1;
}

bool cast_service_push_server(lua_State *L, cast_state *S, cast_calls *c) {
  cast_object **box = cast_box_push(L, S);
  cast_task *t = cast_calls_server(c);
  if (t == NULL) return false;
  *box = &t->object;
  cast_handle_push(L, *box);
  return true;
}

/* service:monitor([channel]): that of the task which serves. */
static int service_monitor(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_calls *c = cast_service_calls(L, 1);
  lua_settop(L, 2);
  if (!cast_service_push_server(L, S, c)) return push_gone(L);
  lua_replace(L, 1);
  lua_settop(L, 2);
  return cast_lib_monitor(L);
}

static int service_stop(lua_State *L) {
  return cast_state_here(L)->binding->call(L, "service_stop", "stop");
}

/* In the registry: handle -> (name -> function), weak. Nothing else refers to
   the tables of functions, so each lasts until the collector comes by. */
static const char functions_key = 0;

/* Pushes the table of functions of the handle at index i. */
static void push_functions(lua_State *L, int i) {
  (void)cast_single_push(L, &functions_key, cast_make_weak, "kv");
  lua_pushvalue(L, i);
  lua_rawget(L, -2);
  if (CAST_LIKELY(!lua_isnil(L, -1))) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, i);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
}

/* service[name]: a function that calls the method. What makes it returns the
   function, the service and the name. */
static int service_field(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  push_functions(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  if (CAST_LIKELY(!lua_isnil(L, -1))) return 1;
  lua_settop(L, 2);
  cast_state_here(L)->binding->call(L, "service_method", "service");
  push_functions(L, 2);
  lua_pushvalue(L, 3);
  lua_pushvalue(L, 1);
  lua_rawset(L, -3);
  lua_settop(L, 1);
  return 1;
}

static int service_eq(lua_State *L) {
  const cast_object *a = cast_handle_test(L, 1), *b = cast_handle_test(L, 2);
  lua_pushboolean(L, a != NULL && b != NULL && a->type == &service_type &&
                       b->type == &service_type &&
                       cast_service_calls(L, 1) == cast_service_calls(L, 2));
  return 1;
}

static int service_tostring(lua_State *L) {
  const cast_calls *c = cast_service_calls(L, 1);
  cast_handle_push_address(L, "service", c);
  if (c->name_size == 0) return 1;
  lua_pushliteral(L, " '");
  lua_pushlstring(L, c->name, c->name_size);
  lua_pushliteral(L, "'");
  lua_concat(L, 4);
  return 1;
}

static const luaL_Reg service_methods[] = {
  {"call", service_call},
  {"cast", service_cast},
  {"within", service_within},
  {"stop", service_stop},
  {"monitor", service_monitor},
  {"name", service_name},
  {NULL, NULL},
};

static const luaL_Reg service_meta[] = {
  {"__eq", service_eq},
  {"__tostring", service_tostring},
  {NULL, NULL},
};

/* A sandbox makes no services, so it stops none. */
static int guarded_stop(lua_State *L) {
  return cast_lua_error(L, "stop: the service was not made by this sandbox");
}

static const luaL_Reg service_sandbox_methods[] = {
  {"stop", guarded_stop},
  {NULL, NULL},
};

#if CAST_HAS_OURS
static const luaL_Reg service_our_methods[] = {
  {"call", service_call_ours},
  {NULL, NULL},
};
#endif

const cast_class cast_service_class = {
  .type = &service_type,
  .title = "casting.service",
  .methods = service_methods,
  .meta = service_meta,
  .sandbox_methods = service_sandbox_methods,
#if CAST_HAS_OURS
  .our_methods = service_our_methods,
#endif
  .field = service_field,
};

/* -- making one ----------------------------------------------------------- */

#define SEATS_MAX 10000 /* as in service.lua */

/* internal.service_new(packed, seats, capacity, cancels, restarts, own,
   timeout, name): the handle of a new service, which nobody serves yet; nil if
   the name is in use. The arguments were checked before. */
int cast_lib_service_new(lua_State *L) {
  cast_message *m;
  lua_Number seats, capacity;
  service *v;
  size_t size = 0;
  const char *name = "";
  cast_calls *c;
  cast_state_here(L);
  lua_settop(L, 8);
  m = cast_message_at(L, 1);
  cast_arg_check(L, m != NULL, 1, "not a message");
  seats = cast_arg_number(L, 2);
  cast_arg_check(L, seats >= 1 && seats <= SEATS_MAX, 2, "not a number");
  capacity = cast_arg_number(L, 3);
  cast_arg_check(L, capacity >= 0, 3, "not a number");
  if (!lua_isnil(L, 8)) name = cast_arg_string(L, 8, &size);
  v = service_push(
    L, lua_isnil(L, 7) ? (double)HUGE_VAL : (double)cast_arg_number(L, 7));
  v->calls = c = cast_calls_new(name, size);
  if (c == NULL) cast_raise_memory(L);
  c->spec = cast_ref(&m->object);
  c->nseats = (uint32_t)seats;
  c->capacity = capacity < 1e15 ? (size_t)capacity : SIZE_MAX;
  c->seconds = v->seconds;
  c->cancels = lua_toboolean(L, 4);
  c->restarts = lua_toboolean(L, 5);
  c->own = lua_toboolean(L, 6);
  return cast_calls_publish(c) == 0 ? 1 : 0;
}

/* internal.service_spec(service): the message with what is served. */
int cast_lib_service_spec(lua_State *L) {
  const cast_calls *c = cast_service_calls(L, 1);
  cast_handle_push(L, c->spec);
  return 1;
}

/* casting.named_service(name): its handle; nil if there is none. */
int cast_lib_named_service(lua_State *L) {
  size_t size;
  const char *name = cast_arg_string(L, 1, &size);
  cast_state *S = cast_state_here(L);
  cast_object **box = cast_box_push(L, S);
  cast_calls *c = cast_calls_find(name, size);
  if (c == NULL) return 0;
  *box = &c->object;
  service_push(L, c->seconds)->calls = cast_ref(&c->object);
  return 1;
}
