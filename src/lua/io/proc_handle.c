/* proc_handle.c - handles of processes, and what is done with one.
   SPDX-License-Identifier: MIT

   A process is shared by the sessions that have a handle of it. Its streams are
   not: they belong to the session that has started it, where they are fields of
   its handle. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../../buffer.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "../session/library.h"
#include "../state/argument.h"
#include "../task/await.h"
#include "../task/enter.h"
#include "../task/turn.h"
#include "net.h"
#include "proc.h"

#include <math.h>
#include <string.h>

/* In the registry: handle -> its fields, weak. */
static const char fields_key = 0;

static cast_process *this_process(lua_State *L) {
  cast_process *p = CAST_CONTAINER(
    cast_handle_check(L, 1, &cast_process_type), cast_process, object);
  if (p->file == NULL) cast_misuse(L, "this process was not started");
  return p;
}

/* -- fields --------------------------------------------------------------- */

void cast_proc_set_fields(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  (void)cast_single_push(L, &fields_key, cast_make_weak, "k");
  lua_insert(L, -2);
  lua_pushvalue(L, idx);
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* For a key that is no method: its number, or one of its streams. */
static int process_field(lua_State *L) {
  if (cast_arg_is(L, 2, "pid")) {
    lua_pushinteger(L, (lua_Integer)this_process(L)->child.process);
    return 1;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &fields_key);
  if (!lua_istable(L, -1)) return 0;
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  if (!lua_istable(L, -1)) return 0;
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

/* -- waiting -------------------------------------------------------------- */

static int push_ending(lua_State *L, cast_process *p) {
  const os_ending *e = &p->ending;
  cast_process_told(p);
  if (!e->known) {
    lua_pushnil(L);
    lua_pushliteral(L, "other code has taken how this process ended");
    return 2;
  }
  lua_pushstring(L, e->by_signal ? "signal" : "exit");
  lua_pushinteger(L, e->code);
  return 2;
}

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_process *p = t->arg;
  if (result == CASTING_ECLOSED && cast_process_look(p, &S->session))
    result = 0;
  return result == 0 ? push_ending(L, p) : cast_net_failure(L, result);
}

static int again(cast_state *S, cast_ltask *t) {
  CAST_UNUSED(S);
  return cast_process_wait(t->arg, &t->base);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  cast_buffer_add(b, "waiting for ");
  cast_process_describe(b, t->arg);
}

static const cast_wait_kind process_kind = {
  .finish = finish, .again = again, .describe = describe};

/* process:wait([timeout]): "exit", code; "signal", number; or nil, why */
static int process_wait(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_process *p = this_process(L);
  uint64_t deadline = OS_FOREVER;
  bool waits = true;
  cast_ltask *t;
  int rc;
  if (!lua_isnoneornil(L, 2)) {
    deadline = cast_deadline(L, 2);
    waits = deadline == OS_FOREVER || lua_tonumber(L, 2) > 0;
  }
  t = cast_enter(L, S, deadline);
  if (!waits) cast_turn_first(L, S, t);
  if (cast_process_look(p, &S->session)) return push_ending(L, p);
  if (!waits) return cast_net_failure(L, CASTING_ETIMEOUT);
  t->arg = p;
  rc = cast_process_wait(p, &t->base);
  if (rc == CAST_PARKED)
    return cast_park_about(L, S, t, deadline, &process_kind);
  return finish(L, S, t, rc);
}

/* -- signals -------------------------------------------------------------- */

static int signal_arg(lua_State *L, int i) {
  int number = 0;
  if (lua_isnoneornil(L, i)) return os_signal_number("TERM");
  if (lua_type(L, i) == LUA_TNUMBER) {
    lua_Number n = lua_tonumber(L, i);
    if (n >= 0 && n <= 64 && n == floor(n)) return (int)n;
  } else if (lua_type(L, i) == LUA_TSTRING) {
    size_t size;
    const char *name = lua_tolstring(L, i, &size);
    if (strlen(name) == size) number = os_signal_number(name);
  }
  cast_arg_check(L, number != 0, i, "the name or number of a signal expected");
  return number;
}

/* process:kill([signal]): true; or nil, why */
static int process_kill(lua_State *L) {
  const cast_state *S = cast_state_here(L);
  cast_process *p = this_process(L);
  int number = signal_arg(L, 2), rc = cast_process_kill(p, number);
  CAST_UNUSED(S);
  if (rc == CASTING_ECLOSED) {
    lua_pushnil(L);
    lua_pushliteral(L, "the process has ended");
    return 2;
  }
  if (rc != 0) return cast_net_failure(L, rc);
  lua_pushboolean(L, 1);
  return 1;
}

int cast_proc_stop(lua_State *L) {
  cast_process *p = this_process(L);
  uint64_t now = os_now(), end = cast_deadline(L, 2);
  uint64_t grace = end > now ? end - now : 0;
  lua_pushboolean(
    L, cast_process_stop(p, end == OS_FOREVER ? end : grace) == 0);
  return 1;
}

/* -- the class ------------------------------------------------------------ */

static int process_text(lua_State *L) {
  cast_object *o = cast_handle_test(L, 1);
  const cast_process *p;
  if (o == NULL || o->type != &cast_process_type) {
    lua_pushliteral(L, "process (closed)");
    return 1;
  }
  p = CAST_CONTAINER(o, cast_process, object);
  lua_pushfstring(L, "process: %d (%s)", (int)p->child.process, p->command);
  return 1;
}

static const luaL_Reg methods[] = {
  {"wait", process_wait},
  {"kill", process_kill},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__tostring", process_text},
  {NULL, NULL},
};

/* process:kill in a sandbox, which acts on nothing that it has not made. */
static int sandbox_kill(lua_State *L) {
  if (!cast_libs_has(cast_state_find(L), CAST_LIB_PROCESS))
    cast_misuse(L, "casting.process is not available in a sandbox");
  return process_kill(L);
}

static const luaL_Reg sandbox_methods[] = {
  {"kill", sandbox_kill},
  {NULL, NULL},
};

const cast_class cast_process_class = {
  .type = &cast_process_type,
  .title = "casting.process",
  .methods = methods,
  .meta = meta,
  .field = process_field,
  .sandbox_methods = sandbox_methods,
};

cast_process *cast_proc_push(lua_State *L, const cast_state *S) {
  cast_handle *h = cast_handle_new(L, &cast_process_type, 0);
  cast_process *p = cast_process_new(S->session.id);
  if (p == NULL) cast_raise_memory(L);
  h->object = &p->object;
  cast_handle_note(L, h);
  return p;
}
