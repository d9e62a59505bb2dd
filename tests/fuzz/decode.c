/* decode.c - fuzzer of the decoder: any bytes are an error or a value.
   SPDX-License-Identifier: MIT

   The bytes of a message come from the encoder of the same process, so this
   is a second line of defence: no message may make the decoder read or write
   where it should not, or run without an end. The input is the payload; the
   references are a handle, a shared string and three functions, repeated (the
   order is in the input's first byte). Bytecode is not fuzzed: Lua trusts it.

   The state has a memory limit, and only libraries that cannot do harm when a
   message calls their functions. The corpus is what the encoder makes of some
   values, written by `fuzz-decode -seeds DIRECTORY` on Lua 5.4. */
#include "fuzz.h"

#define ITEMS 64

/* -- states --------------------------------------------------------------- */

/* Nothing from files, no output, no endless collections. */
static const char *const harmful[] = {"dofile", "loadfile", "load",
  "loadstring", "print", "warn", "collectgarbage", "io", "os", "debug",
  "package", "require", "coroutine", "jit", "ffi", NULL};

static const char *const kept[] = {"_G", "string", "table", NULL};

static bool is_kept(const char *name) {
  for (int i = 0; kept[i] != NULL; i++)
    if (strcmp(name, kept[i]) == 0) return true;
  return false;
}

/* Modules other than these have no name. */
static void forget_modules(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaded");
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pop(L, 1);
    if (is_kept(lua_tostring(L, -1))) continue;
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
  lua_pop(L, 2);
}

static void open_side(fuzz_side *s) {
  fuzz_limit = 32u << 20;
  fuzz_open(s);
  lua_State *L = s->L;
  forget_modules(L);
  for (int i = 0; harmful[i] != NULL; i++) {
    lua_pushnil(L);
    lua_setglobal(L, harmful[i]);
  }
  lua_getglobal(L, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "rep");
  lua_settop(L, 0);
}

/* -- references ----------------------------------------------------------- */

static cast_object *items[5];

static cast_object *code_of(lua_State *L, const char *chunk) {
  fuzz_code code = {NULL, 0};
  CAST_ALWAYS(luaL_dostring(L, chunk) == LUA_OK);
  cast_lua_dump(L, fuzz_write, &code);
  cast_bytes *bytes = cast_bytes_new(code.size);
  memcpy(bytes->data, code.at, code.size);
  free(code.at);
  lua_settop(L, 0);
  return &bytes->object;
}

static void make_items(void) {
  lua_State *L = luaL_newstate();
  cast_bytes *text = cast_bytes_new(5000);
  memset(text->data, 'x', 5000);
  items[0] = fuzz_object_new();
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
  "local t = {} for i = 1, 80 do t = {t, i} end return t",
  "return function() return 1 end, string.format, _G",
  "local a, b = {} local function f() return a, b, f end b = f return f, b",
  "local mt = {} mt.__index = mt return setmetatable({}, mt), mt",
  "local C = function(...) return {...} end return setmetatable({}, {"
  "__save = function() return C, 1, {2, setmetatable({}, {__save = function()"
  " return C, 3 end})} end}), ('big'):byte()",
  "return ('a'):byte(), {('b'):upper()}, {[{}] = {}, [1.5] = 1}", NULL};

/* Two values, one registered: a function with an environment, which is itself;
   from 5.2 on there is no such thing. Then an integer. */
static const unsigned char environment[] = {
  2, 0x42, 1, 0, 0, 0, 0x59, 0, 0x0d, 0, 0, 0, 0, 0x82};

static void write_seed(
  const char *dir, const char *name, const void *bytes, size_t size) {
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *f = fopen(path, "wb");
  CAST_ALWAYS(f != NULL);
  (void)fwrite(bytes, 1, size, f);
  (void)fclose(f);
}

static void write_seeds(const char *dir) {
  write_seed(dir, "environment", environment, sizeof environment);
  for (int i = 0; seeds[i] != NULL; i++) {
    unsigned char bytes[2048] = {2}; /* which reference is the first */
    char name[16];
    cast_msg m;
    fuzz_side side;
    fuzz_open(&side);
    lua_State *L = side.L;
    memset(&m, 0, sizeof m);
    CAST_ALWAYS(luaL_dostring(L, seeds[i]) == LUA_OK);
    cast_pack(side.packer, L, 1, lua_gettop(L), NULL, 0, &m);
    CAST_ALWAYS(m.size < sizeof bytes);
    memcpy(bytes + 1, cast_msg_data(&m), m.size);
    (void)snprintf(name, sizeof name, "value%d", i + 1);
    write_seed(dir, name, bytes, m.size + 1);
    cast_msg_drop(&m);
    fuzz_close(&side);
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
static fuzz_side side;

static int unpack(lua_State *L) {
  return cast_unpack(side.packer, L, &message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > 100000) return -1;
  open_side(&side);
  CAST_ALWAYS(cast_msg_init(&message, (uint32_t)size - 1, ITEMS) == 0);
  memcpy(cast_msg_data(&message), data + 1, size - 1);
  for (unsigned i = 0; i < ITEMS; i++)
    cast_msg_items(&message)[i] = cast_ref(items[(data[0] + i) % 5]);
  lua_pushcfunction(side.L, unpack);
  (void)lua_pcall(side.L, 0, LUA_MULTRET, 0);
  cast_msg_drop(&message);
  fuzz_close(&side);
  fuzz_closed_all();
  return 0;
}
