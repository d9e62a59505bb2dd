/* cryptomem.c - a module for tests: OpenSSL's memory, which fails when a test
   wants it to.
   SPDX-License-Identifier: MIT

   It has to be loaded before anything of OpenSSL runs, and stays.
   available()      --> true; or nil and why OpenSSL cannot be had
   starve(n, many)      the n-th allocation from now on fails, and so many in a
                        row; 0: none
   starve()         --> has one failed; how many blocks there are; how many
                        allocations there have been */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static _Atomic int64_t live, total, left, many;
static _Atomic int failed;
static const char *why = "not loaded";

static int fails(void) {
  int64_t n = atomic_load(&left);
  atomic_fetch_add(&total, 1);
  do {
    if (n == 0) return 0;
  } while (!atomic_compare_exchange_weak(
    &left, &n, n > 1 ? n - 1 : atomic_load(&many) > 1));
  if (n > 1) return 0;
  atomic_fetch_sub(&many, 1);
  atomic_store(&failed, 1);
  return 1;
}

static void *get(size_t size, const char *file, int line) {
  void *p;
  (void)file;
  (void)line;
  if (size == 0 || fails()) return NULL;
  p = malloc(size);
  if (p != NULL) atomic_fetch_add(&live, 1);
  return p;
}

static void drop(void *p, const char *file, int line) {
  (void)file;
  (void)line;
  if (p != NULL) atomic_fetch_sub(&live, 1);
  free(p);
}

static void *resize(void *p, size_t size, const char *file, int line) {
  if (p == NULL) return get(size, file, line);
  if (size == 0) {
    drop(p, file, line);
    return NULL;
  }
  return fails() ? NULL : realloc(p, size);
}

typedef int set_functions(void *(*)(size_t, const char *, int),
  void *(*)(void *, size_t, const char *, int),
  void (*)(void *, const char *, int));

/* OpenSSL frees its memory when the process ends: these functions must still be
   there then. */
static const char *install(void) {
  void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
  set_functions *set = NULL;
  Dl_info self;
  if (dladdr(&why, &self) == 0 ||
      dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE) == NULL)
    return "this module does not stay";
  if (library == NULL) return "there is no libcrypto.so.3";
  *(void **)&set = dlsym(library, "CRYPTO_set_mem_functions");
  if (set == NULL) return "it has no CRYPTO_set_mem_functions";
  return set(get, resize, drop) ? NULL : "it has memory already";
}

static int available(lua_State *L) {
  if (why == NULL) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

static int starve(lua_State *L) {
  if (lua_gettop(L) > 0) {
    atomic_store(&left, 0);
    atomic_store(&failed, 0);
    atomic_store(&many, (int64_t)luaL_optinteger(L, 2, 1));
    atomic_store(&left, (int64_t)luaL_checkinteger(L, 1));
    return 0;
  }
  lua_pushboolean(L, atomic_load(&failed));
  lua_pushinteger(L, (lua_Integer)atomic_load(&live));
  lua_pushinteger(L, (lua_Integer)atomic_load(&total));
  return 3;
}

int luaopen_cryptomem(lua_State *L);
int luaopen_cryptomem(lua_State *L) {
  static atomic_flag begun = ATOMIC_FLAG_INIT;
  if (!atomic_flag_test_and_set(&begun)) why = install();
  lua_newtable(L);
  lua_pushcfunction(L, available);
  lua_setfield(L, -2, "available");
  lua_pushcfunction(L, starve);
  lua_setfield(L, -2, "starve");
  return 1;
}
