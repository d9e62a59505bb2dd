/* fs_file.c - handles of open files, and what is done with one.
   SPDX-License-Identifier: MIT

   A file is shared by the sessions that have a handle of it. What lies in
   memory is read here, in the thread that runs the session, if nobody has the
   turn of the file's strand. To make a string of it may run finalizers, which
   may use the same file, and other sessions may: so the bytes are copied with
   the turn, the string is made without it, and the position moves only if it is
   still where it was; else all of it is done again. If there is no memory for
   the string nothing has been taken. */
#include "../../../include/casting.h"
#include "../../fork.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../compat/auxiliary.h"
#include "../session/library.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/turn.h"
#include "fs.h"
#include "pieces.h"

#include <math.h>
#include <string.h>

/* Bytes that are copied by way of the C stack. */
#define SMALL 4096

static cast_openfile *this_file(lua_State *L) {
  return CAST_CONTAINER(
    cast_handle_check(L, 1, &cast_openfile_type), cast_openfile, object);
}

/* Relaxed: who closes it meanwhile is not waited for. */
static bool is_closed(const cast_openfile *f) {
  return atomic_load_explicit(&f->closed, memory_order_relaxed);
}

static void need_how(lua_State *L, const cast_openfile *f, unsigned how) {
  if ((f->how & how) != 0) return;
  cast_misuse(L, how == OS_FILE_READ
                   ? "this file was not opened to be read"
                   : "this file was not opened to be written");
}

/* -- reading here --------------------------------------------------------- */

/* What a read wants. */
typedef struct wish {
  unsigned how;   /* CAST_OP_SOME, LINE, WHOLE, ALL; 0: `size` bytes */
  size_t size;    /* of these, the most bytes; 0: as fs.read allows */
  int64_t offset; /* -1: at the position */
} wish;

/* What was found. */
typedef struct glimpse {
  size_t n;         /* bytes of the string */
  size_t taken;     /* bytes by which the position moves */
  uint32_t version; /* of the file */
} glimpse;

/* With the turn: copies what comes next, if there is room for it; 0; OS_EAGAIN:
   a helper has to see to it. */
static intptr_t look_line(
  cast_openfile *f, const wish *w, char *to, size_t room, glimpse *g) {
  cast_file_line l = {0, 0, false};
  size_t most = w->size < CAST_READ_MOST ? w->size : CAST_READ_MOST;
  intptr_t rc = cast_openfile_find_line(f, most, false, &l);
  if (rc != 0) return OS_EAGAIN; /* also if it is long */
  g->taken = l.found;
  g->n = l.found;
  if (l.found > 0 && !l.ended && (w->how & CAST_OP_WHOLE) == 0) g->n--;
  if (g->n > 0 && g->n <= room) memcpy(to, f->bytes + f->start, g->n);
  return 0;
}

static intptr_t look_bytes(
  cast_openfile *f, const wish *w, char *to, size_t room, glimpse *g) {
  bool some = (w->how & CAST_OP_SOME) != 0;
  intptr_t n = 0, rc;
  g->n = w->size;
  if (w->size > room) return 0; /* it is called again */
  if (w->offset < 0) {
    n = cast_openfile_peek(f, to, w->size, some, false);
  } else {
    do {
      rc = cast_openfile_read_at(
        f, to + n, w->size - (size_t)n, w->offset + n, false);
      if (rc < 0) return OS_EAGAIN;
      n += rc;
    } while (rc > 0 && (size_t)n < w->size && !some);
  }
  if (n < 0) return OS_EAGAIN;
  g->n = (size_t)n;
  g->taken = w->offset < 0 ? (size_t)n : 0;
  return 0;
}

static intptr_t look(
  cast_openfile *f, const wish *w, char *to, size_t room, glimpse *g) {
  intptr_t rc;
  if (!cast_strand_enter(&f->strand)) return OS_EAGAIN;
  rc = (w->how & CAST_OP_LINE) != 0 ? look_line(f, w, to, room, g)
                                    : look_bytes(f, w, to, room, g);
  g->version = f->version;
  cast_strand_leave(&f->strand);
  return rc;
}

/* The string is made: the position moves, unless something has happened. */
static bool take(cast_openfile *f, const glimpse *g) {
  bool same;
  if (!cast_strand_enter(&f->strand)) return false;
  same = f->version == g->version;
  if (same) cast_openfile_advance(f, g->taken);
  cast_strand_leave(&f->strand);
  return same;
}

/* All that is left, if it is not much: as so many bytes, and one more that is
   not there. False: it is not known to be. */
static bool narrow(cast_openfile *f, wish *w) {
  int64_t left;
  if (!cast_strand_enter(&f->strand)) return false;
  left = f->size - (w->offset < 0 ? f->position : w->offset);
  cast_strand_leave(&f->strand);
  if (!f->placed || left < 0 || left >= CAST_READ_MOST) return false;
  if (w->size > 0 && (int64_t)w->size < left) return false;
  w->size = (size_t)left + 1;
  return true;
}

/* Pushes what was copied to `small`, or to memory of its own, which is
   freed. */
static void push_copied(lua_State *L, char *to, const char *small, size_t n) {
  if (to == small)
    lua_pushlstring(L, to, n);
  else
    cast_fs_push_and_free(L, to, n);
}

/* Copies what comes next to `small`, or to memory of its own; NULL: a helper
   has to see to it. */
static char *copy_next(
  cast_openfile *f, const wish *w, char *small, glimpse *g) {
  char *to = small;
  size_t room = SMALL;
  for (;;) {
    if (look(f, w, to, room, g) == 0 && g->n <= room) return to;
    if (to != small) cast_free(to);
    if (g->n <= room) return NULL;
    room = g->n;
    to = cast_alloc(room);
    if (to == NULL) return NULL;
  }
}

/* Pushes a string, or nil at the end: 1; 0: a helper has to see to it. Whatever
   runs as the string is made may end the state, and the file with it. */
static int read_here(lua_State *L, cast_openfile *f, wish w) {
  bool all = (w.how & CAST_OP_ALL) != 0, line = (w.how & CAST_OP_LINE) != 0;
  int top = lua_gettop(L);
  if (f->home < OS_HOME_DISK || (all && !narrow(f, &w))) return 0;
  if (!line && w.size > CAST_READ_MOST) return 0;
  for (;;) {
    char small[SMALL], *to;
    glimpse g = {0, 0, 0};
    to = copy_next(f, &w, small, &g);
    if (to == NULL) return 0;
    if (all && g.n == w.size) { /* it has grown */
      if (to != small) cast_free(to);
      return 0;
    }
    if (g.n == 0 && !all && (line ? g.taken == 0 : w.size > 0)) {
      if (to != small) cast_free(to);
      return lua_pushnil(L), 1;
    }
    push_copied(L, to, small, g.n);
    if (cast_handle_test(L, 1) != &f->object) cast_raise_closed(L);
    if (g.taken == 0 || take(f, &g)) return 1;
    lua_settop(L, top);
  }
}

/* -- file:read ------------------------------------------------------------ */

static size_t size_arg(lua_State *L, int i, int arg, const char *what) {
  lua_Number n = lua_tonumber(L, i);
  if (lua_type(L, i) != LUA_TNUMBER || n < 0 || n != floor(n) ||
      n > (lua_Number)CAST_COUNT_MOST)
    cast_arg_error(L, arg,
      lua_pushfstring(L, "%s must be an integer from 0 to 2^31, got %s", what,
        cast_arg_got(L, i)));
  return (size_t)n;
}

/* A place in a file: up to 2^53, which all numbers of Lua have exactly. */
static int64_t offset_arg(lua_State *L, int i, int arg, const char *what) {
  lua_Number n = lua_tonumber(L, i);
  if (lua_type(L, i) != LUA_TNUMBER || n < 0 || n != floor(n) ||
      n > 9007199254740992.0)
    cast_arg_error(L, arg,
      lua_pushfstring(L, "%s must be an integer from 0 to 2^53, got %s", what,
        cast_arg_got(L, i)));
  return (int64_t)n;
}

static void what_arg(lua_State *L, wish *w) {
  w->offset = -1;
  w->size = CAST_READ_MOST;
  w->how = 0;
  if (lua_isnoneornil(L, 2)) {
    w->how = CAST_OP_SOME;
  } else if (lua_type(L, 2) == LUA_TNUMBER) {
    w->size = size_arg(L, 2, 2, "a number of bytes");
  } else if (cast_arg_is(L, 2, "l") || cast_arg_is(L, 2, "L")) {
    w->how =
      cast_arg_is(L, 2, "L") ? CAST_OP_LINE | CAST_OP_WHOLE : CAST_OP_LINE;
    w->size = CAST_LINE_MOST;
  } else if (cast_arg_is(L, 2, "a")) {
    w->how = CAST_OP_ALL;
    w->size = 0;
  } else {
    cast_arg_error(L, 2,
      lua_pushfstring(L,
        "a number of bytes, \"l\", \"L\" or \"a\" expected, "
        "got %s",
        cast_arg_word(L, 2)));
  }
}

/* Argument 3: nothing, an offset, or a table with `offset` and `max`. */
static void how_arg(lua_State *L, wish *w) {
  int top = lua_gettop(L);
  bool is_table = lua_istable(L, 3);
  if (lua_isnoneornil(L, 3)) return;
  if (is_table) {
    for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1))
      if (!cast_arg_is(L, -2, "max") && !cast_arg_is(L, -2, "offset"))
        cast_arg_error(L, 3,
          lua_pushfstring(L, "unknown option '%s'", cast_arg_quote(L, -2)));
    lua_getfield(L, 3, "max");
    if (!lua_isnil(L, -1)) {
      size_t max = size_arg(L, lua_gettop(L), 3, "max");
      cast_arg_check(L, max > 0, 3, "max must be 1 at least");
      cast_arg_check(L, (w->how & (CAST_OP_LINE | CAST_OP_ALL)) != 0, 3,
        "max is for lines and for \"a\"");
      w->size = max;
    }
    lua_getfield(L, 3, "offset");
  } else {
    lua_pushvalue(L, 3);
  }
  if (!lua_isnil(L, -1)) {
    w->offset = offset_arg(L, lua_gettop(L), 3, "offset");
    cast_arg_check(L, (w->how & CAST_OP_LINE) == 0, 3,
      "a line is read at the position, not at an offset");
  }
  lua_settop(L, top);
}

/* Of a file that was closed: nil, why. */
static int push_gone(
  lua_State *L, cast_state *S, cast_ltask *t, const cast_openfile *f) {
  cast_turn_first(L, S, t);
  return cast_fs_failure(L, f->path, CASTING_ECLOSED);
}

/* file:read([what [, how]]) */
static int file_read(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_openfile *f = this_file(L);
  cast_fileop *op;
  cast_ltask *t;
  wish w;
  what_arg(L, &w);
  how_arg(L, &w);
  need_how(L, f, OS_FILE_READ);
  t = cast_enter_quick(L, S);
  if (is_closed(f)) return push_gone(L, S, t, f);
  if (read_here(L, f, w)) {
    if (!lua_isnil(L, -1)) return cast_fs_give(L, S, t);
    cast_turn_first(L, S, t); /* who asks for more again and again waits */
    return 1;
  }
  op = cast_fs_op(L, S, &cast_op_read, f, NULL, NULL, 0);
  op->how = w.how;
  op->size = w.size;
  op->offset = w.offset;
  return cast_fs_wait(L, S, t, op);
}

/* -- the other methods ---------------------------------------------------- */

/* file:write(data [, offset]) */
static int file_write(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_openfile *f = this_file(L);
  int64_t offset = -1;
  os_bytes *pieces;
  cast_fileop *op;
  cast_ltask *t;
  uint32_t n;
  need_how(L, f, OS_FILE_WRITE);
  cast_pieces_need(L, 2);
  lua_settop(L, 3);
  if (!lua_isnil(L, 3)) {
    offset = offset_arg(L, 3, 3, "offset");
    cast_arg_check(L, (f->how & OS_FILE_APPEND) == 0, 3,
      "a file that is opened to append has no offsets to write at");
  }
  n = cast_pieces_read(L, 2, &pieces);
  t = cast_enter_quick(L, S);
  if (is_closed(f)) {
    (void)push_gone(L, S, t, f);
    lua_pushinteger(L, 0);
    return 3;
  }
  op = cast_fs_op(
    L, S, &cast_op_write, f, NULL, NULL, cast_pieces_size(pieces, n));
  cast_pieces_copy(pieces, n, (char *)(uintptr_t)op->data);
  op->offset = offset;
  return cast_fs_wait(L, S, t, op);
}

/* Sends an operation of that kind. */
static int call(lua_State *L, cast_openfile *f, const cast_fileop_kind *kind,
  unsigned how, unsigned mode, int64_t offset) {
  cast_state *S = cast_state_here(L);
  cast_ltask *t = cast_enter_quick(L, S);
  cast_fileop *op;
  if (is_closed(f)) return push_gone(L, S, t, f);
  op = cast_fs_op(L, S, kind, f, NULL, NULL, 0);
  op->how = how;
  op->mode = mode;
  op->offset = offset;
  /* These two ask nobody where the file is. */
  if ((kind == &cast_op_seek || kind == &cast_op_stat) &&
      f->home >= OS_HOME_DISK && !cast_turn_is_due(S, t) &&
      cast_strand_enter(&f->strand)) {
    intptr_t rc = kind->run(op);
    cast_strand_leave(&f->strand);
    return cast_fs_done(L, S, op, rc);
  }
  return cast_fs_wait(L, S, t, op);
}

/* file:seek([whence [, offset]]) */
static int file_seek(lua_State *L) {
  cast_openfile *f = this_file(L);
  unsigned whence = 1;
  int64_t offset = 0;
  if (cast_arg_is(L, 2, "set"))
    whence = 0;
  else if (cast_arg_is(L, 2, "end"))
    whence = 2;
  else if (!lua_isnoneornil(L, 2) && !cast_arg_is(L, 2, "cur"))
    cast_arg_error(L, 2,
      lua_pushfstring(L, "\"set\", \"cur\" or \"end\" expected, got %s",
        cast_arg_word(L, 2)));
  if (!lua_isnoneornil(L, 3)) {
    lua_Number n = cast_arg_number(L, 3);
    cast_arg_check(L,
      n == floor(n) && n >= -9007199254740992.0 && n <= 9007199254740992.0, 3,
      "an offset must be an integer");
    offset = (int64_t)n;
  }
  return call(L, f, &cast_op_seek, 0, whence, offset);
}

/* file:stat() */
static int file_stat(lua_State *L) {
  return call(L, this_file(L), &cast_op_stat, 0, 0, 0);
}

/* file:truncate([size]) */
static int file_truncate(lua_State *L) {
  cast_openfile *f = this_file(L);
  int64_t size = -1;
  need_how(L, f, OS_FILE_WRITE);
  if (!lua_isnoneornil(L, 2)) size = offset_arg(L, 2, 2, "size");
  return call(L, f, &cast_op_truncate, 0, 0, size);
}

/* file:sync(["data"]) */
static int file_sync(lua_State *L) {
  cast_openfile *f = this_file(L);
  bool data = cast_arg_is(L, 2, "data");
  cast_arg_check(
    L, data || lua_isnoneornil(L, 2), 2, "\"data\" expected, or nothing");
  return call(L, f, &cast_op_sync, data ? CAST_OP_DATA : 0, 0, 0);
}

/* -- closing -------------------------------------------------------------- */

/* Is it the first who closes it? */
static bool is_first(cast_openfile *f) {
  /* Relaxed: the strand orders what is done with it. */
  return !atomic_exchange_explicit(&f->closed, true, memory_order_relaxed);
}

/* Closes it at once where that needs no waiting: 0, a failure, or OS_EAGAIN. */
static intptr_t close_here(cast_openfile *f) {
  intptr_t rc;
  if (f->home < OS_HOME_DISK || !cast_strand_enter(&f->strand))
    return OS_EAGAIN;
  rc = cast_openfile_close(f);
  cast_strand_leave(&f->strand);
  return rc;
}

static int push_closed(lua_State *L, const cast_openfile *f, intptr_t rc) {
  if (rc < 0) return cast_fs_failure(L, f->path, rc);
  lua_pushboolean(L, 1);
  return 1;
}

/* file:close() */
static int file_close(lua_State *L) {
  cast_state *S = cast_state_here(L);
  cast_openfile *f = this_file(L);
  cast_ltask *t = cast_enter_quick(L, S);
  cast_fileop *op;
  intptr_t rc;
  if (is_closed(f)) return lua_pushboolean(L, 0), 1;
  op = cast_fs_op(L, S, &cast_op_close, f, NULL, NULL, 0);
  if (!cast_enter_anew(L, S, t)) { /* it stays open then */
    cast_unref(&op->call.object);
    cast_raise_memory(L);
  }
  if (!is_first(f)) {
    cast_unref(&op->call.object);
    return lua_pushboolean(L, 0), 1;
  }
  rc = close_here(f);
  if (rc == OS_EAGAIN) return cast_fs_wait(L, S, t, op);
  cast_unref(&op->call.object);
  return push_closed(L, f, rc);
}

/* __close: waits for nothing. Without memory the last handle closes it. */
static int file_leave(lua_State *L) {
  cast_object *o = cast_handle_test(L, 1);
  cast_openfile *f;
  cast_fileop *op;
  if (o == NULL || o->type != &cast_openfile_type || cast_forked) return 0;
  f = CAST_CONTAINER(o, cast_openfile, object);
  if (!is_first(f) || close_here(f) != OS_EAGAIN) return 0;
  op = cast_fileop_new(&cast_op_close, f, NULL, NULL, 0);
  if (op == NULL) return 0;
  cast_fileop_send(op);
  cast_unref(&op->call.object);
  return 0;
}

/* -- the class ------------------------------------------------------------ */

static int file_text(lua_State *L) {
  cast_object *o = cast_handle_test(L, 1);
  const cast_openfile *f;
  if (o == NULL || o->type != &cast_openfile_type) {
    lua_pushliteral(L, "file (closed)");
    return 1;
  }
  f = CAST_CONTAINER(o, cast_openfile, object);
  lua_pushfstring(L, is_closed(f) ? "file (closed): %s" : "file: %s", f->path);
  return 1;
}

/* file:lines([what]) */
int cast_fs_lines(lua_State *L) {
  (void)this_file(L);
  return cast_state_here(L)->binding->call(L, "fs_lines_of", "lines");
}

static const luaL_Reg methods[] = {
  {"read", file_read},
  {"write", file_write},
  {"seek", file_seek},
  {"lines", cast_fs_lines},
  {"stat", file_stat},
  {"truncate", file_truncate},
  {"sync", file_sync},
  {"close", file_close},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__tostring", file_text},
  {"__close", file_leave},
  {NULL, NULL},
};

const cast_class cast_fs_class = {
  .type = &cast_openfile_type,
  .title = "casting.file",
  .methods = methods,
  .meta = meta,
};
