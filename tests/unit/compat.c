/* compat.c - tests of what compat adds to Lua versions.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdlib.h>

#include "../../src/lua/compat/compat.h"

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

/* What describe makes of the chunk's value. */
static const char *shown(const char *chunk) {
  lua_settop(L, 0);
  CAST_ALWAYS(luaL_loadstring(L, chunk) == LUA_OK);
  CAST_ALWAYS(lua_pcall(L, 0, 1, 0) == LUA_OK);
  const char *s = cast_lua_describe(L, -1);
  CAST_ALWAYS(lua_gettop(L) == 2 && lua_type(L, -1) == LUA_TSTRING);
  return s;
}

static void describe_scalars(void **state) {
  CAST_UNUSED(state);
  assert_string_equal(shown("return nil"), "nil");
  assert_string_equal(shown("return true"), "true");
  assert_string_equal(shown("return false"), "false");
  assert_string_equal(shown("return 'a\\0b'"), "a");
  assert_int_equal(lua_rawlen(L, -1), 3);
  assert_string_equal(shown("return 12"), "12");
  assert_int_equal(lua_type(L, 1), LUA_TNUMBER); /* not converted */
  assert_string_equal(shown("return 1.5"), "1.5");
}

static void describe_objects(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(strncmp(shown("return {}"), "table: ", 7), 0);
  assert_non_null(strstr(shown("return print"), "function: "));
  assert_non_null(
    strstr(shown("return coroutine.create(function() end)"), "thread: "));
  assert_string_equal(
    shown("return setmetatable({}, {__tostring = function() return 'me' "
          "end})"),
    "me");
  assert_non_null(
    strstr(shown("return setmetatable({}, {__name = 'Point'})"), "Point: "));
  /* A __tostring that is no help. */
  assert_non_null(
    strstr(shown("return setmetatable({}, {__tostring = error})"), "table: "));
  assert_non_null(
    strstr(shown("return setmetatable({}, {__tostring = function() return {} "
                 "end})"),
      "table: "));
  assert_non_null(
    strstr(shown("return setmetatable({}, {__name = 5, __tostring = 'no'})"),
      "table: "));
}

static int upvalue(lua_State *from) {
  lua_pushvalue(from, lua_upvalueindex(2));
  return 1;
}

static void set_functions(void **state) {
  CAST_UNUSED(state);
  static const luaL_Reg list[] = {
    {"one", upvalue}, {"two", upvalue}, {NULL, NULL}};
  lua_newtable(L);
  lua_pushliteral(L, "first");
  lua_pushliteral(L, "second");
  luaL_setfuncs(L, list, 2);
  assert_int_equal(lua_gettop(L), 1);
  lua_getfield(L, 1, "two");
  lua_call(L, 0, 1);
  assert_string_equal(lua_tostring(L, -1), "second");
  lua_getfield(L, 1, "one");
  assert_true(lua_iscfunction(L, -1));
}

static void resume(void **state) {
  CAST_UNUSED(state);
  int n = -1;
  lua_State *co = lua_newthread(L);
  assert_int_equal(luaL_loadstring(co, "local a = coroutine.yield(1, 2) "
                                       "return a, ..."),
    LUA_OK);
  lua_pushinteger(co, 7);
  assert_int_equal(cast_lua_resume(co, 1, &n), LUA_YIELD);
  assert_int_equal(n, 2);
  lua_settop(co, 0);
  lua_pushinteger(co, 8);
  assert_int_equal(cast_lua_resume(co, 1, &n), LUA_OK);
  assert_int_equal(n, 2);
  assert_int_equal(lua_tointeger(co, -2), 8);
  assert_int_equal(lua_tointeger(co, -1), 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(describe_scalars, setup, teardown),
    cmocka_unit_test_setup_teardown(describe_objects, setup, teardown),
    cmocka_unit_test_setup_teardown(set_functions, setup, teardown),
    cmocka_unit_test_setup_teardown(resume, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
