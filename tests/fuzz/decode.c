/* decode.c - fuzzer of the decoder: any bytes are an error or a value.
   SPDX-License-Identifier: MIT

   The bytes of a message come from the encoder of the same process, so this
   is a second line of defence: no message may make the decoder read or write
   where it should not, or run without an end. The input is the payload; the
   references are a handle, a shared string and three functions, repeated (the
   order is in the input's first byte). Bytecode is not fuzzed: Lua trusts it.

   The state has a memory limit, and only libraries that cannot do harm when
   a message calls their functions. It is built with clang, for Lua 5.4, and
   run by `FUZZ=600 ./dev check fuzz`, 600 seconds here. The corpus it begins
   with is what the encoder makes of some values (-seeds DIRECTORY). */
#include <stdio.h>
#include <stdlib.h>

#include "../../src/lua/state/handle.h"
#include "../../src/lua/transfer/pack.h"
#include "../../src/mem.h"

#define MEMORY (32u << 20)
#define ITEMS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* -- handles -------------------------------------------------------------- */

static void handle_free(cast_object *o) { cast_free(o); }
static const cast_type handle_type = {"channel", handle_free, NULL};
static const char handle_key = 0;

const char cast_handle_tag = 0;

static int handle_gc(lua_State *L) {
  cast_handle *h = lua_touserdata(L, 1);
  if (h->object != NULL) cast_unref(h->object);
  h->object = NULL;
  return 0;
}

static cast_object *pending;

void cast_handle_cross(lua_State *L, cast_object *o) {
  CAST_UNUSED(L);
  CAST_UNUSED(o);
}

void cast_handle_push(lua_State *L, cast_object *o) {
  if (pending != NULL) cast_unref(pending);
  pending = o;
  cast_handle *h = cast_lua_newuserdata(L, sizeof *h);
  h->tag = &cast_handle_tag;
  h->object = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &handle_key);
  lua_setmetatable(L, -2);
  h->object = o;
  pending = NULL;
}

/* -- states --------------------------------------------------------------- */

static size_t used;

static void *limited(void *ud, void *ptr, size_t osize, size_t nsize) {
  CAST_UNUSED(ud);
  if (ptr == NULL) osize = 0;
  if (nsize > osize && used + (nsize - osize) > MEMORY) return NULL;
  used = used - osize + nsize;
  if (nsize == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, nsize);
}

static lua_State *new_state(cast_packer **p) {
  lua_State *L = lua_newstate(limited, NULL);
  luaL_requiref(L, "_G", luaopen_base, 1);
  luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
  luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, handle_gc);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &handle_key);
  /* Nothing from files, no output, no endless collections. */
  static const char *const harmful[] = {
    "dofile", "loadfile", "load", "print", "warn", "collectgarbage", NULL};
  for (int i = 0; harmful[i] != NULL; i++) {
    lua_pushnil(L);
    lua_setglobal(L, harmful[i]);
  }
  lua_getglobal(L, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "rep");
  lua_settop(L, 0);
  *p = cast_packer_open(L, NULL);
  return L;
}

/* -- references ----------------------------------------------------------- */

static cast_object *items[5];

static int writer(lua_State *L, const void *from, size_t size, void *ud) {
  CAST_UNUSED(L);
  luaL_addlstring(ud, from, size);
  return 0;
}

static cast_object *code_of(lua_State *L, const char *chunk) {
  luaL_Buffer b;
  size_t size;
  CAST_ALWAYS(luaL_dostring(L, chunk) == LUA_OK);
  luaL_buffinit(L, &b);
  lua_pushvalue(L, 1);
  lua_insert(L, 1);
  lua_dump(L, writer, &b, 0);
  luaL_pushresult(&b);
  const char *s = lua_tolstring(L, -1, &size);
  cast_bytes *bytes = cast_bytes_new(size);
  memcpy(bytes->data, s, size);
  lua_settop(L, 0);
  return &bytes->object;
}

static void make_items(void) {
  lua_State *L = luaL_newstate();
  cast_object *handle = cast_alloc(sizeof *handle);
  cast_object_init(handle, &handle_type);
  cast_bytes *text = cast_bytes_new(5000);
  memset(text->data, 'x', 5000);
  items[0] = handle;
  items[1] = &text->object;
  items[2] = code_of(L, "return function() return 1 end");
  items[3] = code_of(L, "local x return function(a) x = a return x end");
  items[4] = code_of(
    L, "local a, b, c return function(...) return {a, b, c, _ENV, ...} end");
  lua_close(L);
}

/* -- corpus --------------------------------------------------------------- */

static const char *const seeds[] = {"return 1, 2.5, nil, true, 'text'",
  "return {1, 2, {3, x = {y = {}}}}, 'a', -1000000, 2^40",
  "local t = {} t.t = t t[t] = {t} return t, t",
  "local t = {} for i = 1, 200 do t = {t, i} end return t",
  "return function() return 1 end, string.format, _G",
  "local a, b = {} local function f() return a, b, f end b = f return f, b",
  "local mt = {} mt.__index = mt return setmetatable({}, mt), mt",
  "local C = function(...) return {...} end return setmetatable({}, {"
  "__save = function() return C, 1, {2, setmetatable({}, {__save = function()"
  " return C, 3 end})} end}), ('big'):byte()",
  "return ('a'):byte(), {('b'):upper()}, {[{}] = {}, [1.5] = 1}", NULL};

static void write_seeds(const char *dir) {
  cast_packer *p;
  for (int i = 0; seeds[i] != NULL; i++) {
    char path[4096];
    cast_msg m;
    lua_State *L = new_state(&p);
    memset(&m, 0, sizeof m);
    CAST_ALWAYS(luaL_dostring(L, seeds[i]) == LUA_OK);
    cast_pack(p, L, 1, lua_gettop(L), NULL, 0, &m);
    (void)snprintf(path, sizeof path, "%s/seed%d", dir, i);
    FILE *f = fopen(path, "wb");
    CAST_ALWAYS(f != NULL);
    (void)fputc(2, f);
    (void)fwrite(cast_msg_data(&m), 1, m.size, f);
    (void)fclose(f);
    cast_msg_drop(&m);
    lua_close(L);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  if (*argc == 3 && strcmp((*argv)[1], "-seeds") == 0) {
    write_seeds((*argv)[2]);
    exit(0);
  }
  make_items();
  return 0;
}

/* -- one input ------------------------------------------------------------ */

static cast_msg message;
static cast_packer *packer;

static int unpack(lua_State *L) { return cast_unpack(packer, L, &message); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > 100000) return -1;
  CAST_ALWAYS(cast_msg_init(&message, (uint32_t)size - 1, ITEMS) == 0);
  memcpy(cast_msg_data(&message), data + 1, size - 1);
  for (unsigned i = 0; i < ITEMS; i++)
    cast_msg_items(&message)[i] = cast_ref(items[(data[0] + i) % 5]);
  used = 0;
  lua_State *L = new_state(&packer);
  lua_pushcfunction(L, unpack);
  (void)lua_pcall(L, 0, LUA_MULTRET, 0);
  cast_msg_drop(&message);
  lua_close(L);
  if (pending != NULL) cast_unref(pending);
  pending = NULL;
  return 0;
}
