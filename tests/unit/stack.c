/* stack.c - tests of a coroutine's stack as text.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdlib.h>

#include "../../src/lua/compat/stack.h"
#include "../../src/mem.h"

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

/* trace(level [, co]) */
static int trace(lua_State *from) {
  lua_State *co = lua_tothread(from, 2);
  cast_buffer b = {NULL, 0, 0, false};
  int top = lua_gettop(from);
  cast_stack_write(
    &b, from, co != NULL ? co : from, (int)lua_tointeger(from, 1));
  CAST_ALWAYS(lua_gettop(from) == top);
  char *text = cast_buffer_take(&b);
  lua_pushstring(from, text);
  cast_free(text);
  return 1;
}

/* The first result of the chunk, a text. */
static const char *run(const char *chunk) {
  lua_register(L, "trace", trace);
  CAST_ALWAYS(luaL_loadbuffer(L, chunk, strlen(chunk), "=c") == LUA_OK);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
  return lua_tostring(L, -1);
}

static int lines(const char *text) {
  int n = 1;
  for (; (text = strchr(text, '\n')) != NULL; text++) n++;
  return n;
}

static void own(void **state) {
  CAST_UNUSED(state);
  const char *text =
    run("local function deep(n) if n == 0 then return (trace(1)) end "
        "local s = deep(n - 1) return s end local s = deep(3) return s");
  assert_ptr_equal(strstr(text, "stack traceback:\n\tc:1: in "), text);
  assert_non_null(strstr(text, "'deep'"));
  assert_non_null(strstr(text, "in main chunk"));
  assert_int_equal(lines(text), 1 + 4 + 1); /* title, calls, main chunk */
  assert_string_equal(run("return trace(50)"), "stack traceback:");
}

/* Levels in the middle are left out. */
static void long_one(void **state) {
  CAST_UNUSED(state);
  const char *text =
    run("local function deep(n) if n == 0 then return (trace(1)) end "
        "local s = deep(n - 1) return s end local s = deep(150) return s");
  assert_in_range(lines(text), 15, 30);
  assert_non_null(strstr(text, "\n\t..."));
  assert_non_null(strstr(text, "in main chunk"));
#if CAST_LUA >= 504
  int skipped = atoi(strstr(text, "(skipping ") + 10);
  /* The title and the line that says so are none of 151 calls and the main
     chunk. */
  assert_int_equal(skipped + lines(text) - 2, 152);
#endif
}

/* Of another coroutine, that waits, and of none. */
static void other(void **state) {
  CAST_UNUSED(state);
  const char *text =
    run("local co = coroutine.create(function() "
        "local function inner() coroutine.yield() end inner() end) "
        "coroutine.resume(co) return trace(0, co)");
  assert_non_null(strstr(text, "[C]:"));
  assert_non_null(strstr(text, "'inner'"));
  assert_non_null(strstr(text, "function <c:1>"));
  text = run("return trace(0, coroutine.create(function() end))");
  assert_string_equal(text, "stack traceback:");
}

#if CAST_LUA >= 503
/* A C function is called as the module calls it that has it. */
static void names(void **state) {
  CAST_UNUSED(state);
  const char *text =
    run("local s string.gsub('x', '.', function() s = trace(0) end) return s");
  assert_non_null(strstr(text, "in function 'string.gsub'"));
  text = run("local s pcall(function() s = trace(0) end) return s");
  assert_non_null(strstr(text, "in function 'pcall'"));
}
#endif

/* No Lua value is made, so nothing is collected meanwhile. */
static void makes_no_values(void **state) {
  CAST_UNUSED(state);
  const char *text =
    run("local n, s = 0 collectgarbage() "
        "local function deep(n) if n > 0 then return 1 + deep(n - 1) end "
        "  local before = collectgarbage('count') trace(0) "
        "  n = collectgarbage('count') - before return 0, n end "
        "collectgarbage('stop') trace(0) local _, grown = deep(0) "
        "return tostring(grown * 1024 < 500)");
  assert_string_equal(text, "true");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(own, setup, teardown),
    cmocka_unit_test_setup_teardown(long_one, setup, teardown),
    cmocka_unit_test_setup_teardown(other, setup, teardown),
#if CAST_LUA >= 503
    cmocka_unit_test_setup_teardown(names, setup, teardown),
#endif
    cmocka_unit_test_setup_teardown(makes_no_values, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
