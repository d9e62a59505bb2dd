/* parkmod.c - a C module whose blocking calls suspend the calling task only.
   SPDX-License-Identifier: MIT

     cc -shared -fPIC parkmod.c -o parkmod.so \
       $(pkg-config --cflags --libs casting-5.4) \
       $(pkg-config --cflags lua5.4) -pthread

     local parkmod = require "parkmod"
     parkmod.work(n)               --> the n-th prime, computed in a thread
     parkmod.read(fd, n, seconds)  --> up to n bytes | nil, "timeout" | nil, why

   waiting.lua is a program that uses it.

   Each call has a thread of its own: simple, and enough to show the protocol.
   A module with an event loop would call casting_wake from that. */
#include <casting.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

/* Shared by the call that waits and the thread that works: whoever is second
   to let go frees it. */
typedef struct job {
  casting_waker *waker;
  pthread_mutex_t lock;
  int holders;
  int fd;     /* read */
  int stop;   /* a pipe's ends: written when nobody waits any more */
  int stop_w;
  size_t n;   /* bytes to read, or which prime; then the result */
  int error;  /* an errno */
  char bytes[];
} job;

static void let_go(job *j) {
  int left;
  pthread_mutex_lock(&j->lock);
  left = --j->holders;
  pthread_mutex_unlock(&j->lock);
  if (left > 0) return;
  pthread_mutex_destroy(&j->lock);
  if (j->stop >= 0) close(j->stop);
  if (j->stop_w >= 0) close(j->stop_w);
  free(j);
}

/* The end of every thread here: the result is in the job. */
static void done(job *j) {
  casting_waker *w = j->waker;
  casting_wake(w);
  casting_waker_unref(w);
  let_go(j);
}

/* Starts `work` for a job of so many bytes of room; raises if it cannot. */
static job *start(
  lua_State *L, casting_waker *w, size_t room, void *(*work)(void *), job with) {
  pthread_t thread;
  job *j = malloc(sizeof *j + room);
  if (j == NULL) {
    if (with.stop >= 0) close(with.stop);
    if (with.stop_w >= 0) close(with.stop_w);
    luaL_error(L, "not enough memory");
  }
  *j = with;
  j->waker = casting_waker_ref(w);
  j->holders = 2;
  pthread_mutex_init(&j->lock, NULL);
  if (pthread_create(&thread, NULL, work, j) != 0) {
    casting_waker_unref(w);
    j->holders = 1;
    let_go(j);
    luaL_error(L, "no thread to be had");
  }
  pthread_detach(thread);
  return j;
}

/* -- work: computing elsewhere -------------------------------------------- */

static void *primes(void *arg) {
  job *j = arg;
  size_t found = 0, n = 1;
  while (found < j->n) {
    size_t d = 2;
    for (n++; d * d <= n && n % d != 0;) d++;
    if (d * d > n) found++;
  }
  j->n = n;
  done(j);
  return NULL;
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
  job with = {.stop = -1, .stop_w = -1};
  lua_Number n = luaL_checknumber(L, 1);
  casting_waker *w;
  luaL_argcheck(L, n >= 1 && n <= 1e6, 1, "1 to 1000000 expected");
  with.n = (size_t)n;
  w = casting_waker_new(L); /* what can fail, does here */
  return casting_park(
    L, w, CASTING_FOREVER, finish_work, start(L, w, 0, primes, with));
}

/* -- read: a pipe or socket ----------------------------------------------- */

static void *reader(void *arg) {
  job *j = arg;
  struct pollfd p[2] = {{j->fd, POLLIN, 0}, {j->stop, POLLIN, 0}};
  ssize_t got = -1;
  while (poll(p, 2, -1) < 0 && errno == EINTR) continue;
  if (p[1].revents == 0) {
    got = read(j->fd, j->bytes, j->n);
    if (got < 0) j->error = errno;
  }
  j->n = got > 0 ? (size_t)got : 0;
  done(j);
  return NULL;
}

static int finish_read(lua_State *L, int outcome, void *ud) {
  job *j = ud;
  int n = 1;
  if (outcome != 0) {
    /* Timeout, or cancelled: the thread is told to give up. */
    close(j->stop_w);
    j->stop_w = -1;
    lua_pushnil(L);
    lua_pushstring(L, casting_word(outcome));
    n = 2;
  } else if (j->error != 0) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(j->error));
    n = 2;
  } else {
    lua_pushlstring(L, j->bytes, j->n);
  }
  let_go(j);
  return n;
}

static int mod_read(lua_State *L) {
  job with = {.stop = -1, .stop_w = -1};
  lua_Number n = luaL_checknumber(L, 2);
  double seconds = luaL_optnumber(L, 3, CASTING_FOREVER);
  casting_waker *w;
  int ends[2];
  with.fd = (int)luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 1 && n <= 1e6, 2, "1 to 1000000 bytes expected");
  with.n = (size_t)n;
  w = casting_waker_new(L);
  if (pipe(ends) != 0) return luaL_error(L, "pipe: %s", strerror(errno));
  with.stop = ends[0];
  with.stop_w = ends[1];
  return casting_park(
    L, w, seconds, finish_read, start(L, w, with.n, reader, with));
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
