/* lib_casting.c - the module table.
   SPDX-License-Identifier: MIT

   The table is made when a state first requires the module, which most sessions
   never do. Here are also the functions that no other file has the noun for. */
#include "lib_casting.h"

#include "../../../include/casting.h"
#include "../../base.h"
#include "../../chan.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../runtime.h"
#include "../../sched.h"
#include "../../worker.h"
#include "../compat/call.h"
#include "../compat/compat.h"
#include "../io/fs.h"
#include "../io/fs_watch.h"
#include "../io/net.h"
#include "../io/net_listener.h"
#include "../io/net_udp.h"
#include "../io/proc.h"
#include "../luasocket/sock.h"
#include "../session/library.h"
#include "../session/loader.h"
#include "../session/mainstate.h"
#include "../session/newsession.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/state.h"
#include "../stop/cancel.h"
#include "../stop/preempt.h"
#include "../task/failure.h"
#include "../transfer/module.h"
#include "chanuse.h"
#include "embed.h"
#include "lib.h"
#include "lib_broadcast.h"
#include "lib_chan.h"
#include "lib_limiter.h"
#include "lib_message.h"
#include "lib_part.h"
#include "lib_report.h"
#include "lib_scope.h"
#include "lib_semaphore.h"
#include "lib_service.h"
#include "lib_session.h"
#include "lib_task.h"

#include <math.h>

static int lib_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)os_now() * 1e-9);
  return 1;
}

/* A number of threads; 0 if the argument is missing: the limit stays. */
static uint32_t check_threads(lua_State *L, int i) {
  lua_Number n;
  if (lua_isnoneornil(L, i)) return 0;
  n = cast_arg_number(L, i);
  cast_arg_check(L, n >= 1 && n <= CAST_WORKERS_MAX && n == floor(n), i,
    "a number of threads must be an integer from 1 to 1024");
  return (uint32_t)n;
}

/* casting.threads([min [, max]]): sets what is given, and returns both. */
static int lib_threads(lua_State *L) {
  uint32_t min, max;
  cast_state_here(L);
  min = check_threads(L, 1);
  max = check_threads(L, 2);
  cast_arg_check(L, min == 0 || max == 0 || min <= max, 2,
    "the maximum is below the minimum");
  cast_runtime_threads(&min, &max);
  lua_pushinteger(L, (lua_Integer)min);
  lua_pushinteger(L, (lua_Integer)max);
  return 2;
}

/* -- blocking ------------------------------------------------------------- */

/* casting.blocking(f, ...): calls f, which may block the thread in a C
   function. The worker gives up its permit first, so that another thread runs
   the other sessions meanwhile; it asks for a permit again at the end of its
   slice. */
static int lib_blocking(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_worker *w = cast_worker_of(&S->session);
  cast_arg_function(L, 1);
  if (w != NULL && cast_sched_retake(w, cast_sched_tick(w))) cast_sched_wake();
  return cast_lua_call_all(L);
}

/* casting.on_error(channel | nil): where failures that nobody joins are
   sent. */
static int lib_on_error(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_chan *c = NULL;
  if (!lua_isnoneornil(L, 1)) {
    c = cast_chan_arg(L, 1);
    cast_ref(&c->object);
  }
  cast_failures_to(c, S->root);
  return 0;
}

static int lib_is_cancelled(lua_State *L) {
  cast_arg_any(L, 1);
  lua_pushboolean(L, cast_cancel_is_error(L, 1));
  return 1;
}

static const luaL_Reg functions[] = {
  {"channel", cast_lib_channel},
  {"broadcast", cast_lib_broadcast},
  {"named", cast_lib_named},
  {"named_service", cast_lib_named_service},
  {"after", cast_lib_after},
  {"every", cast_lib_every},
  {"select", cast_lib_select},
  {"semaphore", cast_lib_semaphore},
  {"session", cast_lib_session},
  {"require", cast_lib_require},
  {"pack", cast_lib_pack},
  {"transferable", cast_lib_transferable},
  {"spawn", cast_lib_spawn},
  {"self", cast_lib_self},
  {"yield", cast_lib_yield},
  {"sleep", cast_lib_sleep},
  {"run", cast_lib_run},
  {"poll", cast_lib_poll},
  {"fd", cast_lib_fd},
  {"now", lib_now},
  {"threads", lib_threads},
  {"blocking", lib_blocking},
  {"on_error", lib_on_error},
  {"report", cast_lib_report},
  {"is_cancelled", lib_is_cancelled},
  {"with_timeout", cast_lib_with_timeout},
  {"shield", cast_lib_shield},
  {NULL, NULL},
};

/* -- in a sandbox --------------------------------------------------------- */

/* Stands for a function that reaches what is the host's, or the whole
   process's; the upvalue is its name. */
static int lib_unavailable(lua_State *L) {
  return cast_lua_error(L, "casting.%s is not available in a sandbox",
    lua_tostring(L, lua_upvalueindex(1)));
}

/* Replaces such functions in the module on the top. */
static void restrict_module(lua_State *L) {
  static const char *const names[] = {"named", "named_service", "service",
    "once", "broadcast", "threads", "blocking", "on_error", "poll", "fd",
    "require"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_pushstring(L, names[i]);
    lua_pushcclosure(L, lib_unavailable, 1);
    lua_setfield(L, -2, names[i]);
  }
}

const casting_functions *cast_module_functions;

/* Makes the module and pushes it. */
static void open_module(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)cast_module_functions);
  lua_setfield(L, LUA_REGISTRYINDEX, CASTING_FUNCTIONS_KEY);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, functions, 1);
  cast_open_scope(L);
  cast_open_embedded(L);
  cast_lib_parts_open(L);
  if (cast_state_find(L)->sandbox != NULL) restrict_module(L);
  lua_pushliteral(L, CASTING_VERSION);
  lua_setfield(L, -2, "_VERSION");
  /* The metatable of cancellation errors must have a name, so that it crosses
     to other sessions by that. */
  cast_cancel_push(L, cast_chars_of(NULL));
  lua_getmetatable(L, -1);
  lua_setfield(L, -3, "cancelled");
  lua_pop(L, 1);
}

/* The classes of handles. */
static const cast_class *const classes[] = {
  &cast_chan_class,
  &cast_task_class,
  &cast_session_class,
  &cast_message_class,
  &cast_semaphore_class,
  &cast_permit_class,
  &cast_limiter_class,
  &cast_broadcast_class,
  &cast_listener_class,
  &cast_udp_class,
  &cast_process_class,
  &cast_fs_class,
  &cast_watching_class,
  &cast_service_class,
  NULL,
};

/* For the packer: the module of our own that has this name. */
static bool push_module(lua_State *L, const char *name, size_t size) {
  for (const cast_lib_part *p = cast_lib_parts; p->name != NULL; p++) {
    if (size != strlen(p->name) || memcmp(name, p->name, size) != 0) continue;
    if (!cast_libs_has(cast_state_find(L), p->lib)) return false;
    cast_lib_part_push(L, p->name);
    return true;
  }
  return cast_embed_module(L, name, size);
}

/* What require "casting.X" calls, with that name; casting need not be
   loaded. */
static int open_part(lua_State *L) {
  size_t size;
  const char *name = cast_arg_string(L, 1, &size);
  luaopen_casting(L);
  cast_lib_part_push(L, name);
  return 1;
}

const cast_binding cast_module_binding = {
  .classes = classes,
  .functions = functions,
  .methods = {[CAST_METHODS_STREAM] = cast_net_stream_methods,
    [CAST_METHODS_STREAM_META] = cast_net_stream_meta,
    [CAST_METHODS_NET] = cast_net_functions,
    [CAST_METHODS_PROCESS] = cast_proc_functions,
    [CAST_METHODS_FS] = cast_fs_functions,
    [CAST_METHODS_SOCK_TCP] = cast_sock_tcp_methods,
    [CAST_METHODS_SOCK_UDP] = cast_sock_udp_methods,
    [CAST_METHODS_SOCK_UNIX] = cast_sock_unix_methods,
    [CAST_METHODS_SOCK_DGRAM] = cast_sock_dgram_methods},
  .of_handles = cast_handle_meta,
  .stub = cast_embed_stub,
  .hook = cast_preempt_hook,
  .overdue = cast_stop_is_overdue,
  .open = luaopen_casting,
  .open_part = open_part,
  .call = cast_embed_call,
  .open_module = open_module,
  .module = push_module,
  .cpu_over = cast_state_cpu_over,
  .find_deadlock = cast_deadlock_begin_report,
  .raise_deadlock = cast_deadlock_raise,
  .end = cast_state_end,
};

/* What require "casting" calls. In a Lua state that casting does not know yet
   it makes the state a host; a session of ours was prepared when it was
   made. */
int luaopen_casting(lua_State *L) {
  cast_state *S;
  cast_version_check(L);
  S = cast_state_find(L);
  if (CAST_UNLIKELY(cast_forked) && (S == NULL || S->packer == NULL))
    cast_raise_closed(L);
  if (S == NULL) {
    cast_starve_host(L);
    cast_state_host(L, &cast_module_binding);
    cast_report_when_asked();
  } else if (S->packer == NULL) {
    cast_state_init_lua(L, S); /* the last attempt has run out of memory */
  }
  cast_module_push(L);
  return 1;
}

int luaopen_casting_net(lua_State *L) {
  luaopen_casting(L);
  cast_lib_part_push(L, "casting.net");
  return 1;
}

int luaopen_casting_process(lua_State *L) {
  luaopen_casting(L);
  cast_lib_part_push(L, "casting.process");
  return 1;
}

int luaopen_casting_fs(lua_State *L) {
  luaopen_casting(L);
  cast_lib_part_push(L, "casting.fs");
  return 1;
}

int luaopen_casting_socket(lua_State *L) {
  luaopen_casting(L);
  cast_lib_part_push(L, "casting.socket");
  return 1;
}
