/* proc_start.c - starting a process, with its streams.
   SPDX-License-Identifier: MIT

   All that may raise is done before the program is started: the arguments are
   copied, and the handles are made. From then on nothing runs Lua code. */
#include "../../../include/casting.h"
#include "../../base.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "net.h"
#include "net_wait.h"
#include "proc.h"

#include <string.h>

static const char *const names[] = {"stdin", "stdout", "stderr"};

/* What becomes a standard stream of the program. */
typedef struct end {
  cast_stream *given; /* a stream that moves to the program, or NULL */
  int fd;             /* the program's, or OS_INHERITED, OS_NOTHING */
  int ours;           /* the other end of a pipe, until a stream has it; -1 */
  int handle;         /* its place on the stack; 0: it is no pipe */
  bool is_pipe;       /* `fd` is to be closed */
  bool is_copy;       /* of the standard output */
} end;

/* -- arguments ------------------------------------------------------------ */

/* A list of strings, at idx: their number; *size grows by their bytes. */
static uint32_t measure(lua_State *L, int idx, size_t *size) {
  uint32_t n = 0;
  cast_arg_table(L, idx);
  for (;; n++) {
    size_t bytes;
    lua_rawgeti(L, idx, (int)n + 1);
    if (lua_isnil(L, -1)) break;
    if (lua_type(L, -1) != LUA_TSTRING ||
        strlen(lua_tolstring(L, -1, &bytes)) != bytes)
      cast_arg_error(L, idx, "strings without zero bytes expected");
    *size += bytes + 1;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return n;
}

/* Copies the n strings of the list at idx, and pointers to them with a NULL
   behind; *left bytes from *at on are free. (A finalizer that has the library
   debug could have changed the list since `measure`.) */
static char **copy(
  lua_State *L, int idx, uint32_t n, char **list, char **at, size_t *left) {
  for (uint32_t i = 0; i < n; i++) {
    size_t bytes = 0;
    const char *s = NULL;
    lua_rawgeti(L, idx, (int)i + 1);
    if (lua_type(L, -1) == LUA_TSTRING) s = lua_tolstring(L, -1, &bytes);
    if (s == NULL || bytes >= *left)
      cast_arg_error(L, idx, "the list has changed");
    memcpy(*at, s, bytes + 1);
    list[i] = *at;
    *at += bytes + 1;
    *left -= bytes + 1;
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

/* Pushes a block that has all the strings of the program. */
static void push_strings(lua_State *L, os_program *program) {
  bool has_environment = !lua_isnoneornil(L, 2);
  size_t size = 0;
  uint32_t n = measure(L, 1, &size), m = 0;
  char **list, *at;
  cast_arg_check(L, n > 0, 1, "a program expected");
  if (has_environment) m = measure(L, 2, &size);
  list =
    cast_lua_newuserdata(L, (n + m + 2) * sizeof *list + size + sizeof *list);
  at = (char *)(list + n + m + 2);
  program->arguments = copy(L, 1, n, list, &at, &size);
  program->path = list[0];
  program->environment =
    has_environment ? copy(L, 2, m, list + n + 1, &at, &size) : NULL;
  program->directory = lua_isnoneornil(L, 3) ? NULL : lua_tostring(L, 3);
}

/* Why the stream cannot be given away; NULL: it can. */
static const char *stream_problem(cast_stream *s) {
  if (s->closed) return "this stream is closed";
  if (cast_stream_is_awaited(s)) return "a task waits for this stream";
  if (s->layer != NULL) return "this stream has a layer, such as TLS";
  if (cast_stream_is_owed(s))
    return "what was written to this stream is still on its way";
  if (cast_stream_is_ahead(s))
    return "of this stream something was read already that nobody has taken";
  return NULL;
}

/* stream_problem(v): what is wrong with a stream that is to be given away; nil:
   nothing. */
int cast_proc_stream_problem(lua_State *L) {
  lua_pushstring(L, stream_problem(cast_net_stream(L, 1))); /* or nil */
  return 1;
}

static cast_stream *stream_arg(lua_State *L, int i) {
  cast_stream *s = cast_net_stream(L, i);
  const char *problem = stream_problem(s);
  if (problem != NULL) cast_arg_error(L, i, problem);
  return s;
}

/* A standard stream, whose argument is at i. */
static void read_end(lua_State *L, cast_state *S, int i, end *e) {
  *e = (end){.fd = OS_INHERITED, .ours = -1};
  if (cast_arg_is(L, i, "pipe")) {
    cast_net_stream_new(L, S);
    e->handle = lua_gettop(L);
    e->is_pipe = true;
  } else if (cast_arg_is(L, i, "null")) {
    e->fd = OS_NOTHING;
  } else if (lua_type(L, i) == LUA_TNUMBER) {
    if (!cast_net_is_fd(L, i)) cast_arg_error(L, i, CAST_NET_FD);
    e->fd = (int)lua_tonumber(L, i);
  } else if (cast_arg_is(L, i, "stdout")) {
    e->is_copy = true;
  } else if (!cast_arg_is(L, i, "inherit")) {
    e->given = stream_arg(L, i);
  }
}

/* -- starting ------------------------------------------------------------- */

static int open_end(end *e, int k) {
  int fds[2], rc;
  if (e->given != NULL) {
    if (!cast_descriptor_begin(e->given->file)) return CASTING_ECLOSED;
    e->fd = e->given->file->fd;
    if (!e->given->shared) (void)os_nonblocking(e->fd, false);
    return 0;
  }
  if (!e->is_pipe) return 0;
  rc = os_child_pipe(fds, k != 0, k == 0);
  if (os_is_shortage(rc)) {
    cast_processes_reap();
    rc = os_child_pipe(fds, k != 0, k == 0);
  }
  if (rc != 0) return rc;
  e->fd = fds[k == 0 ? 0 : 1];
  e->ours = fds[k == 0 ? 1 : 0];
  return 0;
}

/* The program has the ends that it is to have, or was not started. */
static void close_end(end *e, bool started, cast_session *self) {
  if (e->given != NULL && e->fd >= 0) {
    if (!started && !e->given->shared) (void)os_nonblocking(e->fd, true);
    cast_descriptor_end(e->given->file);
    if (started) cast_stream_close(e->given, self);
  }
  if (e->is_pipe && e->fd >= 0) os_close(e->fd);
  if (e->ours >= 0) os_close(e->ours);
}

/* Our end of a pipe becomes the stream of its handle. */
static bool give_end(lua_State *L, end *e) {
  cast_stream *s;
  if (e->ours < 0) return true;
  s = cast_stream_new(e->ours, CAST_STREAM_OTHER);
  if (s == NULL) return false;
  e->ours = -1;
  cast_net_stream_give(L, e->handle, s);
  return true;
}

/* It was not started: our end is closed now, and not when it is collected. */
static void close_ours(lua_State *L, const end *e, cast_session *self) {
  cast_stream *s = e->handle != 0 ? cast_net_stream_test(L, e->handle) : NULL;
  if (s != NULL) cast_stream_close(s, self);
}

static int start(
  lua_State *L, cast_state *S, cast_process *p, os_program *program, end *e) {
  int opened = 0, rc = cast_poller_make();
  bool started;
  for (; rc == 0 && opened < 3; opened++) {
    rc = open_end(&e[opened], opened);
    program->streams[opened] = e[opened].fd;
  }
  if (e[2].is_copy) program->streams[2] = e[1].fd == OS_INHERITED ? 1 : e[1].fd;
  for (int k = 0; rc == 0 && k < 3; k++)
    if (!give_end(L, &e[k])) rc = CASTING_ENOMEM;
  if (rc == 0) rc = cast_process_start(p, program, S->host == NULL);
  started = rc == 0;
  for (int k = 0; k < 3; k++) close_end(&e[k], started, &S->session);
  for (int k = 0; k < 3 && !started; k++) close_ours(L, &e[k], &S->session);
  return rc;
}

/* Why it was not started: of the program, or of the directory. */
static int fail(lua_State *L, const os_program *program, intptr_t rc) {
  const char *what = program->path;
  if (program->directory != NULL && !os_child_can_enter(program->directory))
    what = program->directory;
  (void)cast_net_failure(L, rc);
  lua_pushfstring(L, "%s: %s", what, lua_tostring(L, -1));
  lua_replace(L, -2);
  return 2;
}

static void set_command(cast_process *p, const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash != NULL && slash[1] != '\0') path = slash + 1;
  for (size_t i = 0; i < sizeof p->command - 1 && path[i] != '\0'; i++)
    p->command[i] =
      (unsigned char)path[i] > ' ' && path[i] < 127 ? path[i] : '?';
}

/* Not every session has the library string. */
int cast_proc_cut(lua_State *L) {
  size_t size, most = (size_t)cast_arg_number(L, 2);
  const char *text = cast_arg_string(L, 1, &size);
  lua_settop(L, 1);
  if (size > most) lua_pushlstring(L, text, most);
  return 1;
}

/* problem(text [, is_name]): what is wrong with a text for the system, or with
   the name of a variable; nil: nothing. */
int cast_proc_problem(lua_State *L) {
  size_t size;
  const char *s = cast_arg_string(L, 1, &size), *problem = NULL;
  if (strlen(s) != size)
    problem = "has a zero byte";
  else if (lua_toboolean(L, 2) && (size == 0 || strchr(s, '=') != NULL))
    problem = "is empty or has a '='";
  lua_pushstring(L, problem); /* or nil */
  return 1;
}

/* is_stream(v): is it a stream of casting.net? */
int cast_proc_is_stream(lua_State *L) {
  lua_pushboolean(L, cast_net_stream_test(L, 1) != NULL);
  return 1;
}

int cast_proc_start(lua_State *L) {
  cast_state *S = cast_state_here(L);
  os_program program = {.group = lua_toboolean(L, 7)};
  cast_process *p;
  end ends[3];
  int rc, handle;
  lua_settop(L, 8);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  p = cast_proc_push(L, S);
  handle = lua_gettop(L);
  p->bound = lua_istable(L, 8);
  if (p->bound) {
    lua_pushvalue(L, handle);
    lua_setfield(L, 8, "process");
  }
  lua_createtable(L, 0, 3);
  for (int k = 0; k < 3; k++) {
    read_end(L, S, 4 + k, &ends[k]);
    if (ends[k].handle == 0) continue;
    lua_pushvalue(L, ends[k].handle);
    lua_setfield(L, handle + 1, names[k]);
  }
  lua_pushvalue(L, handle + 1);
  cast_proc_set_fields(L, handle);
  push_strings(L, &program);
  set_command(p, program.path);
  /* From the first look at them on, a finalizer may have read from the streams
     that are given away, or sent them elsewhere. */
  for (int k = 0; k < 3; k++)
    if (ends[k].given != NULL) ends[k].given = stream_arg(L, 4 + k);
  if (cast_state_find(L) == NULL) cast_raise_closed(L);
  rc = start(L, S, p, &program, ends);
  if (rc == CASTING_ENOMEM || rc == OS_ENOMEM) cast_raise_memory(L);
  if (rc != 0) return fail(L, &program, rc);
  lua_pushvalue(L, handle);
  return 1;
}
