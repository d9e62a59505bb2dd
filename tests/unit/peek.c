/* peek.c - tests of peeks into tables, and of what is known of new states.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include "../../src/limits.h"
#include "../../src/lua/compat/peek.h"
#include "../../src/lua/compat/stock.h"

static lua_State *L;

static int setup(void **state) {
  CAST_UNUSED(state);
  L = luaL_newstate();
  if (L != NULL) luaL_openlibs(L);
  return L == NULL;
}

static int teardown(void **state) {
  CAST_UNUSED(state);
  lua_close(L);
  return 0;
}

/* The tables under string keys in the one on top, as Lua has them: how many,
   and a sum of their addresses. */
static size_t ask(uintptr_t *sum) {
  size_t n = 0;
  *sum = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) continue;
    *sum += (uintptr_t)lua_topointer(L, -1);
    n++;
  }
  return n;
}

static size_t peek(uintptr_t *sum) {
  const cast_peek_layout *how = cast_peek_learn();
  const void *table;
  cast_peek p;
  size_t n = 0;
  *sum = 0;
  CAST_ALWAYS(cast_peek_open(&p, how, lua_topointer(L, -1)));
  while ((table = cast_peek_next(&p)) != NULL) {
    *sum += (uintptr_t)table;
    n++;
  }
  return n;
}

static void push_any(uint64_t what) {
  switch (what % 9) {
  case 0: lua_pushnil(L); break;
  case 1: lua_pushboolean(L, 1); break;
  case 2: lua_pushinteger(L, (lua_Integer)(what % 1000)); break;
  case 3: lua_pushnumber(L, 0.25); break;
  case 4: lua_pushliteral(L, "text"); break;
  case 5: lua_pushlightuserdata(L, &L); break;
  case 6: lua_getglobal(L, "print"); break;
  case 7: (void)lua_newthread(L); break;
  default: lua_newtable(L); break;
  }
}

static void is_known(void **state) {
  CAST_UNUSED(state);
  bool wide = sizeof(void *) == 8 && CAST_PEEK;
  const cast_peek_layout *how = cast_peek_learn();
  if (!CAST_LUAJIT) assert_int_equal(how->known, wide);
  assert_ptr_equal(cast_peek_learn(), how);
}

static void finds_what_lua_finds(void **state) {
  CAST_UNUSED(state);
  uint64_t seed = 7;
  uintptr_t asked, peeked;
  if (!cast_peek_learn()->known) skip();
  for (int round = 0; round < 40; round++) {
    lua_settop(L, 0);
    lua_createtable(L, round % 5, round % 7 * 3);
    for (int i = 0; i < 300; i++) {
      uint64_t r = unit_random(&seed);
      (void)lua_pushfstring(L, "k%d", (int)(r >> 8 & 127));
      push_any(r >> 32);
      /* Those in the array part, or on their way there, do not matter. */
      if (r % 4 == 0 && !lua_istable(L, -1))
        lua_rawseti(L, 1, (int)(r >> 8 & 15));
      else
        lua_rawset(L, 1);
      lua_settop(L, 1);
      assert_int_equal(peek(&peeked), ask(&asked));
      assert_int_equal(peeked, asked);
      if (i % 50 == 0) lua_gc(L, LUA_GCCOLLECT, 0);
    }
  }
}

static void knows_the_libraries(void **state) {
  CAST_UNUSED(state);
  cast_stock_learn();
  assert_true(cast_stock_has_library("_G"));
  assert_true(cast_stock_has_library("string"));
  assert_true(cast_stock_has_library("package"));
  assert_false(cast_stock_has_library("casting"));
  assert_false(cast_stock_has_library(""));
  assert_true(cast_stock_has_member("_G", "print"));
  assert_true(cast_stock_has_member("string", "format"));
  assert_true(cast_stock_has_member("coroutine", "resume"));
  assert_false(cast_stock_has_member("_G", "string"));
  assert_false(cast_stock_has_member("string", "print"));
  static const char *const some[] = {"unpack", "warn", "rawlen", "loadstring"};
  for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
    lua_getglobal(L, some[i]);
    assert_int_equal(cast_stock_has_member("_G", some[i]), !lua_isnil(L, -1));
  }
  assert_int_equal(cast_stock_has_library("jit"), CAST_LUAJIT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(is_known),
    cmocka_unit_test(finds_what_lua_finds),
    cmocka_unit_test(knows_the_libraries),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
