/* fs_path.c - the functions of casting.fs that name a path.
   SPDX-License-Identifier: MIT

   What the system has in memory is read here, in the thread that runs the
   session (../../os/file_cached.c), if nobody is at work on that path. */
#include "../../../include/casting.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/turn.h"
#include "fs.h"
#include "pieces.h"

#include <math.h>
#include <stdlib.h>

/* -- arguments ------------------------------------------------------------ */

static const char *path_arg(lua_State *L, int i) {
  const char *path;
  if (lua_type(L, i) != LUA_TSTRING) cast_arg_type_error(L, i, "string");
  path = cast_arg_text(L, i);
  cast_arg_check(L, path[0] != '\0', i, "a path must not be empty");
  return path;
}

static unsigned bits_arg(lua_State *L, int i) {
  return (unsigned)lua_tonumber(L, i);
}

/* -- reading -------------------------------------------------------------- */

#define SMALL 16384

/* Reads the file into `to`, if all of it lies in memory: how many bytes;
   OS_EAGAIN; or its size, if there is not so much room. */
static intptr_t load_here(const char *path, char *to, size_t room) {
  cast_path_turn turn;
  os_file_info info;
  intptr_t fd, n = OS_EAGAIN;
  if (!cast_path_enter(&turn, path)) return OS_EAGAIN;
  fd = os_file_open_cached(path, &info);
  if (fd >= 0) {
    if (info.size <= CAST_INLINE_MOST) n = (intptr_t)info.size;
    if (n > 0 && (size_t)n < room) {
      /* Where it ends is known if it is as long as it was a moment ago. */
      n = os_file_read_cached((int)fd, info.home, to, room, 0);
      if (n != info.size) n = OS_EAGAIN;
    }
    (void)os_file_close((int)fd);
  }
  cast_path_leave(&turn);
  return n;
}

/* Pushes it: 1; 0: a helper has to read it. */
static int push_here(lua_State *L, const char *path, size_t max) {
  char small[SMALL];
  intptr_t n = load_here(path, small, sizeof small), size = n;
  char *large;
  if (n < 0 || (size_t)n > max) return 0;
  if ((size_t)n < sizeof small) {
    lua_pushlstring(L, small, (size_t)n);
    return 1;
  }
  large = cast_alloc((size_t)size + 1);
  if (large == NULL) return 0;
  n = load_here(path, large, (size_t)size + 1);
  if (n > size) n = OS_EAGAIN; /* it has grown meanwhile */
  if (n < 0) {
    cast_free(large);
    return 0;
  }
  cast_fs_push_and_free(L, large, (size_t)n);
  return 1;
}

/* read(path [, max]): a string; or nil, why */
int cast_fs_load(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const char *path = path_arg(L, 1);
  size_t max = 0;
  cast_fileop *op;
  cast_ltask *t;
  if (!lua_isnoneornil(L, 2)) {
    lua_Number n = cast_arg_number(L, 2);
    cast_arg_check(L,
      n >= 1 && n == floor(n) && n <= (lua_Number)CAST_COUNT_MOST, 2,
      "max must be an integer from 1 to 2^31");
    max = (size_t)n;
  }
  t = cast_enter_quick(L, S);
  if (push_here(L, path, max == 0 ? CAST_COUNT_MOST : max))
    return cast_fs_give(L, S, t);
  op = cast_fs_op(L, S, &cast_op_load, NULL, path, NULL, 0);
  op->size = max;
  return cast_fs_wait(L, S, t, op);
}

/* stat(path, follow): a table; or nil, why */
int cast_fs_look(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const char *path = path_arg(L, 1);
  bool follow = lua_toboolean(L, 2);
  cast_ltask *t = cast_enter_quick(L, S);
  cast_path_turn turn;
  intptr_t rc = OS_EAGAIN;
  os_file_info info;
  cast_fileop *op;
  if (!cast_turn_is_due(S, t) && cast_path_enter(&turn, path)) {
    rc = os_file_stat_cached(path, follow, &info);
    cast_path_leave(&turn);
  }
  if (rc == 0) return cast_fs_push_info(L, &info), 1;
  op = cast_fs_op(L, S, &cast_op_look, NULL, path, NULL, 0);
  if (follow) op->how = CAST_OP_FOLLOW;
  return cast_fs_wait(L, S, t, op);
}

/* Opens a file to be read, if that needs no waiting: op->made. */
static bool open_here(cast_fileop *op) {
  cast_path_turn turn;
  intptr_t fd;
  if (!cast_path_enter(&turn, op->path)) return false;
  fd = os_file_open_cached(op->path, &op->info);
  if (fd >= 0)
    op->made = cast_openfile_new((int)fd, op->how, op->path, &op->info);
  if (fd >= 0 && op->made == NULL) (void)os_file_close((int)fd);
  cast_path_leave(&turn);
  return op->made != NULL;
}

/* open(path, how, mode): a file; or nil, why */
int cast_fs_open_file(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const char *path = path_arg(L, 1);
  cast_ltask *t = cast_enter_quick(L, S);
  cast_fileop *op = cast_fs_op(L, S, &cast_op_open, NULL, path, NULL, 0);
  op->how = bits_arg(L, 2);
  op->mode = bits_arg(L, 3);
  if (op->how == OS_FILE_READ && !cast_turn_is_due(S, t) && open_here(op))
    return cast_fs_done(L, S, op, 0);
  return cast_fs_wait(L, S, t, op);
}

/* -- writing -------------------------------------------------------------- */

/* write(path, data, how, mode): true; or nil, why */
int cast_fs_save(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const char *path = path_arg(L, 1);
  os_bytes *pieces;
  cast_fileop *op;
  cast_ltask *t;
  uint32_t n;
  lua_settop(L, 4);
  n = cast_pieces_read(L, 2, &pieces);
  t = cast_enter_quick(L, S);
  op = cast_fs_op(
    L, S, &cast_op_save, NULL, path, NULL, cast_pieces_size(pieces, n));
  cast_pieces_copy(pieces, n, (char *)(uintptr_t)op->data);
  op->how = bits_arg(L, 3);
  op->mode = bits_arg(L, 4);
  return cast_fs_wait(L, S, t, op);
}

/* -- names ---------------------------------------------------------------- */

/* An operation about the path at 1, whose other argument is `how`. */
static int call(
  lua_State *L, const cast_fileop_kind *kind, unsigned how, unsigned mode) {
  cast_state *S = cast_state_here(L);
  const char *path = path_arg(L, 1);
  cast_ltask *t = cast_enter_quick(L, S);
  cast_fileop *op = cast_fs_op(L, S, kind, NULL, path, NULL, 0);
  op->how = how;
  op->mode = mode;
  return cast_fs_wait(L, S, t, op);
}

/* list(path, follow): the letter of the kind, the name and a zero, of each, in
   order; or nil, why */
int cast_fs_list(lua_State *L) {
  return call(L, &cast_op_list, lua_toboolean(L, 2) ? CAST_OP_FOLLOW : 0, 0);
}

/* mkdir(path, parents, mode): true; or nil, why */
int cast_fs_mkdir(lua_State *L) {
  return call(
    L, &cast_op_mkdir, lua_toboolean(L, 2) ? CAST_OP_TREE : 0, bits_arg(L, 3));
}

/* remove(path, tree): true; or nil, why */
int cast_fs_remove(lua_State *L) {
  return call(L, &cast_op_remove, lua_toboolean(L, 2) ? CAST_OP_TREE : 0, 0);
}

/* rename(from, to): true; or nil, why */
int cast_fs_rename(lua_State *L) {
  cast_state *S = cast_state_here(L);
  const char *from = path_arg(L, 1), *to = path_arg(L, 2);
  cast_ltask *t = cast_enter_quick(L, S);
  return cast_fs_wait(
    L, S, t, cast_fs_op(L, S, &cast_op_rename, NULL, from, to, 0));
}

/* temp(directory or nil, is_file): a file and its path, or a path of a
   directory; or nil, why */
int cast_fs_temp(lua_State *L) {
  unsigned how = CAST_OP_TEMP;
  if (lua_isnil(L, 1)) {
    const char *dir = getenv("TMPDIR");
    lua_pushstring(L, dir != NULL && dir[0] == '/' ? dir : "/tmp");
    lua_replace(L, 1);
  }
  if (lua_toboolean(L, 2))
    how |= OS_FILE_READ | OS_FILE_WRITE | OS_FILE_CREATE | OS_FILE_EXCLUSIVE;
  return call(L, &cast_op_temp, how, 0);
}
