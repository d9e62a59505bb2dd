/* lib_semaphore.c - semaphores for Lua.
   SPDX-License-Identifier: MIT

   The handle of a permit is made before the task enters the queue, and stays on
   its stack while it waits: so nothing can fail once the permit is held. A
   handle that is collected does not release its permit, which would make it a
   matter of luck how many tasks hold one: the end of the task does
   (../../semaphore.h). */
#include "lib_semaphore.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../msg.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../semaphore.h"
#include "../../types.h"
#include "../compat/auxiliary.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../task/enter.h"
#include "../task/newtask.h"
#include "../task/park.h"
#include "../task/scratch.h"
#include "lib.h"

#include <math.h>

static cast_semaphore *check_semaphore(lua_State *L) {
  cast_object *o =
    cast_handle_quick(L, cast_state_here(L), 1, &cast_semaphore_type);
  return CAST_CONTAINER(o, cast_semaphore, object);
}

static cast_permit *check_permit(lua_State *L) {
  cast_object *o = cast_handle_check(L, 1, &cast_permit_type);
  return CAST_CONTAINER(o, cast_permit, object);
}

/* A whole number from 1 to `most`. Raises. */
static uint32_t check_places(
  lua_State *L, int i, const char *what, uint32_t most) {
  lua_Number n = cast_arg_number(L, i);
  if (CAST_UNLIKELY(!(n >= 1 && n <= most && n == floor(n))))
    cast_arg_error(L, i,
      lua_pushfstring(L, "%s must be an integer from 1 to %d, got %s", what,
        (int)most, cast_arg_got(L, i)));
  return (uint32_t)n;
}

/* Pushes a handle, and returns what makes its object: fails at first if a
   sandbox has no room, for there may be others that nobody has any more. */
static cast_semaphore *push_semaphore(lua_State *L, uint32_t size) {
  cast_handle *h =
    cast_handle_new(L, &cast_semaphore_type, sizeof(cast_semaphore));
  const cast_state *S = cast_state_find(L);
  cast_semaphore *s;
  if (S == NULL) cast_raise_closed(L); /* by a finalizer, meanwhile */
  s = cast_semaphore_new(size, S->session.account);
  if (s == NULL) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    s = cast_semaphore_new(size, S->session.account);
  }
  if (s == NULL) cast_raise_memory(L);
  h->object = &s->object;
  cast_handle_note(L, h);
  return s;
}

static cast_permit *push_permit(
  lua_State *L, cast_semaphore *s, uint32_t weight) {
  cast_handle *h = cast_handle_new(L, &cast_permit_type, sizeof(cast_permit));
  const cast_state *S = cast_state_find(L);
  cast_permit *p;
  if (S == NULL) cast_raise_closed(L); /* by a finalizer, meanwhile */
  p = cast_permit_new(s, weight, S->session.account);
  if (p == NULL) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    p = cast_permit_new(s, weight, S->session.account);
  }
  if (p == NULL) cast_raise_memory(L);
  h->object = &p->object;
  cast_handle_note(L, h);
  return p;
}

/* casting.semaphore(n) */
int cast_lib_semaphore(lua_State *L) {
  cast_state_here(L);
  push_semaphore(L, check_places(L, 1, "a number of places", CAST_PLACES_MAX));
  return 1;
}

/* -- semaphore:acquire ([n [, timeout]]) ---------------------------------- */

/* Called for interrupted waits as well. That the permit is held although the
   result is not 0 is possible: what ends a program overrides what has come
   (complete.c). */
static int finish_acquire(
  lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_permit *p = CAST_CONTAINER((cast_object *)t->arg, cast_permit, object);
  if (CAST_LIKELY(result == 0)) {
    cast_msg_drop(&t->base.waiter.msg);
    cast_handle_push(L, &p->object);
    return 1;
  }
  cast_permit_drop(p, &S->session);
  return cast_push_interrupt(L, result);
}

static void describe_acquire(cast_buffer *b, const cast_ltask *t) {
  const cast_permit *p =
    CAST_CONTAINER((cast_object *)t->arg, cast_permit, object);
  cast_buffer_form(
    b, "waiting for semaphore: %p", (const void *)&p->semaphore->object);
  if (p->weight > 1) cast_buffer_form(b, " (%u places)", (unsigned)p->weight);
}

static const cast_wait_kind acquire_kind = {
  .finish = finish_acquire, .describe = describe_acquire, .cleans_up = true};

static uint32_t check_weight(lua_State *L, const cast_semaphore *s) {
  if (lua_isnoneornil(L, 2)) return 1;
  return check_places(L, 2, "a number of places", s->size);
}

/* Acquires if that needs no waiting; `if_full` is the result if it does. It
   works also where no task may wait, as in finalizers. */
static int try_acquire(
  lua_State *L, cast_semaphore *s, uint32_t weight, int if_full) {
  cast_permit *p = push_permit(L, s, weight);
  cast_ltask *t = cast_scratch(L, cast_state_here(L));
  int rc = cast_permit_acquire(p, &t->base, false);
  if (rc == 0) return 1;
  return cast_push_failure(L, rc == CASTING_EFULL ? if_full : rc);
}

static int semaphore_acquire(lua_State *L) {
  cast_semaphore *s = check_semaphore(L);
  cast_state *S = cast_state_here(L);
  uint32_t weight = check_weight(L, s);
  uint64_t deadline = cast_deadline(L, 3);
  cast_permit *p;
  cast_ltask *t;
  int rc;
  if (deadline != OS_FOREVER && lua_tonumber(L, 3) <= 0)
    return try_acquire(L, s, weight, CASTING_ETIMEOUT);
  p = push_permit(L, s, weight);
  t = cast_enter(L, S, deadline);
  t->arg = &p->object;
  rc = cast_permit_acquire(p, &t->base, true);
  if (rc == CAST_PARKED)
    return cast_park_about(L, S, t, deadline, &acquire_kind);
  t->arg = NULL;
  return rc == 0 ? 1 : cast_push_failure(L, rc);
}

static int semaphore_try_acquire(lua_State *L) {
  cast_semaphore *s = check_semaphore(L);
  return try_acquire(L, s, check_weight(L, s), CASTING_EFULL);
}

/* semaphore:with(f, ...), which is written in Lua. */
int cast_semaphore_with(lua_State *L) {
  return cast_state_here(L)->binding->call(L, "semaphore_with", "with");
}

/* -- the rest ------------------------------------------------------------- */

/* In the child of a fork it does nothing: the tasks that a close would wake do
   not exist there, and the lock may be held for good. */
static int semaphore_close(lua_State *L) {
  cast_object *o = cast_handle_check(L, 1, &cast_semaphore_type);
  cast_semaphore *s = CAST_CONTAINER(o, cast_semaphore, object);
  lua_pushboolean(
    L, !cast_forked && cast_semaphore_close(s, &cast_state_here(L)->session));
  return 1;
}

/* __close. When a state is closed, its handles were emptied before that: then
   there is nothing to close. */
static int semaphore_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return semaphore_close(L);
}

static int semaphore_closed(lua_State *L) {
  lua_pushboolean(L, cast_semaphore_is_closed(check_semaphore(L)));
  return 1;
}

static int semaphore_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_semaphore(L)->size);
  return 1;
}

static int semaphore_available(lua_State *L) {
  cast_semaphore *s = check_semaphore(L);
  lua_pushinteger(L, (lua_Integer)cast_semaphore_available(s));
  return 1;
}

static const luaL_Reg semaphore_methods[] = {
  {"acquire", semaphore_acquire},
  {"try_acquire", semaphore_try_acquire},
  {"with", cast_semaphore_with},
  {"available", semaphore_available},
  {"size", semaphore_size},
  {"close", semaphore_close},
  {"closed", semaphore_closed},
  {NULL, NULL},
};

static const luaL_Reg semaphore_meta[] = {
  {"__close", semaphore_close_scope},
  {NULL, NULL},
};

/* A sandbox closes what it has made, as channels. */
static int guarded_close(lua_State *L) {
  cast_object *o = cast_handle_check(L, 1, &cast_semaphore_type);
  const cast_account *a = CAST_CONTAINER(o, cast_semaphore, object)->account;
  const cast_state *S = cast_state_here(L);
  if (a == NULL || !cast_account_is_below(a, S->session.account))
    return cast_lua_error(
      L, "close: the semaphore was not made by this sandbox");
  return semaphore_close(L);
}

static int guarded_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return guarded_close(L);
}

static const luaL_Reg semaphore_sandbox_methods[] = {
  {"close", guarded_close},
  {NULL, NULL},
};

static const luaL_Reg semaphore_sandbox_meta[] = {
  {"__close", guarded_close_scope},
  {NULL, NULL},
};

const cast_class cast_semaphore_class = {
  .type = &cast_semaphore_type,
  .title = "casting.semaphore",
  .methods = semaphore_methods,
  .meta = semaphore_meta,
  .sandbox_methods = semaphore_sandbox_methods,
  .sandbox_meta = semaphore_sandbox_meta,
};

/* -- permits -------------------------------------------------------------- */

/* permit:release(). In the child of a fork it does nothing, as above. */
static int permit_release(lua_State *L) {
  cast_permit *p = check_permit(L);
  lua_pushboolean(
    L, !cast_forked && cast_permit_release(p, &cast_state_here(L)->session));
  return 1;
}

/* __close, as that of semaphores. */
static int permit_close_scope(lua_State *L) {
  if (cast_handle_test(L, 1) == NULL) return 0;
  return permit_release(L);
}

static int permit_held(lua_State *L) {
  cast_permit *p = check_permit(L);
  cast_state_here(L);
  lua_pushboolean(L, cast_permit_is_held(p));
  return 1;
}

/* permit:give(task). To belong to a task costs that one memory, so to speak,
   which a sandbox may make no others pay. */
static int permit_give(lua_State *L) {
  cast_permit *p = check_permit(L);
  cast_ltask *t = cast_ltask_check(L, 2);
  cast_state *S = cast_state_here(L);
  cast_sandbox_check(L, S, cast_state_of(t->base.session), "give");
  lua_pushboolean(L, cast_permit_give(p, &S->session, &t->base));
  return 1;
}

static const luaL_Reg permit_methods[] = {
  {"release", permit_release},
  {"held", permit_held},
  {"give", permit_give},
  {NULL, NULL},
};

static const luaL_Reg permit_meta[] = {
  {"__close", permit_close_scope},
  {NULL, NULL},
};

const cast_class cast_permit_class = {
  .type = &cast_permit_type,
  .title = "casting.permit",
  .methods = permit_methods,
  .meta = permit_meta,
};
