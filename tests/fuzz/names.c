/* names.c - fuzzer of names: modules change, and what is in them crosses.
   SPDX-License-Identifier: MIT

   The input is a program for the machine of names.lua, which makes tables and
   functions and has them come and go in modules, under all kinds of names. It
   runs in three states. State A sends on the way, so its packer remembers what
   had a name when; B receives; C does neither. In the end A and C are asked
   how each object crosses, as a copy or by name. The answers must be the same:
   names are a matter of what is loaded, not of what was sent before.
   And what B takes for an object must be what has that name in B. */
#include "fuzz.h"

#include "../../src/lua/transfer/wire.h"

static fuzz_side A, B, C;
static cast_msg message; /* outlives errors */

/* -- functions ------------------------------------------------------------ */

static int c0(lua_State *L) { return (int)lua_tointeger(L, 1) & 1; }
static int c1(lua_State *L) { return (int)lua_tointeger(L, 1) & 2; }
static int c2(lua_State *L) { return (int)lua_tointeger(L, 1) & 4; }
static int c3(lua_State *L) { return (int)lua_tointeger(L, 1) & 8; }
static int c4(lua_State *L) { return (int)lua_tointeger(L, 1) & 16; }
static int c5(lua_State *L) { return (int)lua_tointeger(L, 1) & 32; }
static const lua_CFunction six[] = {c0, c1, c2, c3, c4, c5};

static int c_function(lua_State *L) {
  lua_pushcfunction(L, six[lua_tointeger(L, 1) % 6]);
  return 1;
}

static int c_closure(lua_State *L) {
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, six[lua_tointeger(L, 1) % 6], 1);
  return 1;
}

/* -- crossing ------------------------------------------------------------- */

static fuzz_side *side_of(lua_State *L) {
  return cast_main_thread(L) == B.L || L == B.L ? &B : L == C.L ? &C : &A;
}

static int pack(lua_State *L) {
  cast_pack(side_of(L)->packer, L, 1, lua_gettop(L), NULL, 0, &message);
  return 0;
}

static int unpack(lua_State *L) {
  return cast_unpack(side_of(L)->packer, L, &message);
}

/* The name that the message of one value begins with, which may be empty; or
   false. */
static bool name_in(cast_msg *m, const char **name, size_t *size) {
  const unsigned char *at = cast_msg_data(m);
  uint16_t bytes;
  unsigned head = *at++;
  if ((head & WIRE_REFS) != 0) at += 4;
  if ((*at & 0xf0) != WIRE_NAME) return false;
  memcpy(&bytes, at + 1, sizeof bytes);
  *name = (const char *)at + 3;
  *size = bytes;
  return true;
}

/* name_of(v): how it crosses, and under which name, if so. If several things in
   it do not cross, which of them is told of is a matter of lua_next's order. */
static int name_of(lua_State *L) {
  lua_pushcfunction(L, pack);
  lua_insert(L, 1);
  if (lua_pcall(L, 1, 0, 0) != 0) {
    const char *why = lua_tostring(L, -1);
    if (why == NULL || strstr(why, "cannot send a C function") == NULL)
      return lua_error(L);
    lua_pushliteral(L, "refused");
    return 1;
  }
  const char *name;
  size_t size;
  if (name_in(&message, &name, &size)) {
    lua_pushliteral(L, "by name");
    lua_pushlstring(L, name, size);
  } else {
    lua_pushliteral(L, "copied");
    lua_pushnil(L);
  }
  cast_msg_drop(&message);
  return 2;
}

/* Raises in L what went wrong in B. */
static void fail(lua_State *L) {
  char text[300] = "in B: ";
  const char *why = lua_tostring(B.L, -1);
  if (why != NULL) (void)strncat(text, why, sizeof text - 10);
  (void)luaL_error(L, "%s", text);
}

static char name[65536];

/* send(v, w): the two in a list, and v alone, which B looks at. */
static int send(lua_State *L) {
  const char *at;
  lua_pushcfunction(L, pack);
  lua_createtable(L, 2, 0);
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  if (lua_pcall(L, 1, 0, 0) == 0) {
    lua_pushcfunction(B.L, unpack);
    (void)lua_pcall(B.L, 0, 0, 0);
    cast_msg_drop(&message);
  }
  lua_settop(B.L, 1);
  lua_settop(L, 1);
  const char *kind = luaL_typename(L, 1);
  lua_pushcfunction(L, pack);
  lua_insert(L, 1);
  if (lua_pcall(L, 1, 0, 0) != 0) return 0;
  size_t size = 0;
  bool named = name_in(&message, &at, &size);
  if (named) memcpy(name, at, size);
  lua_getfield(B.L, 1, "check");
  lua_pushlstring(B.L, name, size);
  lua_pushcfunction(B.L, unpack);
  int status = lua_pcall(B.L, 0, 1, 0);
  cast_msg_drop(&message);
  if (status == 0 && named) {
    lua_pushstring(B.L, kind);
    if (lua_pcall(B.L, 3, 0, 0) != 0) fail(L);
  }
  lua_settop(B.L, 1);
  return 0;
}

/* -- one input ------------------------------------------------------------ */

static fuzz_code machine;

static const luaL_Reg functions[] = {{"c_function", c_function},
  {"c_closure", c_closure}, {"name_of", name_of}, {"send", send}, {NULL, NULL}};

/* Pushes the machine, its function `run` and the table `fuzz`. */
static int open_machine(lua_State *L) {
  fuzz_run(L, &machine);
  lua_getfield(L, -1, "run");
  lua_newtable(L);
  for (const luaL_Reg *r = functions; r->name != NULL; r++) {
    lua_pushcfunction(L, r->func);
    lua_setfield(L, -2, r->name);
  }
  return 3;
}

/* Runs the program; the machine and what it returns stay on the stack. */
static void run(
  fuzz_side *s, const uint8_t *data, size_t size, bool sends, bool backwards) {
  fuzz_open(s);
  lua_pushcfunction(s->L, open_machine);
  lua_call(s->L, 0, 3);
  lua_pushlstring(s->L, (const char *)data, size);
  lua_pushboolean(s->L, sends);
  lua_pushboolean(s->L, backwards);
  if (lua_pcall(s->L, 4, 1, 0) == 0) return;
  (void)fprintf(stderr, "%s\n", lua_tostring(s->L, -1));
  abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  CAST_UNUSED(argc);
  CAST_UNUSED(argv);
  fuzz_compile(&machine, FUZZ_DIR "/names.lua");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 400) return -1;
  run(&B, data, size, false, false);
  lua_settop(B.L, 1);
  run(&A, data, size, true, false);
  run(&C, data, size, false, true);
  if (strcmp(lua_tostring(A.L, -1), lua_tostring(C.L, -1)) != 0) {
    (void)fprintf(stderr, "after sending:\n%s\nwithout:\n%s\n",
      lua_tostring(A.L, -1), lua_tostring(C.L, -1));
    abort();
  }
  fuzz_close(&A);
  fuzz_close(&B);
  fuzz_close(&C);
  cast_msg_drop(&message);
  fuzz_closed_all();
  return 0;
}
