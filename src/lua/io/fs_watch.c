/* fs_watch.c - what fs.watch needs in C: things to be watched, and events.
   SPDX-License-Identifier: MIT

   The rest is in lualib/casting/fs_watch*.lua. A watch reads from a stream, the
   descriptor of a watcher (../../os/watch.h). To add a path means to look it up
   on a disk, so a helper does it (offload.h). What a watch has asked for is a
   *watching*; the watch keeps its handle until it knows what came of it, also
   if the task that asked does not wait any more.
   Owner: what is in a watching belongs to the helper until its call is done,
   and is only read from then on. The helper has a reference to the descriptor,
   and uses its number only while it is open: it may be closed meanwhile. */
#include "fs_watch.h"
#include "../../../include/casting.h"
#include "../../io/poller.h"
#include "../../limits.h"
#include "../../mem.h"
#include "../../offload.h"
#include "../../os/socket.h"
#include "../../os/watch.h"
#include "../compat/auxiliary.h"
#include "../state/argument.h"
#include "../task/await.h"
#include "../task/enter.h"
#include "../task/turn.h"
#include "net.h"

/* The names of a directory: for each one a byte, 'd' for a directory, 'f' for
   anything else, then the name and a zero. */
typedef struct listing {
  char *bytes;
  size_t size, room;
  bool all; /* not only those of directories */
} listing;

typedef struct adding {
  cast_call call;
  cast_descriptor *file; /* (i) a reference */
  unsigned how;          /* (i) for os_watch_add */
  bool lists;            /* (i) the names are wanted */
  os_watch_thing thing;  /* (helper) */
  intptr_t number;       /* (helper) or a result below zero */
  intptr_t listed;       /* (helper) 0, or why there are no names */
  listing names;         /* (helper) */
  char path[];           /* (i) */
} adding;

/* What the handle stands for: a call has a type of its own. */
typedef struct watching {
  cast_object object;
  adding *adding; /* (i) a reference; NULL: there was no memory */
} watching;

static cast_offload lookups =
  CAST_OFFLOAD_STATIC(lookups, CAST_WATCH_HELPERS, "casting/watch");

/* -- in a helper ---------------------------------------------------------- */

static int take_name(const char *name, bool directory, void *ud) {
  listing *n = ud;
  size_t size = strlen(name) + 1;
  if (!directory && !n->all) return 0;
  if (n->size + size + 1 > n->room) {
    size_t room = n->room < 1024 ? 4096 : 2 * n->room;
    char *bytes;
    if (room > CAST_WATCH_NAMES_MOST) return OS_ENOMEM;
    bytes = cast_realloc(n->bytes, room);
    if (bytes == NULL) return OS_ENOMEM;
    n->bytes = bytes;
    n->room = room;
  }
  n->bytes[n->size] = directory ? 'd' : 'f';
  memcpy(n->bytes + n->size + 1, name, size);
  n->size += size + 1;
  return 0;
}

static void run_adding(cast_call *c) {
  adding *a = CAST_CONTAINER(c, adding, call);
  a->number = CASTING_ECLOSED;
  if (!cast_descriptor_begin(a->file)) return;
  a->number = os_watch_add(a->file->fd, a->path, a->how, &a->thing);
  cast_descriptor_end(a->file);
  if (a->number >= 0 && a->thing.directory && a->lists)
    a->listed = os_watch_list(a->path, a->how, take_name, &a->names);
}

static void free_adding(cast_call *c) {
  adding *a = CAST_CONTAINER(c, adding, call);
  cast_unref(&a->file->object);
  cast_free(a->names.bytes);
  cast_free(a);
}

static const cast_call_kind adding_kind = {
  .run = run_adding, .free = free_adding};

/* -- handles -------------------------------------------------------------- */

static void free_watching(cast_object *o) {
  watching *w = CAST_CONTAINER(o, watching, object);
  if (w->adding != NULL) cast_unref(&w->adding->call.object);
  cast_free(w);
}

static const cast_type watching_type = {"watching", free_watching, NULL};

static const luaL_Reg methods[] = {{NULL, NULL}};

const cast_class cast_watching_class = {
  .type = &watching_type,
  .title = "casting.watching",
  .methods = methods,
};

static adding *adding_at(lua_State *L, int idx) {
  adding *a =
    CAST_CONTAINER(cast_handle_check(L, idx, &watching_type), watching, object)
      ->adding;
  if (a == NULL) cast_misuse(L, "nothing was asked for");
  return a;
}

/* watch_add(stream, path, below, what): has that path added. `below`: it must
   be a directory, and no link. `what`: "all" names in it are wanted then, those
   of "directories", or none. A watching; or nil, why. */
static int watch_add(lua_State *L) {
  const cast_stream *s;
  size_t size;
  const char *path = cast_arg_string(L, 2, &size);
  cast_handle *h;
  watching *w;
  adding *a;
  (void)cast_state_here(L);
  (void)cast_net_stream(L, 1);
  h = cast_handle_new(L, &watching_type, sizeof *a);
  s = cast_net_stream(L, 1); /* a finalizer may have done anything */
  if (s->closed) return cast_net_failure(L, CASTING_ECLOSED);
  w = cast_calloc(sizeof *w);
  if (w == NULL) cast_raise_memory(L);
  cast_object_init(&w->object, &watching_type);
  h->object = &w->object;
  cast_handle_note(L, h);
  a = cast_calloc(sizeof *a + size + 1);
  if (a == NULL) cast_raise_memory(L);
  cast_call_init(&a->call, &adding_kind);
  a->file = cast_ref(&s->file->object);
  a->how = lua_toboolean(L, 3) ? OS_WATCH_BELOW : 0;
  a->names.all = cast_arg_is(L, 4, "all");
  a->lists = a->names.all || cast_arg_is(L, 4, "directories");
  memcpy(a->path, path, size);
  w->adding = a;
  cast_offload_send(&lookups, &a->call);
  return 1;
}

/* -- waiting -------------------------------------------------------------- */

static int finish(lua_State *L, cast_state *S, cast_ltask *t, int result) {
  CAST_UNUSED(S);
  CAST_UNUSED(t);
  if (result != 0) return cast_net_failure(L, result);
  lua_pushboolean(L, 1);
  return 1;
}

static void describe(cast_buffer *b, const cast_ltask *t) {
  const adding *a = t->arg;
  size_t from = b->size;
  cast_buffer_form(b, "watching %.*s", (int)CAST_WATCH_TITLE, a->path);
  cast_buffer_tame(b, from);
}

static const cast_wait_kind wait_kind = {
  .finish = finish, .describe = describe};

/* watch_wait(watching [, seconds]): true when it is known what came of it; or
   nil, "timeout". */
static int watch_wait(lua_State *L) {
  cast_state *S = cast_state_here(L);
  adding *a = adding_at(L, 1);
  uint64_t deadline = cast_deadline(L, 2);
  bool waits = deadline == OS_FOREVER || lua_tonumber(L, 2) > 0;
  cast_ltask *t;
  if (cast_event_is_set(&a->call.done)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  t = cast_enter(L, S, deadline);
  if (!waits) {
    cast_turn_first(L, S, t);
    if (!cast_event_is_set(&adding_at(L, 1)->call.done))
      return cast_net_failure(L, CASTING_ETIMEOUT);
    lua_pushboolean(L, 1);
    return 1;
  }
  t->arg = adding_at(L, 1);
  return cast_await_event(L, S, t, &a->call.done, deadline, &wait_kind);
}

/* -- what came of it ------------------------------------------------------ */

/* {name, directory, name, directory ...} */
static void push_names(lua_State *L, const listing *n) {
  int count = 0;
  lua_newtable(L);
  for (size_t at = 0; at < n->size;) {
    size_t size = strlen(n->bytes + at + 1);
    lua_pushlstring(L, n->bytes + at + 1, size);
    lua_rawseti(L, -2, ++count);
    lua_pushboolean(L, n->bytes[at] == 'd');
    lua_rawseti(L, -2, ++count);
    at += size + 2;
  }
}

/* watch_result(watching): false: it is not known yet. Its number, whether it is
   a directory, the list of names, and "link" if its path is one; or the number,
   or nil, then nil, why, and "gone" or "full" if it is one of these. */
static int watch_result(lua_State *L) {
  adding *a = adding_at(L, 1);
  char text[128];
  intptr_t rc;
  if (!cast_event_is_set(&a->call.done)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  rc = a->call.result != 0 ? OS_ENOMEM : a->number < 0 ? a->number : a->listed;
  if (a->call.result == 0 && a->number > 0)
    lua_pushinteger(L, (lua_Integer)a->number);
  else
    lua_pushnil(L);
  if (rc == 0) {
    lua_pushboolean(L, a->thing.directory);
    push_names(L, &a->names);
    lua_pushstring(L, a->thing.link ? "link" : NULL); /* or nil */
    return 4;
  }
  lua_pushnil(L);
  if (rc == CASTING_ECLOSED) {
    lua_pushliteral(L, "closed");
    return 3;
  }
  os_watch_text(rc, text, sizeof text);
  lua_pushstring(L, text);
  if (os_watch_is_gone(rc))
    lua_pushliteral(L, "gone");
  else if (rc == OS_WATCHES_OUT)
    lua_pushliteral(L, "full");
  else
    lua_pushnil(L);
  return 4;
}

/* -- watchers ------------------------------------------------------------- */

static char *title_of(const char *path) {
  cast_buffer b = {0};
  cast_buffer_form(&b, "watching %.*s", (int)CAST_WATCH_TITLE, path);
  cast_buffer_tame(&b, 0);
  return cast_buffer_take(&b);
}

/* A watcher. Watches that are garbage have some that others could use; 5.1
   needs two collections until they are closed. */
static int new_watcher(lua_State *L) {
  int fd = os_watch_new();
  for (int i = 0; i < 2 && fd == OS_WATCHERS_OUT; i++) {
    (void)lua_gc(L, LUA_GCCOLLECT, 0);
    fd = os_watch_new();
  }
  return fd;
}

/* watch_open(path): a stream of a new watcher; reports name its reader with the
   path. Or nil, why. */
static int watch_open(lua_State *L) {
  const char *path = cast_arg_string(L, 1, NULL);
  char text[128];
  cast_stream *s;
  int fd, rc;
  (void)cast_state_here(L);
  rc = cast_poller_make();
  if (rc != 0) return cast_net_failure(L, rc);
  cast_net_stream_new(L, cast_state_find(L));
  fd = new_watcher(L);
  if (fd < 0) {
    os_watch_text(fd, text, sizeof text);
    lua_pushnil(L);
    lua_pushstring(L, text);
    return 2;
  }
  s = cast_stream_new(fd, CAST_STREAM_OTHER);
  if (s == NULL) {
    os_close(fd);
    cast_raise_memory(L);
  }
  cast_net_stream_give(L, -1, s);
  s->title = title_of(path);
  if (s->title == NULL) cast_raise_memory(L);
  return 1;
}

/* watch_drop(stream, number) */
static int watch_drop(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  lua_Number number = cast_arg_number(L, 2);
  (void)cast_state_here(L);
  cast_arg_check(L, number > 0 && number < 2147483648.0, 2, "not a number");
  if (!cast_descriptor_begin(s->file)) return 0;
  os_watch_drop(s->file->fd, (int)number);
  cast_descriptor_end(s->file);
  return 0;
}

/* watch_ring(stream): has its reader look whether there is something. The
   number of the event that tells it so; or nothing. */
static int watch_ring(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  int number;
  (void)cast_state_here(L);
  if (!cast_descriptor_begin(s->file)) return 0;
  number = os_watch_ring(s->file->fd);
  cast_descriptor_end(s->file);
  if (number < 0) return 0;
  lua_pushinteger(L, number);
  return 1;
}

/* -- paths ---------------------------------------------------------------- */

/* Not every session has the library string. */

/* watch_key(path): the path without slashes at its end; nil: it has a zero
   byte. */
static int watch_key(lua_State *L) {
  size_t size;
  const char *path = cast_arg_string(L, 1, &size);
  if (strlen(path) != size) return 0;
  while (size > 1 && path[size - 1] == '/') size--;
  lua_pushlstring(L, path, size);
  return 1;
}

/* watch_parent(path): the directory that it lies in; "": the path is but a
   name, or the root. */
static int watch_parent(lua_State *L) {
  size_t size;
  const char *path = cast_arg_string(L, 1, &size);
  bool is_root = size == 1 && path[0] == '/';
  while (size > 0 && path[size - 1] != '/') size--;
  while (size > 1 && path[size - 1] == '/') size--;
  lua_pushlstring(L, path, is_root ? 0 : size);
  return 1;
}

/* watch_below(path, directory): what stands behind that directory in the path;
   nil: it is not below it. */
static int watch_below(lua_State *L) {
  size_t size, top;
  const char *path = cast_arg_string(L, 1, &size);
  const char *directory = cast_arg_string(L, 2, &top);
  if (top == 1 && directory[0] == '/') top = 0;
  if (size <= top + 1 || path[top] != '/' || memcmp(path, directory, top) != 0)
    return 0;
  lua_pushlstring(L, path + top + 1, size - top - 1);
  return 1;
}

/* -- events --------------------------------------------------------------- */

static const struct {
  uint32_t what;
  const char *word;
} words[] = {
  {OS_WATCH_MADE, "made"},
  {OS_WATCH_CHANGED, "changed"},
  {OS_WATCH_WRITTEN, "written"},
  {OS_WATCH_ATTRIBUTES, "attributes"},
  {OS_WATCH_REMOVED, "removed"},
  {OS_WATCH_FROM, "from"},
  {OS_WATCH_TO, "to"},
  {OS_WATCH_GONE, "gone"},
  {OS_WATCH_LEFT, "left"},
  {OS_WATCH_LOST, "lost"},
  {OS_WATCH_OVERFLOW, "overflow"},
};

/* watch_queued(stream): how many bytes of events are there to be read. */
static int watch_queued(lua_State *L) {
  cast_stream *s = cast_net_stream(L, 1);
  size_t size = cast_stream_left(s);
  if (cast_descriptor_begin(s->file)) {
    size += os_watch_queued(s->file->fd);
    cast_descriptor_end(s->file);
  }
  lua_pushnumber(L, (lua_Number)size);
  return 1;
}

/* Appends the event to the list on the top. */
static int push_event(
  lua_State *L, int count, const os_watch_event *e, const char *word) {
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)e->number);
  lua_setfield(L, -2, "number");
  lua_pushstring(L, word);
  lua_setfield(L, -2, "what");
  if (e->size > 0) {
    lua_pushlstring(L, e->name, e->size);
    lua_setfield(L, -2, "name");
  }
  if (e->cookie != 0) {
    lua_pushnumber(L, (lua_Number)e->cookie);
    lua_setfield(L, -2, "cookie");
  }
  if (e->directory) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "directory");
  }
  lua_rawseti(L, -2, ++count);
  return count;
}

/* Notes where the event ends. */
static void note_place(lua_State *L, int count, size_t at) {
  if (!lua_isnumber(L, 2)) return;
  lua_rawgeti(L, -1, count);
  lua_pushnumber(L, lua_tonumber(L, 2) + (lua_Number)at);
  lua_setfield(L, -2, "at");
  lua_pop(L, 1);
}

/* watch_parse(bytes [, before]): a list of {number=, what=, name=, cookie=,
   directory=}; what cannot be read is an overflow. If so many bytes were read
   before, each has also at=, how many with this one. */
static int watch_parse(lua_State *L) {
  size_t size, n;
  const char *bytes = cast_arg_string(L, 1, &size);
  const char *begin = bytes;
  int count = 0;
  os_watch_event e;
  lua_newtable(L);
  for (; size > 0; bytes += n, size -= n) {
    n = os_watch_next(bytes, size, &e);
    if (n == 0) {
      e = (os_watch_event){.what = OS_WATCH_OVERFLOW};
      n = size;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
      if (e.what & words[i].what) {
        count = push_event(L, count, &e, words[i].word);
        note_place(L, count, (size_t)(bytes - begin) + n);
      }
  }
  return 1;
}

const luaL_Reg cast_watch_functions[] = {
  {"watch_open", watch_open},
  {"watch_add", watch_add},
  {"watch_wait", watch_wait},
  {"watch_result", watch_result},
  {"watch_drop", watch_drop},
  {"watch_ring", watch_ring},
  {"watch_key", watch_key},
  {"watch_parent", watch_parent},
  {"watch_below", watch_below},
  {"watch_queued", watch_queued},
  {"watch_parse", watch_parse},
  {NULL, NULL},
};
