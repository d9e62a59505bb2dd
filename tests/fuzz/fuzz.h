/* fuzz.h - what the fuzz targets share: Lua states with a packer.
   SPDX-License-Identifier: MIT

   A target is a C file with libFuzzer's two functions; README.md tells how it
   is built and run. The states have no runtime: handles are stand-ins for those
   of state/handle.c, so that thousands of states a second can be made.

   Not one allocation may be left when an input is done; fuzz_open and
   fuzz_close_all see to it. */
#ifndef CAST_FUZZ_H
#define CAST_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "../../include/casting.h"
#include "../../src/lua/state/handle.h"
#include "../../src/lua/transfer/pack.h"
#include "../../src/mem.h"

/* Where the Lua files of the targets are. */
#ifndef FUZZ_DIR
#define FUZZ_DIR "tests/fuzz"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

typedef struct fuzz_side {
  lua_State *L;
  cast_packer *packer;
} fuzz_side;

/* -- memory --------------------------------------------------------------- */

/* What the states may use together: an input that asks for more gets an error,
   as in a session with a limit. */
#define FUZZ_MEMORY (64u << 20)
static size_t fuzz_used;
static size_t fuzz_limit = FUZZ_MEMORY;
static unsigned fuzz_sides; /* open ones */
static int64_t fuzz_live;   /* blocks when the first was opened */

/* Injected failures (cast_mem_fail_at and its like) count here, too. */
static inline void *fuzz_allocate(
  void *ud, void *ptr, size_t osize, size_t nsize) {
  if (ptr == NULL) osize = 0;
  if (nsize > osize && fuzz_used + (nsize - osize) > fuzz_limit) return NULL;
  void *fresh = cast_mem_lua(ud, ptr, osize, nsize);
  if (nsize == 0 || fresh != NULL) fuzz_used = fuzz_used - osize + nsize;
  return fresh;
}

/* -- handles: stand-ins --------------------------------------------------- */

static inline void fuzz_object_free(cast_object *o) { cast_free(o); }
static const cast_type fuzz_object_type = {"channel", fuzz_object_free, NULL};
static const char fuzz_handle_key = 0;

const char cast_handle_tag = 0;

static inline int fuzz_handle_gc(lua_State *L) {
  cast_handle *h = lua_touserdata(L, 1);
  if (h == NULL) return 0; /* the weak table */
  if (h->object != NULL) cast_unref(h->object);
  h->object = NULL;
  return 0;
}

const cast_giving *cast_handle_giving(lua_State *L, const cast_object *o) {
  CAST_UNUSED(L);
  CAST_UNUSED(o);
  return NULL;
}

/* A state has one handle of an object: a weak table knows them. */
void cast_handle_push(lua_State *L, cast_object *o) {
  luaL_checkstack(L, 5, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &fuzz_handle_key);
  lua_rawgetp(L, -1, o);
  if (lua_isuserdata(L, -1)) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  cast_handle *h = cast_lua_newuserdata(L, sizeof *h);
  h->tag = &cast_handle_tag;
  h->object = NULL;
  lua_getmetatable(L, -2);
  lua_setmetatable(L, -2);
  h->object = cast_ref(o);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, -3, o);
  lua_remove(L, -2);
}

/* A new object with one reference. */
static inline cast_object *fuzz_object_new(void) {
  cast_object *o = cast_alloc(sizeof *o);
  CAST_ALWAYS(o != NULL);
  cast_object_init(o, &fuzz_object_type);
  return o;
}

/* The metatable of handles, which is the weak table's, too. */
static inline void fuzz_open_handles(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, fuzz_handle_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &fuzz_handle_key);
}

/* -- states --------------------------------------------------------------- */

static inline void fuzz_open(fuzz_side *s) {
  if (fuzz_sides++ == 0) {
    fuzz_live = cast_mem_live();
    fuzz_used = 0;
  }
#if CAST_LUA >= 505
  s->L = lua_newstate(fuzz_allocate, NULL, 1);
#else
  s->L = lua_newstate(fuzz_allocate, NULL);
#endif
  CAST_ALWAYS(s->L != NULL);
  luaL_openlibs(s->L);
  fuzz_open_handles(s->L);
  s->packer = cast_packer_open(s->L, NULL);
  lua_settop(s->L, 0);
}

static inline void fuzz_close(fuzz_side *s) {
  lua_close(s->L);
  s->L = NULL;
  fuzz_sides--;
}

/* After the last one has been closed, and all messages are dropped. Nothing is
   said of fuzz_used: LuaJIT miscounts some sizes when memory ends. */
static inline void fuzz_closed_all(void) {
  CAST_ALWAYS(fuzz_sides == 0);
  CAST_ALWAYS(cast_mem_live() == fuzz_live);
}

/* -- Lua files ------------------------------------------------------------ */

typedef struct fuzz_code { /* zero: not compiled yet */
  char *at;
  size_t size;
} fuzz_code;

static inline int fuzz_write(
  lua_State *L, const void *from, size_t size, void *ud) {
  fuzz_code *code = ud;
  CAST_UNUSED(L);
  if (size == 0) return 0;
  code->at = realloc(code->at, code->size + size);
  CAST_ALWAYS(code->at != NULL);
  memcpy(code->at + code->size, from, size);
  code->size += size;
  return 0;
}

/* Compiles the file, when it is first asked for. */
static inline void fuzz_compile(fuzz_code *code, const char *path) {
  if (code->size > 0) return;
  lua_State *L = luaL_newstate();
  if (luaL_loadfile(L, path) != 0) {
    (void)fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(1);
  }
  cast_lua_dump(L, fuzz_write, code);
  lua_close(L);
}

/* Pushes what the compiled file returns. Raises. */
static inline void fuzz_run(lua_State *L, const fuzz_code *code) {
  if (cast_lua_load(L, code->at, code->size, "fuzz", "b") != 0) lua_error(L);
  lua_call(L, 0, 1);
}

#endif
