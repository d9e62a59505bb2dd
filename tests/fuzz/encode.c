/* encode.c - fuzzer of the encoder: any graph of values crosses as it is.
   SPDX-License-Identifier: MIT

   The input is a program for the machine of encode.lua, which builds tables,
   functions, handles and more in state A, with cycles, sharing, metatables,
   finalizers and `__save`, and calls `cross` with some of them. That packs them
   in A and unpacks them in B, packs what came in B and unpacks that in A. The
   machine then compares what it had with what came back.

   An input may have allocations fail while values cross. Then anything may be
   an error, but nothing may be lost or be freed twice. */
#include "fuzz.h"

static fuzz_side A, B;
static cast_msg message; /* outlives errors */

/* -- what the machine builds with ----------------------------------------- */

static int new_handle(lua_State *L) {
  static cast_object *pending; /* should the push raise */
  if (pending != NULL) cast_unref(pending);
  pending = fuzz_object_new();
  cast_handle_push(L, pending);
  cast_unref(pending);
  pending = NULL;
  return 1;
}

/* What a handle or light userdata stands for. */
static int identity(lua_State *L) {
  void *p = lua_islightuserdata(L, 1) ? lua_touserdata(L, 1)
                                      : (void *)cast_handle_test(L, 1);
  if (p == NULL) return 0;
  lua_pushlightuserdata(L, p);
  return 1;
}

/* Userdata whose content moves: a box with a block in it, or empty. */
static const char box_key = 0;

static void *box_take(lua_State *L, int i) {
  void **box = lua_touserdata(L, i), *content = *box;
  *box = NULL;
  return content;
}

static int box_make(lua_State *L) {
  void **box = cast_lua_newuserdata(L, sizeof *box);
  *box = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
  lua_setmetatable(L, -2);
  return 1;
}

static void box_put(lua_State *L, int i, void *content) {
  void **box = lua_touserdata(L, i);
  CAST_ALWAYS(*box == NULL);
  *box = content;
}

static const casting_transfer box_transfer = {sizeof(casting_transfer), "box",
  NULL, box_take, box_make, box_put, cast_free};

static int box_gc(lua_State *L) {
  cast_free(box_take(L, 1));
  return 0;
}

static int new_box(lua_State *L) {
  box_make(L);
  void *content = cast_alloc(10);
  if (content == NULL) return luaL_error(L, "not enough memory");
  box_put(L, -1, content);
  return 1;
}

/* Is it a box, and is anything in it? Nil if it is none. */
static int box_full(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA || cast_handle_test(L, 1) != NULL ||
      lua_rawlen(L, 1) != sizeof(void *))
    return 0;
  lua_pushboolean(L, *(void **)lua_touserdata(L, 1) != NULL);
  return 1;
}

static void open_boxes(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushlightuserdata(L, (void *)(uintptr_t)&box_transfer);
  lua_setfield(L, -2, "__transfer");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
}

static int new_light(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)lua_tointeger(L, 1));
  return 1;
}

/* -- crossing ------------------------------------------------------------- */

static int b_unpacks(lua_State *L) {
  return cast_unpack(B.packer, L, &message);
}

static int b_packs(lua_State *L) {
  cast_pack(B.packer, L, 1, lua_gettop(L), NULL, 0, &message);
  return 0;
}

/* They lie at the bottom of B's stack, as to push them takes memory in 5.1. */
enum { AT_UNPACKS = 1, AT_PACKS, BELOW = AT_PACKS };

/* Calls one of these in B with what lies above; its error is raised in A. */
static void in_b(lua_State *L, int function) {
  lua_pushvalue(B.L, function);
  lua_insert(B.L, BELOW + 1);
  int n = lua_gettop(B.L) - BELOW - 1;
  if (lua_pcall(B.L, n, LUA_MULTRET, 0) == 0) return;
  char text[400] = "in B: ";
  const char *why = lua_tostring(B.L, -1);
  if (why != NULL) (void)strncat(text, why, sizeof text - 10);
  lua_settop(B.L, BELOW);
  cast_msg_drop(&message);
  (void)luaL_error(L, "%s", text);
}

/* crossed(how, ...): values there and back. */
static int crossed(lua_State *L) {
  int n = lua_gettop(L) - 1, how = (int)lua_tointeger(L, 1);
  if (n == 0) return 0;
  cast_pack_as(A.packer, L, 2, n, NULL, 0, (cast_pack_how)how, &message);
  CAST_ALWAYS(lua_gettop(L) == n + 1);
  CAST_ALWAYS(!cast_msg_is_empty(&message));
  if (how == CAST_PACK_TRY) { /* such a message is not sent */
    cast_msg_drop(&message);
    return n;
  }
  in_b(L, AT_UNPACKS);
  CAST_ALWAYS(cast_msg_is_empty(&message) && lua_gettop(B.L) == n + BELOW);
  in_b(L, AT_PACKS);
  lua_settop(B.L, BELOW);
  n = cast_unpack(A.packer, L, &message);
  CAST_ALWAYS(cast_msg_is_empty(&message));
  return n;
}

/* cross(fail, many, how, ...): true and what comes back, or false and why not.
   With `fail` that allocation fails, and so many after it; `how` is one of
   cast_pack_how. */
static int cross(lua_State *L) {
  uint64_t fail = (uint64_t)lua_tointeger(L, 1);
  uint64_t many = (uint64_t)lua_tointeger(L, 2);
  cast_msg_drop(&message);
  lua_settop(B.L, BELOW);
  lua_pushcfunction(L, crossed);
  lua_replace(L, 2);
  cast_mem_fail_run(fail, many);
  int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  cast_mem_fail_at(0);
  lua_pushboolean(L, status == 0);
  lua_replace(L, 1);
  return lua_gettop(L);
}

/* -- one input ------------------------------------------------------------ */

static const luaL_Reg functions[] = {{"new_handle", new_handle},
  {"identity", identity}, {"new_box", new_box}, {"box_full", box_full},
  {"new_light", new_light}, {"cross", cross}, {NULL, NULL}};

static fuzz_code machine, modules;

/* Pushes the machine's function `run`, and the table `fuzz`. */
static int open_machine(lua_State *L) {
  fuzz_run(L, &machine);
  lua_getfield(L, -1, "run");
  lua_newtable(L);
  for (const luaL_Reg *r = functions; r->name != NULL; r++) {
    lua_pushcfunction(L, r->func);
    lua_setfield(L, -2, r->name);
  }
  return 2;
}

static int open_modules(lua_State *L) {
  fuzz_run(L, &modules);
  return 0;
}

static void open_side(fuzz_side *s) {
  fuzz_open(s);
  open_boxes(s->L);
  lua_pushcfunction(s->L, open_modules);
  lua_call(s->L, 0, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  CAST_UNUSED(argc);
  CAST_UNUSED(argv);
  fuzz_compile(&machine, FUZZ_DIR "/encode.lua");
  fuzz_compile(&modules, FUZZ_DIR "/modules.lua");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  open_side(&A);
  open_side(&B);
  lua_pushcfunction(B.L, b_unpacks);
  lua_pushcfunction(B.L, b_packs);
  lua_pushcfunction(A.L, open_machine);
  lua_call(A.L, 0, 2);
  lua_pushlstring(A.L, (const char *)data, size);
  int status = lua_pcall(A.L, 2, 0, 0);
  if (status != 0) {
    (void)fprintf(stderr, "%s\n", lua_tostring(A.L, -1));
    abort();
  }
  fuzz_close(&A);
  fuzz_close(&B);
  cast_msg_drop(&message);
  fuzz_closed_all();
  return 0;
}
