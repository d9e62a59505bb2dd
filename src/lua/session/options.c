/* options.c - the options of casting.session.
   SPDX-License-Identifier: MIT

   Each function returns NULL, or what is wrong as a text. It is not raised
   here, for a supervisor checks the options of its children before it makes
   any, and its error names the child. */
#include "options.h"

#include "../../buffer.h"
#include "../../limits.h"
#include "../../os/os.h"
#include "../compat/compat.h"
#include "../state/argument.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "library.h"
#include "modules.h"
#include "newsession.h"

#include <math.h>

/* The sandbox that makes the session, or NULL. */
static const cast_sandbox *maker(lua_State *L) {
  const cast_state *S = cast_state_find(L);
  return S != NULL ? S->sandbox : NULL;
}

/* Refuses options that do not exist: they are misspelt. */
static const char *check_keys(lua_State *L, int i) {
  static const char *const known[] = {"name", "libs", "init", "memory", "cpu",
    "tasks", "thread", "jit", "sandbox", "modules"};
  for (lua_pushnil(L); lua_next(L, i) != 0; lua_pop(L, 1)) {
    bool ok = false;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
      ok |= cast_arg_is(L, lua_gettop(L) - 1, known[k]);
    if (!ok)
      return lua_pushfstring(L, "unknown option '%s'", cast_arg_quote(L, -2));
  }
  return NULL;
}

/* The string stays on the stack, for *o points to it. */
static const char *read_name(lua_State *L, int i, cast_options *o) {
  lua_getfield(L, i, "name");
  if (lua_isnil(L, -1)) return NULL;
  if (lua_type(L, -1) != LUA_TSTRING)
    return lua_pushfstring(
      L, "name must be a string, got %s", cast_arg_got(L, -1));
  o->name.at = lua_tolstring(L, -1, &o->name.size);
  /* Others see it in reports. */
  if (maker(L) != NULL && (o->name.size > CAST_TAME_NAME ||
                            !cast_text_is_tame(o->name.at, o->name.size)))
    return lua_pushfstring(L,
      "name must have at most %d bytes in a sandbox, and no control characters "
      "or invisible ones",
      (int)CAST_TAME_NAME);
  return NULL;
}

/* *limit = the limit of that name, or 0 if there is none. It must be positive,
   an integer if `whole`, and may be infinite. */
static const char *read_limit(
  lua_State *L, int i, const char *name, bool whole, double *limit) {
  lua_Number n;
  *limit = 0;
  lua_getfield(L, i, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return NULL;
  }
  n = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(n > 0) || (whole && n != floor(n)))
    return lua_pushfstring(L, "%s must be a positive %s, got %s", name,
      whole ? "integer" : "number", cast_arg_got(L, -1));
  lua_pop(L, 1);
  *limit = n;
  return NULL;
}

uint64_t cast_options_cpu(double seconds) {
  return seconds < 9e9 ? (uint64_t)ceil(seconds * 1e9) : OS_FOREVER;
}

/* A limit beyond what its type holds is none. For the cpu time that differs
   from no limit: with one, even an infinite one, the time is measured. */
static const char *read_limits(lua_State *L, int i, cast_options *o) {
  const char *problem;
  double n;
  if ((problem = read_limit(L, i, "memory", true, &n)) != NULL) return problem;
  if (n < 9e15) o->memory_max = (size_t)n; /* more is no limit */
  if ((problem = read_limit(L, i, "tasks", true, &n)) != NULL) return problem;
  if (n < 4e9 && n > 0) o->tasks_max = (uint32_t)n;
  if (n >= 4e9) o->tasks_max = 0;
  if ((problem = read_limit(L, i, "cpu", false, &n)) != NULL) return problem;
  if (n > 0) o->cpu_max = cast_options_cpu(n);
  return NULL;
}

/* It is checked on all versions, and changes something on LuaJIT only. */
static const char *read_jit(lua_State *L, int i, cast_options *o) {
  lua_getfield(L, i, "jit");
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
    return lua_pushfstring(
      L, "jit must be a boolean, got %s", cast_arg_got(L, -1));
  if (lua_toboolean(L, -1) && maker(L) != NULL)
    return "jit: what a sandbox makes is not compiled";
  if (!lua_isnil(L, -1))
    o->jit = lua_toboolean(L, -1) ? CAST_JIT_ON : CAST_JIT_OFF;
  lua_pop(L, 1);
  return NULL;
}

bool cast_options_interpret(const cast_options *o) {
  bool limits = o->sandbox || o->memory_max != 0 ||
                (o->cpu_max != 0 && o->cpu_max != OS_FOREVER);
  return o->jit == CAST_JIT_OFF || (o->jit == CAST_JIT_UNSAID && limits);
}

/* Refuses a table on the top that is no list, or has holes. */
static const char *check_list(lua_State *L, const char *what) {
  int list = lua_gettop(L);
  lua_Number n = 0, k;
  for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1)) n++;
  for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1)) {
    k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    bool item = k >= 1 && k == floor(k);
    if (item && k <= n) continue;
    return lua_pushfstring(L,
      item ? "%s must be a list, got one with holes before item %s"
           : "%s must be a list, got a table with a field '%s'",
      what, cast_arg_quote(L, -2));
  }
  return NULL;
}

/* Adds the library whose name is on the top. */
static const char *read_lib(lua_State *L, uint32_t *libs) {
  if (lua_type(L, -1) != LUA_TSTRING)
    return lua_pushfstring(
      L, "libs: a name must be a string, got %s", cast_arg_got(L, -1));
  if (strlen(lua_tostring(L, -1)) == lua_rawlen(L, -1) &&
      cast_libs_add(libs, lua_tostring(L, -1)))
    return NULL;
  return lua_pushfstring(
    L, "libs: unknown library '%s'", cast_arg_quote(L, -1));
}

/* *libs = the set that the value on the top, the option `libs`, means. */
static const char *read_libs(lua_State *L, bool sandbox, uint32_t *libs) {
  const char *problem = NULL;
  int list = lua_gettop(L);
  *libs = CAST_LIBS_ALL;
  if (lua_isnil(L, list)) return NULL;
  if (cast_arg_is(L, list, "all"))
    return sandbox ? "libs must be a list in a sandbox, got \"all\"" : NULL;
  if (!lua_istable(L, list))
    return lua_pushfstring(L,
      "libs must be \"all\" or a list of library names, got %s",
      cast_arg_word(L, list));
  if ((problem = check_list(L, "libs")) != NULL) return problem;
  *libs = 0;
  for (int k = 1; k <= (int)lua_rawlen(L, list) && problem == NULL; k++) {
    lua_rawgeti(L, list, k);
    problem = read_lib(L, libs);
    if (problem == NULL) lua_pop(L, 1);
  }
  return problem;
}

/* "own" is all that `thread` can be: a place for other ways later. */
static const char *read_thread(lua_State *L, int i, cast_options *o) {
  lua_getfield(L, i, "thread");
  o->own_thread = cast_arg_is(L, lua_gettop(L), "own");
  if (!o->own_thread && !lua_isnil(L, -1))
    return lua_pushfstring(
      L, "thread must be \"own\", got %s", cast_arg_word(L, -1));
  if (o->own_thread && maker(L) != NULL)
    return "thread: what a sandbox makes has no thread of its own";
  lua_pop(L, 1);
  return NULL;
}

/* -- sandboxes ------------------------------------------------------------ */

/* What a sandbox makes is a sandbox. */
static const char *read_sandbox(lua_State *L, int i, cast_options *o) {
  bool within = maker(L) != NULL;
  lua_getfield(L, i, "sandbox");
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
    return lua_pushfstring(
      L, "sandbox must be a boolean, got %s", cast_arg_got(L, -1));
  if (within && !lua_isnil(L, -1) && !lua_toboolean(L, -1))
    return "sandbox: what a sandbox makes is one, too";
  o->sandbox = within || lua_toboolean(L, -1);
  lua_pop(L, 1);
  return NULL;
}

/* Before the limits are read. */
static void set_tasks(cast_options *o) {
  if (o->sandbox) o->tasks_max = CAST_SANDBOX_TASKS;
}

/* A sandbox that is made by one has no library that this lacks. */
static const char *check_libs(lua_State *L, int i, cast_options *o) {
  const cast_sandbox *by = maker(L);
  uint32_t most = by != NULL ? by->libs : CAST_LIBS_ALL, libs;
  if (!o->sandbox) return NULL;
  lua_getfield(L, i, "libs");
  if (lua_isnil(L, -1)) o->libs = by != NULL ? most : cast_libs_harmless();
  lua_pop(L, 1);
  if ((o->libs & ~most) == 0) return NULL;
  for (const luaL_Reg *l = cast_libs; l->name != NULL; l++) {
    libs = 0;
    if (cast_libs_add(&libs, l->name) && (libs & o->libs & ~most) != 0)
      return lua_pushfstring(
        L, "libs: this sandbox has no library '%s' itself", l->name);
  }
  for (const cast_lib_part *p = cast_lib_parts; p->name != NULL; p++)
    if ((p->lib & o->libs & ~most) != 0)
      return lua_pushfstring(
        L, "libs: this sandbox has no library '%s' itself", p->name);
  return NULL;
}

/* Adds the name on the top to the text below it. */
static const char *add_module(lua_State *L) {
  const char *name;
  if (lua_type(L, -1) != LUA_TSTRING)
    return lua_pushfstring(
      L, "modules: a name must be a string, got %s", cast_arg_got(L, -1));
  name = lua_tostring(L, -1);
  if (*name == '\0')
    return "modules: a name must be a string, and not an empty one";
  if (strlen(name) != lua_rawlen(L, -1))
    return "modules: a name must be a string without zero bytes";
  if (maker(L) != NULL && !cast_modules_has(L, name))
    return lua_pushfstring(L, "modules: this sandbox may not load '%s' itself",
      cast_arg_quote(L, -1));
  lua_pushlstring(L, "\0", 1);
  lua_concat(L, 3);
  return NULL;
}

/* The text with the names stays on the stack. */
static const char *read_modules(lua_State *L, int i, cast_options *o) {
  const char *problem = NULL;
  int list;
  lua_getfield(L, i, "modules");
  list = lua_gettop(L);
  if (lua_isnil(L, list)) return NULL; /* as cast_options_default has it */
  if (!o->sandbox) return "modules: only a sandbox has this option";
  if (!lua_istable(L, list))
    return lua_pushfstring(
      L, "modules must be a list of names, got %s", cast_arg_got(L, list));
  if ((problem = check_list(L, "modules")) != NULL) return problem;
  lua_pushliteral(L, "");
  for (int k = 1; k <= (int)lua_rawlen(L, list) && problem == NULL; k++) {
    lua_rawgeti(L, list, k);
    problem = add_module(L);
  }
  o->modules.at = lua_tolstring(L, list + 1, &o->modules.size);
  return problem;
}

const char *cast_options_read(lua_State *L, int i, cast_options *o) {
  const char *problem;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if ((problem = check_keys(L, i)) != NULL) return problem;
  if ((problem = read_name(L, i, o)) != NULL) return problem;
  if ((problem = read_sandbox(L, i, o)) != NULL) return problem;
  set_tasks(o);
  if ((problem = read_limits(L, i, o)) != NULL) return problem;
  if ((problem = read_thread(L, i, o)) != NULL) return problem;
  if ((problem = read_jit(L, i, o)) != NULL) return problem;
  lua_getfield(L, i, "libs");
  if ((problem = read_libs(L, o->sandbox, &o->libs)) != NULL) return problem;
  if ((problem = check_libs(L, i, o)) != NULL) return problem;
  if ((problem = read_modules(L, i, o)) != NULL) return problem;
  lua_getfield(L, i, "init");
  if (!lua_isnil(L, -1) && !lua_isfunction(L, -1))
    return lua_pushfstring(
      L, "init must be a function, got %s", cast_arg_got(L, -1));
  return NULL;
}

void cast_options_default(lua_State *L, cast_options *o) {
  const cast_sandbox *by = maker(L);
  memset(o, 0, sizeof *o);
  o->libs = by != NULL ? by->libs : CAST_LIBS_ALL;
  o->sandbox = by != NULL;
  if (by == NULL) return;
  set_tasks(o);
  cast_modules_push(L);
  o->modules.at = lua_tolstring(L, -1, &o->modules.size);
}

int cast_lib_session_problem(lua_State *L) {
  cast_options o;
  cast_arg_table(L, 1);
  cast_options_default(L, &o);
  lua_settop(L, 1);
  lua_pushstring(L, cast_options_read(L, 1, &o)); /* NULL: nil */
  return 1;
}
