/* fs_call.c - a call of casting.fs: an operation, and the wait for it.
   SPDX-License-Identifier: MIT

   What is to be written is copied, and counts for the session until the call is
   over. What comes may not have more bytes than the session may have. */
#include "../../../include/casting.h"
#include "../../account.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../os/socket.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/enter.h"
#include "../task/park.h"
#include "../task/turn.h"
#include "fs.h"

#include <string.h>

/* -- outcomes ------------------------------------------------------------- */

int cast_fs_failure(lua_State *L, const char *path, intptr_t rc) {
  char text[128];
  const char *why = text;
  switch (rc) {
  case CASTING_ENOMEM:
  case OS_ENOMEM: cast_raise_memory(L);
  case CASTING_ECLOSED: why = "closed"; break;
  case CAST_FILE_TOO_LONG: why = "too long"; break;
  case OS_FILE_REFUSED: why = "a pipe, a terminal or a socket, no file"; break;
  case CAST_FILE_NOT_PLAIN: why = "not a plain file"; break;
  default: os_system_text(rc, text, sizeof text);
  }
  lua_pushnil(L);
  if (rc == CASTING_ECLOSED)
    lua_pushstring(L, why);
  else
    lua_pushfstring(L, "%s: %s", path, why);
  return 2;
}

static void set_number(lua_State *L, const char *name, lua_Number n) {
  lua_pushnumber(L, n);
  lua_setfield(L, -2, name);
}
/* Where integers are floats, or have half the bits, large ones are not
   exact. */
static void push_count(lua_State *L, uint64_t n) {
#if CAST_LUA >= 503
  if (n <= (uint64_t)LUA_MAXINTEGER)
#else
  if (n <= (uint64_t)PTRDIFF_MAX)
#endif
    lua_pushinteger(L, (lua_Integer)n);
  else
    lua_pushnumber(L, (lua_Number)n);
}
static void set_integer(lua_State *L, const char *name, uint64_t n) {
  push_count(L, n);
  lua_setfield(L, -2, name);
}
static lua_Number seconds_of(struct os_file_time t) {
  return (lua_Number)t.seconds + (lua_Number)t.ns * 1e-9;
}

static const char *const kinds[] = {
  "other", "file", "directory", "link", "pipe", "socket", "block", "character"};

void cast_fs_push_info(lua_State *L, const os_file_info *info) {
  lua_createtable(L, 0, 11);
  lua_pushstring(L, kinds[info->kind]);
  lua_setfield(L, -2, "type");
  set_integer(L, "size", (uint64_t)info->size);
  set_integer(L, "mode", info->mode);
  set_integer(L, "uid", info->uid);
  set_integer(L, "gid", info->gid);
  set_integer(L, "links", info->links);
  set_integer(L, "device", info->device);
  set_integer(L, "inode", info->inode);
  set_number(L, "modified", seconds_of(info->modified));
  set_number(L, "accessed", seconds_of(info->accessed));
  set_number(L, "changed", seconds_of(info->changed));
}

static int push_bytes(lua_State *L, const cast_fileop *op) {
  lua_pushlstring(L, (const char *)op->out, op->nout);
  return 1;
}

/* What is pushed of an operation, in a protected call: to make values may run
   finalizers, which may wait in the name of the task, and raise. */
typedef struct telling {
  cast_state *S;
  cast_fileop *op; /* one reference, of the caller's */
} telling;

/* A file, and the path of one that is temporary; or that of a directory. */
static void push_made(lua_State *L, cast_state *S, cast_fileop *op) {
  if (op->made != NULL) {
    cast_handle_weigh(L, S, sizeof *op->made + cast_openfile_room(op->made));
    cast_handle_push(L, &op->made->object);
  }
  if ((op->how & CAST_OP_TEMP) != 0) (void)push_bytes(L, op);
  op->taken = true;
}

/* What an operation has brought that has ended well. */
static void push_outcome(lua_State *L, cast_state *S, cast_fileop *op) {
  const cast_fileop_kind *k = op->kind;
  if (k == &cast_op_open || k == &cast_op_temp)
    push_made(L, S, op);
  else if (k == &cast_op_read || k == &cast_op_load || k == &cast_op_list)
    (void)push_bytes(L, op);
  else if (k == &cast_op_stat || k == &cast_op_look)
    cast_fs_push_info(L, &op->info);
  else if (k == &cast_op_seek)
    push_count(L, (uint64_t)op->at);
  else
    lua_pushboolean(L, 1);
}

static intptr_t result_of(const cast_fileop *op) {
  if (op->told) return 0;
  /* In the child of a fork nothing is made. */
  return op->call.result != 0 && op->rc == 0 ? CASTING_ENOMEM : op->rc;
}

/* How many values are pushed. */
static int count_values(const cast_fileop *op) {
  intptr_t rc = result_of(op);
  if (rc == CAST_FILE_END) return 1;
  if (rc != 0) return op->kind == &cast_op_write ? 3 : 2;
  return op->made != NULL && (op->how & CAST_OP_TEMP) != 0 ? 2 : 1;
}

static int push_told(lua_State *L) {
  const telling *g = lua_touserdata(L, 1);
  cast_fileop *op = g->op;
  intptr_t rc = result_of(op);
  if (rc == 0) {
    push_outcome(L, g->S, op);
  } else if (rc == CAST_FILE_END) {
    lua_pushnil(L);
  } else {
    (void)cast_fs_failure(L, op->where != NULL ? op->where : op->path, rc);
    if (op->kind == &cast_op_write) push_count(L, op->nout);
  }
  return count_values(op);
}

static const char tell_key = 0;

/* Pushes what came of it, and gives up the reference. */
static int conclude(lua_State *L, cast_state *S, cast_fileop *op) {
  telling g = {S, op};
  int n = count_values(op), status = LUA_ERRMEM;
  bool room = lua_checkstack(L, LUA_MINSTACK);
  if (room) status = cast_lua_cpcall_for(L, &tell_key, push_told, &g, n);
  cast_unref(&op->call.object);
  if (!room) cast_raise_memory(L);
  return status != LUA_OK ? lua_error(L) : n;
}

/* -- large strings -------------------------------------------------------- */

typedef struct loaded {
  const char *at;
  size_t size;
} loaded;

static int push_loaded(lua_State *L) {
  const loaded *l = lua_touserdata(L, 1);
  lua_pushlstring(L, l->at, l->size);
  return 1;
}

static const char push_key = 0;

void cast_fs_push_and_free(lua_State *L, char *at, size_t size) {
  loaded l = {at, size};
  bool room = lua_checkstack(L, LUA_MINSTACK);
  int status = LUA_ERRMEM;
  if (room) status = cast_lua_cpcall_for(L, &push_key, push_loaded, &l, 1);
  cast_free(at);
  if (!room) cast_raise_memory(L);
  if (status != LUA_OK) lua_error(L);
}

/* -- the wait ------------------------------------------------------------- */

/* The operation is the caller's, and not the wait's, from here on. */
static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  cast_fileop *op = t->arg;
  t->owns_arg = false;
  S->nfileops--;
  if (op->ndata > 0) (void)cast_slabs_charge(&S->memory.slabs, op->ndata, 0);
  if (result == 0) return conclude(L, S, op);
  if (op->ndata > 0) cast_fileop_charge(op, S->session.account);
  cast_unref(&op->call.object); /* at once: it may be in a queue */
  return cast_push_interrupt(L, result);
}

static bool has_come(cast_ltask *t) {
  cast_fileop *op = t->arg;
  cast_op_state state = cast_fileop_leave(op);
  if (state == CAST_OP_ASKED) return false;
  op->told = state == CAST_OP_CLAIMED && op->kind->early;
  return op->told || cast_event_is_set(&op->call.done);
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const cast_fileop *op = t->arg;
  const char *path = op->path;
  char shown[CAST_PATH_SHOWN];
  size_t n = 0;
  for (; path[n] != '\0' && n + 1 < sizeof shown; n++)
    shown[n] = (unsigned char)path[n] < ' ' || path[n] == 127 ? '?' : path[n];
  shown[n] = '\0';
  cast_buffer_form(b, "%s %s", op->kind->verb, shown);
}

static const cast_wait_kind file_kind = {.finish = finish,
  .describe = describe,
  .cleans_up = true,
  .has_come = has_come};

/* How many bytes an operation may bring: a string is made beside them, and
   others may be under way. What a sandbox has is granted bit by bit. */
static size_t room_for(cast_state *S) {
  cast_slabs *slabs = &S->memory.slabs;
  uint64_t room = cast_slabs_spare(slabs, CAST_READ_MOST);
  if (room == SIZE_MAX) return SIZE_MAX;
  if (slabs->regrant != NULL) {
    uint64_t more = cast_account_left(S->session.account, CAST_BYTES);
    room = more > SIZE_MAX / 2 ? SIZE_MAX / 2 : room + more;
  }
  return (size_t)(room / 2 / (1 + (uint64_t)S->nfileops));
}

cast_fileop *cast_fs_op(lua_State *L, cast_state *S,
  const cast_fileop_kind *kind, cast_openfile *f, const char *path,
  const char *to, size_t ndata) {
  cast_slabs *slabs = &S->memory.slabs;
  size_t room = room_for(S);
  cast_fileop *op;
  if (ndata > 0 && !cast_slabs_charge(slabs, 0, ndata)) cast_raise_memory(L);
  op = cast_fileop_new(kind, f, path, to, ndata);
  if (op == NULL) {
    if (ndata > 0) (void)cast_slabs_charge(slabs, ndata, 0);
    cast_raise_memory(L);
  }
  op->room = room;
  return op;
}

int cast_fs_wait(lua_State *L, cast_state *S, cast_ltask *t, cast_fileop *op) {
  /* Finalizers may have waited since the call has begun. */
  if (CAST_UNLIKELY(!cast_enter_anew(L, S, t))) {
    if (op->ndata > 0) (void)cast_slabs_charge(&S->memory.slabs, op->ndata, 0);
    cast_unref(&op->call.object);
    cast_raise_memory(L);
  }
  cast_release_arg(t); /* of a finalizer's wait */
  t->arg = op;
  t->owns_arg = true; /* the reference is the wait's from here on */
  S->nfileops++;
  cast_fileop_send(op);
  if (cast_event_wait(&op->call.done, &t->base) == CAST_PARKED)
    return cast_park(L, S, t, OS_FOREVER, &file_kind);
  return finish(L, S, t, 0);
}

int cast_fs_done(lua_State *L, cast_state *S, cast_fileop *op, intptr_t rc) {
  if (op->ndata > 0) (void)cast_slabs_charge(&S->memory.slabs, op->ndata, 0);
  op->rc = rc;
  return conclude(L, S, op);
}

/* What was read lies in an operation that is done while others run. */
int cast_fs_give(lua_State *L, cast_state *S, cast_ltask *t) {
  cast_fileop *op;
  size_t n;
  const char *s = lua_tolstring(L, -1, &n);
  if (CAST_LIKELY(!cast_turn_is_due_for(S, t, n))) return 1;
  op = cast_fileop_new(&cast_op_read, NULL, "", NULL, 0);
  if (op == NULL) return 1;
  op->room = SIZE_MAX;
  if (cast_fileop_make_room(op, n + 1) < 0 || !cast_enter_anew(L, S, t)) {
    cast_unref(&op->call.object);
    return 1;
  }
  memcpy(op->out, s, n);
  op->nout = n;
  (void)cast_fileop_claim(op);
  cast_release_arg(t);
  t->arg = op;
  t->owns_arg = true;
  S->nfileops++;
  (void)cast_wait_turn(&t->base);
  return cast_park(L, S, t, OS_FOREVER, &file_kind);
}
