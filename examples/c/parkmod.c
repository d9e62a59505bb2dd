/* parkmod.c - a C module whose blocking calls suspend the calling task only.
   SPDX-License-Identifier: MIT

     cc -shared -fPIC parkmod.c -o parkmod.so \
       $(pkg-config --cflags --libs casting-5.4) \
       $(pkg-config --cflags lua5.4) -pthread

     local parkmod = require "parkmod"
     parkmod.work(n)               --> the n-th prime, computed in a thread
     parkmod.read(fd, n, seconds)  --> up to n bytes | nil, "timeout" | nil, why

   waiting.lua is a program that uses it.

   `work` has a thread of its own for each call: simple, and enough to show the
   protocol. A module with an event loop would call casting_wake from that.
   `read` needs no thread, since casting itself waits for descriptors. One task
   at a time may read from one descriptor: a second one might find that nothing
   is left, and would keep the session's thread. */
#include <casting.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

/* -- work: computing elsewhere -------------------------------------------- */

/* Shared by the call that waits and the thread that works: whoever is second
   to let go frees it. */
typedef struct job {
  casting_waker *waker;
  pthread_mutex_t lock;
  int holders;
  size_t n; /* which prime; then the result */
} job;

static void let_go(job *j) {
  int left;
  pthread_mutex_lock(&j->lock);
  left = --j->holders;
  pthread_mutex_unlock(&j->lock);
  if (left > 0) return;
  pthread_mutex_destroy(&j->lock);
  free(j);
}

static void *primes(void *arg) {
  job *j = arg;
  casting_waker *w = j->waker;
  size_t found = 0, n = 1;
  while (found < j->n) {
    size_t d = 2;
    for (n++; d * d <= n && n % d != 0;) d++;
    if (d * d > n) found++;
  }
  j->n = n;
  casting_wake(w);
  casting_waker_unref(w);
  let_go(j);
  return NULL;
}

/* Starts a thread that works; raises if it cannot. */
static job *start(lua_State *L, casting_waker *w, size_t n) {
  pthread_t thread;
  job *j = malloc(sizeof *j);
  if (j == NULL) luaL_error(L, "not enough memory");
  j->waker = casting_waker_ref(w);
  j->holders = 2;
  j->n = n;
  pthread_mutex_init(&j->lock, NULL);
  if (pthread_create(&thread, NULL, primes, j) != 0) {
    casting_waker_unref(w);
    j->holders = 1;
    let_go(j);
    luaL_error(L, "no thread to be had");
  }
  pthread_detach(thread);
  return j;
}

/* Also called when the task is being cancelled: its half of the job goes. */
static int finish_work(lua_State *L, int outcome, void *ud) {
  job *j = ud;
  lua_Integer n = (lua_Integer)(outcome == 0 ? j->n : 0);
  let_go(j);
  lua_pushinteger(L, n);
  return 1;
}

static int mod_work(lua_State *L) {
  lua_Number n = luaL_checknumber(L, 1);
  casting_waker *w;
  luaL_argcheck(L, n >= 1 && n <= 1e6, 1, "1 to 1000000 expected");
  w = casting_waker_new(L); /* what can fail, does here */
  return casting_park(
    L, w, CASTING_FOREVER, finish_work, start(L, w, (size_t)n));
}

/* -- read: a pipe or socket ----------------------------------------------- */

typedef struct request {
  int fd;
  size_t n; /* bytes to read at most */
} request;

/* Called once, whatever happens: when there is something to read, after the
   time given, or when the task is being cancelled. */
static int finish_read(lua_State *L, int outcome, void *ud) {
  request r = *(request *)ud;
  char *bytes;
  ssize_t got;
  free(ud);
  if (outcome != 0) {
    lua_pushnil(L);
    lua_pushstring(L, casting_word(outcome));
    return 2;
  }
  bytes = lua_newuserdata(L, r.n);
  do {
    got = read(r.fd, bytes, r.n);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushlstring(L, bytes, (size_t)got);
  return 1;
}

static int mod_read(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  lua_Number n = luaL_checknumber(L, 2);
  double seconds = luaL_optnumber(L, 3, CASTING_FOREVER);
  request *r;
  luaL_argcheck(L, fd >= 0, 1, "a descriptor expected");
  luaL_argcheck(L, n >= 1 && n <= 1e6, 2, "1 to 1000000 bytes expected");
  r = malloc(sizeof *r);
  if (r == NULL) return luaL_error(L, "not enough memory");
  r->fd = fd;
  r->n = (size_t)n;
  return casting_wait_fd(L, fd, CASTING_READABLE, seconds, finish_read, r);
}

/* -- the module ----------------------------------------------------------- */

/* For the tests: pipe() --> read end, write end; write(fd, s); close(fd) */
static int mod_pipe(lua_State *L) {
  int ends[2];
  if (pipe(ends) != 0) return luaL_error(L, "pipe: %s", strerror(errno));
  lua_pushinteger(L, ends[0]);
  lua_pushinteger(L, ends[1]);
  return 2;
}

static int mod_write(lua_State *L) {
  size_t size;
  const char *s = luaL_checklstring(L, 2, &size);
  lua_pushboolean(
    L, write((int)luaL_checkinteger(L, 1), s, size) == (ssize_t)size);
  return 1;
}

static int mod_close(lua_State *L) {
  lua_pushboolean(L, close((int)luaL_checkinteger(L, 1)) == 0);
  return 1;
}

CASTING_API int luaopen_parkmod(lua_State *L);
CASTING_API int luaopen_parkmod(lua_State *L) {
  static const luaL_Reg functions[] = {{"work", mod_work}, {"read", mod_read},
    {"pipe", mod_pipe}, {"write", mod_write}, {"close", mod_close},
    {NULL, NULL}};
  static const char here = 0;
  casting_pin(&here); /* its threads may end after the Lua state has */
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
