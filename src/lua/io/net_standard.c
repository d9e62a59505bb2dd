/* net_standard.c - the streams casting.stdin, casting.stdout, casting.stderr.
   SPDX-License-Identifier: MIT

   Each session has streams of its own for them, made when it first asks. They
   never change the open files that the program was started with, which other
   processes and io.write share: see os_open_standard. What is not open is a
   stream that is closed, so that a program which was started without it finds
   the end, and no nil. */
#include "../../../include/casting.h"
#include "../../os/standard.h"
#include "../compat/auxiliary.h"
#include "../compat/single.h"
#include "../state/argument.h"
#include "net.h"

const char *const cast_net_standard_names[3] = {"stdin", "stdout", "stderr"};

static cast_stream_origin origin_of(const os_kind *kind, bool anew) {
  if (anew) return CAST_STREAM_OTHER;
  return kind->is_file ? CAST_STREAM_FILE : CAST_STREAM_SHARED;
}

/* A cast_maker; arg: one of the names. */
static void make(lua_State *L, const void *arg) {
  const char *const *name = arg;
  cast_state *S = cast_state_find(L);
  os_kind kind = {.is_socket = false};
  bool anew = true, closed = false;
  cast_stream *s;
  int fd;
  cast_net_stream_new(L, S);
  fd = cast_poller_make();
  if (fd == 0)
    fd = os_open_standard((int)(name - cast_net_standard_names), &kind, &anew);
  if (os_is_not_open(fd)) {
    closed = true;
    fd = os_socket(OS_UNIX, false); /* any; it is closed at once */
  }
  if (fd < 0) {
    (void)cast_net_failure(L, fd);
    cast_lua_error(L, "casting.%s: %s", *name, lua_tostring(L, -1));
  }
  s = cast_stream_new(fd, origin_of(&kind, anew));
  if (s == NULL) {
    os_close(fd);
    cast_raise_memory(L);
  }
  s->is_socket = kind.is_socket;
  s->is_terminal = kind.is_terminal;
  s->name = *name;
  if (closed) (void)cast_stream_close(s, &S->session);
  cast_net_stream_give(L, -1, s);
}

void cast_net_standard_push(lua_State *L, int number) {
  const void *key = &cast_net_standard_names[number];
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  (void)cast_single_push(L, key, make, key);
}
