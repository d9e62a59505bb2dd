/* program.c - os.execute and io.popen for sessions of ours.
   SPDX-License-Identifier: MIT

   They replace the library's functions because of the signals of the programs
   that they start (program.h), and because system ignores signals of the
   process while a program runs (os.h). Results, errors and files are those of
   the library of each version: a pipe is a file like others for all functions
   of files.

   What is needed to close such a file lies in its userdata, behind the part
   that the library knows. On LuaJIT nobody else can make a file: there a file
   which the library has opened (/dev/null) gets another stream, and what is
   needed to close it lies in its environment. Since LuaJIT would close it as a
   plain file, file:close, io.close and the finalizer are replaced, too.

   Upvalues: the state's box; on LuaJIT also functions of the library.
   Locks: each root's signals have one (CAST_RANK_LEAF). */
#include "program.h"

#include "../../base.h"
#include "../../lock.h"
#include "../../mem.h"
#include "../../os/os.h"
#include "../../types.h"
#include "../compat/compat.h"
#include "../state/replace.h"
#include "../state/state.h"
#include "library.h"

#include <errno.h>
#include <stdio.h>

/* -- signals -------------------------------------------------------------- */

/* Of a root: what its sessions' programs inherit. */
struct cast_signals {
  cast_lock lock;
  os_signals now; /* (lock) as they were last recorded */
};

bool cast_signals_init(cast_state *root) {
  cast_signals *s = cast_calloc(sizeof *s);
  if (s == NULL) return false;
  cast_lock_init(&s->lock, CAST_RANK_LEAF);
  os_signals_get(&s->now);
  root->signals = s;
  return true;
}

void cast_signals_note(cast_state *S) {
  os_signals now;
  if (S->host == NULL) return;
  os_signals_get(&now);
  cast_lock_take(&S->signals->lock);
  /* They seldom differ; a fork by another thread, whose child reads them
     without the lock, then does not find them half written. */
  if (memcmp(&S->signals->now, &now, sizeof now) != 0) S->signals->now = now;
  cast_lock_drop(&S->signals->lock);
}

const os_signals *cast_signals_of(cast_session *s) {
  return &cast_state_of(s)->root->signals->now;
}

os_signals cast_signals_now(cast_state *S) {
  cast_signals *s = S->root->signals;
  os_signals now;
  if (S->host != NULL) {
    os_signals_get(&now);
  } else {
    cast_lock_take(&s->lock);
    now = s->now;
    cast_lock_drop(&s->lock);
  }
  return now;
}

/* -- os.execute ----------------------------------------------------------- */

#if CAST_LUAJIT
/* Do os.execute and file:close return what 5.2's do? LuaJIT's do if it was
   built with 5.2's features, which is tried out once in a process. */
static bool is_52(lua_State *L) {
  static const char text[] =
    "return #setmetatable({}, {__len = function() return 1 end}) == 1";
  static _Atomic int known; /* (a) 0: not tried, 1: no, 2: yes; relaxed */
  int is = atomic_load_explicit(&known, memory_order_relaxed);
  if (is == 0) {
    is = 1;
    if (luaL_loadbuffer(L, text, sizeof text - 1, "=casting") == LUA_OK &&
        lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1))
      is = 2;
    lua_pop(L, 1);
    atomic_store_explicit(&known, is, memory_order_relaxed);
  }
  return is == 2;
}
#else
static bool is_52(lua_State *L) {
  CAST_UNUSED(L);
  return CAST_LUA >= 502;
}
#endif

#if CAST_LUA >= 502 || CAST_LUAJIT
#define push_status(L, status) luaL_execresult(L, status)
#else
#define push_status(L, status) ((void)(status), 0)
#endif

/* os.execute([command]) */
static int os_execute(lua_State *L) {
  os_signals signals = cast_signals_now(cast_state_boxed(L));
  const char *command = luaL_optstring(L, 1, NULL);
  int status = os_system(command, &signals);
  if (!is_52(L)) {
    lua_pushinteger(L, status);
    return 1;
  }
  if (command != NULL) return push_status(L, status);
  lua_pushboolean(L, status);
  return 1;
}

/* -- pipes ---------------------------------------------------------------- */

/* Pushes what luaL_fileresult does: true; or nil, "name: why" and the errno. */
static int push_result(lua_State *L, bool ok, const char *name) {
  int error = errno;
  if (ok) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  if (name != NULL)
    lua_pushfstring(L, "%s: %s", name, strerror(error));
  else
    lua_pushstring(L, strerror(error));
  lua_pushinteger(L, error);
  return 3;
}

/* Pushes what closing a pipe returns, of which os_pclose has returned
   `status`. */
static int push_closed(lua_State *L, int status) {
  return is_52(L) ? push_status(L, status) : push_result(L, status != -1, NULL);
}

/* Starts the program of the call io.popen(command [, mode]). NULL: see
   errno. */
static FILE *start(lua_State *L, const char **command, intptr_t *program) {
  os_signals signals = cast_signals_now(cast_state_boxed(L));
  const char *mode = luaL_optstring(L, 2, "r");
  *command = luaL_checkstring(L, 1);
#if CAST_LUA >= 503
  luaL_argcheck(L, (mode[0] == 'r' || mode[0] == 'w') && mode[1] == '\0', 2,
    "invalid mode");
#endif
  /* The interpreter flushes all streams here. A stream from which another
     session reads is locked meanwhile, perhaps for ever: so only these two. */
  (void)fflush(stdout);
  (void)fflush(stderr);
  return os_popen(*command, mode, &signals, program);
}

#if CAST_LUAJIT

/* Where the environment of a pipe's file has the program, for os_pclose. */
static const char program_key = 0;

/* The stream's place in the file at 1, if that is an open pipe of ours, with
   *program set; else NULL. */
static FILE **test_pipe(lua_State *L, intptr_t *program) {
  FILE **f = lua_touserdata(L, 1);
  bool is = false;
  if (lua_type(L, 1) != LUA_TUSERDATA) return NULL;
  lua_getfenv(L, 1);
  if (lua_istable(L, -1)) {
    lua_rawgetp(L, -1, &program_key);
    is = lua_type(L, -1) == LUA_TNUMBER && *f != NULL;
    *program = (intptr_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is ? f : NULL;
}

/* Calls the function that was replaced, the second upvalue, in this very call:
   so its errors name the caller. */
static int as_before(lua_State *L) {
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

static int close_pipe(lua_State *L, FILE **at, intptr_t program) {
  FILE *f = *at;
  *at = NULL; /* as the library marks a closed file */
  return push_closed(L, os_pclose(f, program));
}

/* file:close() */
static int file_close(lua_State *L) {
  intptr_t program;
  FILE **f = test_pipe(L, &program);
  return f != NULL ? close_pipe(L, f, program) : as_before(L);
}

/* io.close([file]): without an argument it closes the default output, which the
   third upvalue, io.output, returns. */
static int io_close(lua_State *L) {
  if (lua_gettop(L) == 0) {
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_call(L, 0, 1);
  }
  return file_close(L);
}

/* The finalizer of all files. */
static int file_gc(lua_State *L) {
  intptr_t program;
  FILE **f = test_pipe(L, &program);
  if (f == NULL) return as_before(L);
  (void)close_pipe(L, f, program);
  return 0;
}

/* io.popen. The second upvalue, io.open, makes the file. All that takes memory
   comes before the program is started. */
static int io_popen(lua_State *L) {
  const char *command;
  intptr_t program = 0;
  FILE **at, *f;
  luaL_checkstring(L, 1);
  lua_settop(L, 2);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushliteral(L, "/dev/null");
  lua_call(L, 1, 3); /* a file; or why there is none */
  at = lua_touserdata(L, 3);
  if (at == NULL) return 3;
  lua_settop(L, 3);
  lua_createtable(L, 0, 1);
  f = start(L, &command, &program);
  if (f == NULL) return push_result(L, false, command);
  (void)fclose(*at);
  *at = f;
  lua_pushinteger(L, (lua_Integer)program);
  lua_rawsetp(L, 4, &program_key);
  lua_setfenv(L, 3);
  return 1;
}

#else

/* The userdata of a pipe's file; the library knows the first member. */
typedef struct piped {
#if CAST_LUA >= 502
  luaL_Stream file;
#else
  struct {
    FILE *f;
  } file;
#endif
  intptr_t program; /* for os_pclose */
} piped;

/* Called by file:close, io.close and the finalizer of the library. On 5.1 it
   has no upvalues, being the field __close of the file's environment. */
static int close_pipe(lua_State *L) {
  piped *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  FILE *f = p->file.f;
  p->file.f = NULL;
  return push_closed(L, os_pclose(f, p->program));
}

/* Pushes the file of a pipe, which is closed until the program is started. */
static piped *push_pipe(lua_State *L) {
  piped *p = cast_lua_newuserdata(L, sizeof *p);
  memset(p, 0, sizeof *p);
  luaL_getmetatable(L, LUA_FILEHANDLE);
  lua_setmetatable(L, -2);
#if CAST_LUA < 502
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_pipe);
  lua_setfield(L, -2, "__close");
  lua_setfenv(L, -2);
#endif
  return p;
}

/* io.popen */
static int io_popen(lua_State *L) {
  const char *command;
  piped *p;
  luaL_checkstring(L, 1);
  lua_settop(L, 2);
  p = push_pipe(L);
  p->file.f = start(L, &command, &p->program);
  if (p->file.f == NULL) return push_result(L, false, command);
#if CAST_LUA >= 502
  p->file.closef = close_pipe;
#endif
  return 1;
}

#endif

/* -- replacing ------------------------------------------------------------ */

#if CAST_LUAJIT
/* Sets a field of the table on the top to the function fn. Its upvalues are the
   box, and what the fields a and b of that table have had (NULL: nothing). */
static void replace(lua_State *L, const char *field, lua_CFunction fn,
  const char *a, const char *b) {
  int library = lua_gettop(L);
  cast_state_box(L);
  if (a != NULL) lua_getfield(L, library, a);
  if (b != NULL) lua_getfield(L, library, b);
  lua_pushcclosure(L, fn, lua_gettop(L) - library);
  lua_setfield(L, library, field);
}

/* Replaces what knows about pipes: in the library io, and in the metatable of
   files and its __index. */
static void replace_io(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "io");
  if (lua_istable(L, -1)) {
    replace(L, "popen", io_popen, "open", NULL);
    replace(L, "close", io_close, "close", "output");
    luaL_getmetatable(L, LUA_FILEHANDLE);
    replace(L, "__gc", file_gc, "__gc", NULL);
    lua_getfield(L, -1, "__index");
    replace(L, "close", file_close, "close", NULL);
    lua_pop(L, 2);
  }
  lua_pop(L, 2);
}
#else
static void replace_io(lua_State *L) {
  static const luaL_Reg replaced[] = {{"popen", io_popen}, {NULL, NULL}};
  cast_libs_replace(L, "io", replaced);
}
#endif

void cast_open_program(lua_State *L) {
  static const luaL_Reg replaced[] = {{"execute", os_execute}, {NULL, NULL}};
  cast_libs_replace(L, "os", replaced);
  replace_io(L);
}
