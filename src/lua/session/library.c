/* library.c - the standard libraries of a session of ours.
   SPDX-License-Identifier: MIT

   A session opens the interpreter's libraries. Some of their functions would
   do harm there: they use static data, which all threads share, or they hide
   from the scheduler what happens. Functions of ours replace these, which
   behave in the same way to their callers. They lie in the tables where the
   replaced ones lay, so they cross to other sessions by the same names. A main
   program keeps its own functions. */
#include "library.h"

#include "../compat/compat.h"
#include "../state/sandbox.h"
#include "../state/state.h"
#include "../task/coroutine.h"

#if CAST_LUA == 501 && !CAST_LUAJIT
/* If memory runs out while 5.1 opens the library io, one of the standard files
   may exist already without the function that keeps it from being closed, and
   its finalizer would close the standard output of the process. The state is
   given up then anyway, so its files lose their finalizer first. The metatable
   is made before the library is opened, for removing a field of it takes no
   memory. */
static int open_io(lua_State *L) {
  int status;
  lua_settop(L, 1);
  (void)luaL_newmetatable(L, LUA_FILEHANDLE);
  lua_pushcfunction(L, luaopen_io);
  lua_pushvalue(L, 1);
  status = lua_pcall(L, 1, 0, 0);
  if (status == LUA_OK) return 0;
  lua_pushnil(L);
  lua_setfield(L, 2, "__gc");
  return lua_error(L);
}
#else
#define open_io luaopen_io
#endif

const luaL_Reg cast_libs[] = {
#if CAST_LUA >= 502
  {"coroutine", luaopen_coroutine},
#endif
  {"table", luaopen_table},
  {"io", open_io},
  {"os", luaopen_os},
  {"string", luaopen_string},
  {"math", luaopen_math},
  {"debug", luaopen_debug},
#if CAST_LUA == 502
  {"bit32", luaopen_bit32},
#endif
#if CAST_LUA >= 503
  {"utf8", luaopen_utf8},
#endif
#if CAST_LUAJIT
  {"bit", luaopen_bit},
  {"jit", luaopen_jit},
  {"ffi", luaopen_ffi},
#endif
  {NULL, NULL},
};

const cast_lib_part cast_lib_parts[] = {
  {"casting.net", CAST_LIB_NET},
  {"casting.process", CAST_LIB_PROCESS},
  {"casting.fs", CAST_LIB_FS},
  {"casting.socket", CAST_LIB_NET},
  {"casting.launcher", CAST_LIB_PROCESS},
  {NULL, 0},
};

const cast_lib_part *cast_libs_part(const char *name) {
  const cast_lib_part *p = cast_lib_parts;
  while (p->name != NULL && strcmp(p->name, name) != 0) p++;
  return p->name != NULL ? p : NULL;
}

bool cast_libs_add(uint32_t *libs, const char *name) {
  const cast_lib_part *part = cast_libs_part(name);
  for (uint32_t i = 0; cast_libs[i].name != NULL; i++) {
    if (strcmp(cast_libs[i].name, name) != 0) continue;
    *libs |= 1u << i;
    if (cast_libs[i].func == luaopen_os) *libs |= CAST_LIB_TIME;
    return true;
  }
  if (part != NULL) {
    *libs |= part->lib;
    return true;
  }
  /* Always there; on 5.1 and LuaJIT coroutines are of the basic functions. */
  return strcmp(name, "package") == 0 || strcmp(name, "base") == 0 ||
         strcmp(name, "coroutine") == 0;
}

/* Names that a version does not have add nothing. */
uint32_t cast_libs_harmless(void) {
  static const char *const names[] = {
    "coroutine", "table", "string", "math", "bit32", "utf8", "bit"};
  uint32_t libs = CAST_LIB_TIME;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    (void)cast_libs_add(&libs, names[i]);
  return libs;
}

bool cast_libs_has(const cast_state *S, uint32_t lib) {
  return S->sandbox == NULL || (S->sandbox->libs & lib) != 0;
}

/* Opens one library as luaL_requiref does, which 5.1 lacks. */
static void open_lib(lua_State *L, const char *name, lua_CFunction open) {
#if CAST_LUA >= 502
  luaL_requiref(L, name, open, 1);
  lua_pop(L, 1);
#else
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
#endif
}

/* luaL_openlibs opens all that the interpreter has, but for 5.1, where it would
   not use open_io. */
void cast_libs_open(lua_State *L, uint32_t libs) {
#if CAST_LUA >= 502 || CAST_LUAJIT
  if (libs == CAST_LIBS_ALL) {
    luaL_openlibs(L);
    return;
  }
#endif
#if CAST_LUA >= 502
  open_lib(L, "_G", luaopen_base);
#else
  open_lib(L, "", luaopen_base);
#endif
  open_lib(L, "package", luaopen_package);
  for (uint32_t i = 0; cast_libs[i].name != NULL; i++)
    if ((libs & (1u << i)) != 0 ||
        ((libs & CAST_LIB_TIME) != 0 && cast_libs[i].func == luaopen_os))
      open_lib(L, cast_libs[i].name, cast_libs[i].func);
}

/* The order is of no account: no two replace the same function. */
void cast_libs_adapt(lua_State *L) {
  cast_open_coroutine(L);
  cast_open_math(L);
  cast_open_nesting(L);
  cast_open_os(L);
  cast_open_string(L);
  cast_open_program(L);
}
