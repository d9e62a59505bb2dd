/* bound.c - a module for tests: bound to the thread that has loaded it.
   SPDX-License-Identifier: MIT

   As many libraries do, it takes a recursive mutex when it is loaded, which
   stays with that thread, and has each call take it once more. A call in another
   thread raises an error, and is counted; so is a finalizer there.
   thread()         --> the thread's number, after the check
   call(f, ...)     --> f(...), with the mutex held once more
   asleep(seconds)      sleeps in C
   counts()         --> states that are open, and checks that have failed

   bound.slow: a module that must not be loaded by two threads at once.
   luaopen_bound_slow sleeps, and counts who is in it.
   most()           --> how many were in it at once, at most */
#define _GNU_SOURCE
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static atomic_int nopen, nwrong, nloading, most;

typedef struct lock {
  pthread_mutex_t mutex;
  pthread_t thread;
  int made;
} lock;

/* The checks of the thread, and of the mutex, which only its owner can take and
   drop. */
static int is_right(lock *l) {
  if (!l->made || !pthread_equal(l->thread, pthread_self())) return 0;
  if (pthread_mutex_trylock(&l->mutex) != 0) return 0;
  return pthread_mutex_unlock(&l->mutex) == 0;
}

static lock *check(lua_State *L) {
  lock *l = lua_touserdata(L, lua_upvalueindex(1));
  if (is_right(l)) return l;
  atomic_fetch_add(&nwrong, 1);
  luaL_error(L, "bound: called in another thread");
  return NULL;
}

static int lib_thread(lua_State *L) {
  const lock *l = check(L);
  lua_pushnumber(L, (lua_Number)(uintptr_t)l->thread);
  return 1;
}

static int lib_call(lua_State *L) {
  lock *l = check(L);
  luaL_checkany(L, 1);
  pthread_mutex_lock(&l->mutex);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  (void)check(L);
  pthread_mutex_unlock(&l->mutex);
  return lua_gettop(L);
}

static int lib_asleep(lua_State *L) {
  double s = luaL_checknumber(L, 1);
  struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
  (void)check(L);
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
  (void)check(L);
  return 0;
}

static int lib_counts(lua_State *L) {
  lua_pushinteger(L, atomic_load(&nopen));
  lua_pushinteger(L, atomic_load(&nwrong));
  return 2;
}

/* As the state closes. */
static int lock_gc(lua_State *L) {
  lock *l = lua_touserdata(L, 1);
  if (!is_right(l) || pthread_mutex_unlock(&l->mutex) != 0 ||
      pthread_mutex_destroy(&l->mutex) != 0)
    atomic_fetch_add(&nwrong, 1);
  atomic_fetch_sub(&nopen, 1);
  return 0;
}

static void push_lock(lua_State *L) {
  pthread_mutexattr_t recursive;
  lock *l = lua_newuserdata(L, sizeof *l);
  l->made = 0;
  lua_newtable(L);
  lua_pushcfunction(L, lock_gc);
  lua_setfield(L, -2, "__gc");
  pthread_mutexattr_init(&recursive);
  pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&l->mutex, &recursive);
  pthread_mutexattr_destroy(&recursive);
  pthread_mutex_lock(&l->mutex);
  l->thread = pthread_self();
  l->made = 1;
  atomic_fetch_add(&nopen, 1);
  lua_setmetatable(L, -2);
}

static const luaL_Reg functions[] = {
  {"thread", lib_thread},
  {"call", lib_call},
  {"asleep", lib_asleep},
  {"counts", lib_counts},
  {NULL, NULL},
};

int luaopen_bound(lua_State *L);
int luaopen_bound(lua_State *L) {
  int at;
  lua_newtable(L);
  push_lock(L);
  at = lua_gettop(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushvalue(L, at);
    lua_pushcclosure(L, f->func, 1);
    lua_setfield(L, at - 1, f->name);
  }
  lua_settop(L, at - 1);
  return 1;
}

static int slow_most(lua_State *L) {
  lua_pushinteger(L, atomic_load(&most));
  return 1;
}

int luaopen_bound_slow(lua_State *L);
int luaopen_bound_slow(lua_State *L) {
  struct timespec t = {0, 2000000};
  int n = 1 + atomic_fetch_add(&nloading, 1), seen = atomic_load(&most);
  while (n > seen && !atomic_compare_exchange_weak(&most, &seen, n)) {}
  while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
  atomic_fetch_sub(&nloading, 1);
  lua_newtable(L);
  lua_pushcfunction(L, slow_most);
  lua_setfield(L, -2, "most");
  return 1;
}
