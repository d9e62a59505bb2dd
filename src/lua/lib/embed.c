/* embed.c - what of the library is written in Lua, loaded on first use.
   SPDX-License-Identifier: MIT

   Each file of lualib/casting/ is a chunk that is called with the module and
   the table `internal`, and returns one value: a function, or a table with
   functions or with the methods of a class. `internal` keeps that value under
   the name of the file. The files refer to each other through `internal`, whose
   __index loads a file that is missing. Their globals are the functions of
   builtin.c.

   The module has a C function for each public one, cast_embed_stub. So a
   session that uses none of them pays for no more than that, and the function
   crosses to other sessions by its name, as any C function of a module.

   What is in `internal` is not for programs, so no table of theirs has it. It
   has a name, though (names.h): classes, and internal.run, by which a session
   has another one call a file's function, cross as members of it. Should a
   program get hold of it nevertheless, nothing there crashes, whatever it is
   called with, and what acts on others asks whether this sandbox may. */
#include "embed.h"

#include "../../base.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../object.h"
#include "../../os/os.h"
#include "../../runtime.h"
#include "../../types.h"
#include "../compat/call.h"
#include "../compat/compat.h"
#include "../compat/single.h"
#include "../io/fs.h"
#include "../io/net.h"
#include "../io/proc.h"
#include "../io/terminal.h"
#include "../luasocket/sock.h"
#include "../session/builtin.h"
#include "../session/options.h"
#include "../state/argument.h"
#include "../state/handle.h"
#include "../state/ltask.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../task/newtask.h"
#include "../transfer/module.h"
#include "../transfer/names.h"
#include "embedded.h" /* what the build makes of lualib/casting */
#include "lib.h"
#include "lib_link.h"
#include "lib_monitor.h"
#include "lib_scope.h"
#include "lib_service.h"
#include "misuse.h"

static const char internal_key = 0; /* of `internal`, in the registry */

/* -- files ---------------------------------------------------------------- */

/* The file of that name, or NULL. */
static const cast_embedded *find_file(const char *name) {
  const cast_embedded *f = cast_embedded_files;
  while (f->name != NULL && strcmp(f->name, name) != 0) f++;
  return f->name != NULL ? f : NULL;
}

/* Pushes the file's text. It is kept as lines, since a C compiler need not take
   a literal of more than 4095 bytes. */
static void push_text(lua_State *L, const cast_embedded *f) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (const char *const *line = f->lines; *line != NULL; line++)
    luaL_addstring(&b, *line);
  luaL_pushresult(&b);
}

/* From now on the value on the top crosses to other sessions as that member of
   `internal`, or as `internal` itself if `member` is NULL. */
static void give_name(lua_State *L, cast_state *S, const char *member) {
  int at = lua_gettop(L);
  lua_pushliteral(L, CAST_NAMES_OWN);
  if (member != NULL) {
    lua_pushlstring(L, "\0", 1);
    lua_pushstring(L, member);
    lua_concat(L, 3);
  }
  cast_names_give(S->packer, L, at);
}

/* The same for the fields of the table on the top, whose names are `prefix` and
   their keys. */
static void give_names(
  lua_State *L, cast_state *S, const char *prefix, size_t size) {
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    lua_pushlstring(L, prefix, size);
    lua_pushvalue(L, table + 1);
    lua_concat(L, 2);
    cast_names_give(S->packer, L, table + 2);
  }
}

/* Gives the chunk on the top the functions of builtin.c as its globals, and no
   others. */
static void set_globals(lua_State *L) {
  lua_getfield(L, 1, "builtin");
#if CAST_LUA >= 502
  if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
#else
  lua_setfenv(L, -2);
#endif
}

/* Pushes the module for the files; `internal` is at 1. A sandbox could put
   functions of its own into that which it has, and they would be called with
   what it must not reach, such as internal.run: so there the files have a table
   to themselves, internal.casting. */
static void push_module(lua_State *L) {
  const cast_state *S = cast_state_find(L);
  if (S == NULL) cast_raise_closed(L); /* by a finalizer, since it was called */
  if (S->sandbox != NULL)
    lua_getfield(L, 1, "casting");
  else
    cast_module_push(L);
}

/* Pushes the value of a file, whose chunk is called with the module and the
   table `internal`, at 1. */
static void call_file(lua_State *L, const cast_embedded *f) {
  const char *text;
  size_t size;
  lua_pushfstring(L, CAST_OWN_SOURCE "%s.lua", f->name);
  push_text(L, f);
  text = lua_tolstring(L, -1, &size);
  if (cast_lua_load(L, text, size, lua_tostring(L, -2), "t") != LUA_OK)
    lua_error(L);
  set_globals(L);
  push_module(L);
  lua_pushvalue(L, 1);
  lua_call(L, 2, 1);
}

/* internal.__index(internal, name): loads the file of that name, and returns
   its value; nil if there is no such file. `sockets`, `processes` and `files`
   are tables of functions in C that the files about casting.net,
   casting.process and casting.fs put together; `terminals` is for the
   launcher's. */
static int load_file(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const char *name = luaL_checkstring(L, 2);
  const cast_embedded *f = find_file(name);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (f != NULL)
    call_file(L, f);
  else if (strcmp(name, "sockets") == 0)
    cast_net_open(L);
  else if (strcmp(name, "processes") == 0)
    cast_proc_open(L);
  else if (strcmp(name, "files") == 0)
    cast_fs_open(L);
  else if (strcmp(name, "luasocket") == 0)
    cast_sock_open(L);
  else if (strcmp(name, "terminals") == 0)
    cast_terminal_open(L);
  else if (strcmp(name, "casting") == 0 && S->sandbox != NULL)
    S->binding->open_module(L);
  else
    return 0;
  lua_pushvalue(L, 2);
  lua_rawget(L, 1);
  /* A finalizer that has run meanwhile may have loaded it, too. Its value
     stays: there must not be two tables of one class. */
  if (!lua_isnil(L, -1)) return 1;
  lua_pop(L, 1);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  if (lua_istable(L, -1)) give_name(L, S, name);
  return 1;
}

static int run(lua_State *L);

/* internal.unpack(list, n): not every session has the table library. */
static int unpack(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 2);
  int n = (int)count;
  cast_arg_table(L, 1);
  cast_arg_check(L, count >= 0 && count <= CAST_VALUES_MAX, 2, "not a count");
  luaL_checkstack(L, n, "too many values to unpack");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, 1, i);
  return n;
}

/* internal.require(name): the program's own require, whatever that is now. */
static int call_require(lua_State *L) {
  lua_settop(L, 1);
  lua_getglobal(L, "require");
  lua_insert(L, 1);
  return cast_lua_call_all(L);
}

/* internal.forked(): is this the child of a fork, which cannot use casting? */
static int is_forked(lua_State *L) {
  lua_pushboolean(L, cast_forked);
  return 1;
}

/* internal.may(handle): may this session act on that session, or on that of the
   task? See ../state/sandbox.c. */
static int may(lua_State *L) {
  const cast_state *S = cast_state_here(L);
  cast_object *o = cast_handle_test(L, 1);
  const cast_session *s = NULL;
  if (o != NULL && o->type == &cast_session_type)
    s = CAST_CONTAINER(o, cast_session, object);
  if (o != NULL && o->type == &cast_task_type)
    s = CAST_CONTAINER(o, cast_task, object)->session;
  lua_pushboolean(L,
    s != NULL && cast_sandbox_may(S, CAST_CONTAINER(s, cast_state, session)));
  return 1;
}

/* Raises unless the sandbox may act on the session of the task at 1. */
static void check_task(lua_State *L, const char *name) {
  const cast_ltask *t = cast_ltask_check(L, 1);
  cast_sandbox_check(
    L, cast_state_here(L), cast_state_of(t->base.session), name);
}

/* internal.disown(task), internal.own(task), internal.failure_text(task): see
   lib_monitor.c. */
static int disown(lua_State *L) {
  check_task(L, "disown");
  return cast_lib_disown(L);
}

static int own(lua_State *L) {
  check_task(L, "own");
  return cast_lib_own(L);
}

static int failure_text(lua_State *L) {
  check_task(L, "failure_text");
  return cast_lib_failure_text(L);
}

/* internal.cores(): how many sessions can compute at the same time. */
static int count_cores(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)cast_runtime_cores());
  return 1;
}

/* internal.random(): a number from 0 to 1, but not 1. For pauses, not for
   secrets: the time, mixed as splitmix64 does. */
static int random_number(lua_State *L) {
  uint64_t x = os_now() + (uintptr_t)L;
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  lua_pushnumber(L, (lua_Number)((x ^ x >> 31) >> 11) * 0x1p-53);
  return 1;
}

/* Makes the table: a cast_maker (single.h). */
static void make_internal(lua_State *L, const void *arg) {
  static const luaL_Reg internals[] = {
    {"run", run},
    {"unpack", unpack},
    {"notice", cast_lib_notice},
    {"failure_text", failure_text},
    {"disown", disown},
    {"own", own},
    {"cores", count_cores},
    {"bad", cast_lib_bad},
    {"got", cast_lib_got},
    {"quote", cast_lib_quote},
    {"kind", cast_lib_kind},
    {"room", cast_lib_room},
    {"trace", cast_lib_trace},
    {"where", cast_lib_where},
    {"spawnable", cast_lib_spawnable},
    {"pack_code", cast_lib_pack_code},
    {"may", may},
    {"source_problem", cast_lib_source_problem},
    {"usable", cast_lib_usable},
    {"session_problem", cast_lib_session_problem},
    {"forked", is_forked},
    {"new_limiter", cast_lib_limiter},
    {"new_subscriber", cast_lib_subscribe},
    {"peek", cast_lib_peek},
    {"random", random_number},
    {"prolong", cast_lib_prolong},
    {"follow", cast_lib_follow},
    {"service_new", cast_lib_service_new},
    {"service_spec", cast_lib_service_spec},
    {"service_open", cast_lib_service_open},
    {"service_drain", cast_lib_service_drain},
    {"require", call_require},
#if CAST_DEBUG >= 1
    {"starve", cast_starve},
#endif
    {NULL, NULL}
  };
  static const luaL_Reg meta[] = {{"__index", load_file}, {NULL, NULL}};
  CAST_UNUSED(arg);
  lua_newtable(L);
  cast_state_box(L);
  luaL_setfuncs(L, internals, 1);
  lua_createtable(L, 0, 1);
  cast_state_box(L);
  luaL_setfuncs(L, meta, 1);
  lua_setmetatable(L, -2);
  cast_builtin_push(L);
  lua_setfield(L, -2, "builtin");
}

/* When the table is made, all that may cross is given its name: the functions
   of builtin.c, `internal` itself, and its members. */
void cast_internal_push(lua_State *L) {
  static const char builtin[] = CAST_NAMES_OWN "\0builtin\0";
  cast_state *S = cast_state_find(L);
  luaL_checkstack(L, 8, NULL);
  if (!cast_single_push(L, &internal_key, make_internal, NULL)) return;
  lua_getfield(L, -1, "builtin");
  give_names(L, S, builtin, sizeof builtin - 1);
  lua_pop(L, 1);
  give_name(L, S, NULL);
  give_names(L, S, builtin, sizeof CAST_NAMES_OWN);
}

bool cast_embed_module(lua_State *L, const char *name, size_t size) {
  if (size == 7 && memcmp(name, "casting", 7) == 0)
    cast_module_push(L);
  else if (cast_names_is_own(name, size))
    cast_internal_push(L);
  else
    return false;
  return true;
}

/* internal.run(name, ...): calls the function of the file `name` with the other
   arguments. The file is one of those that are called in another session. */
static int run(lua_State *L) {
  static const char *const names[] = {
    "request", "serve_session", "service_keeper", "supervise"};
  const char *name = luaL_checkstring(L, 1);
  bool is = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    is |= strcmp(name, names[i]) == 0;
  if (!is) luaL_argerror(L, 1, "not a task of the library's");
  cast_internal_push(L);
  lua_pushvalue(L, 1);
  lua_gettable(L, -2);
  lua_replace(L, 1);
  lua_pop(L, 1);
  return cast_lua_call_all(L);
}

/* -- the module's members ------------------------------------------------- */

int cast_embed_call(lua_State *L, const char *file, const char *name) {
  if (CAST_UNLIKELY(cast_state_here(L)->closing))
    cast_lua_error(L, "%s: the session has been closed", name);
  cast_internal_push(L);
  lua_getfield(L, -1, file);
  lua_replace(L, -2);
  lua_insert(L, 1);
  return cast_lua_call_all(L);
}

/* The second upvalue is the name of the function's file, which is that of the
   public function, for casting.net with "net_" in front of it. */
int cast_embed_stub(lua_State *L) {
  const char *file = lua_tostring(L, lua_upvalueindex(2));
  return cast_embed_call(
    L, file, strncmp(file, "net_", 4) == 0 ? file + 4 : file);
}

static const luaL_Reg functions[] = {
  {"scope", cast_embed_stub},
  {"all", cast_embed_stub},
  {"race", cast_embed_stub},
  {"map", cast_embed_stub},
  {"stream", cast_embed_stub},
  {"supervisor", cast_embed_stub},
  {"limiter", cast_embed_stub},
  {"retry", cast_embed_stub},
  {"pool", cast_embed_stub},
  {"service", cast_embed_stub},
  {"once", cast_embed_stub},
  {NULL, NULL},
};

void cast_open_embedded(lua_State *L) {
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushstring(L, f->name);
    cast_state_box(L);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, f->func, 2);
    lua_rawset(L, -3);
  }
}
