/* lua_transfer.c - tests of casting_transfer_register.
   SPDX-License-Identifier: MIT

   How things behave once they move is in tests/lua/moving_spec.lua. */
#include "unit.h"

#include "../../include/casting.h"
#include "../../src/lua/compat/compat.h"

static void *take(lua_State *L, int i) {
  void **content = lua_touserdata(L, i), *p = *content;
  *content = NULL;
  return p;
}

static int make(lua_State *L) {
  void **content = lua_newuserdata(L, sizeof *content);
  *content = NULL;
  luaL_getmetatable(L, "thing");
  lua_setmetatable(L, -2);
  return 1;
}

static void put(lua_State *L, int i, void *content) {
  *(void **)lua_touserdata(L, i) = content;
}

static int dropped;
static void drop(void *content) {
  CAST_ALWAYS(content == &dropped);
  dropped++;
}

static const casting_transfer thing = {
  sizeof(casting_transfer), "thing", NULL, take, make, put, drop};

static int state_of(lua_State *L) {
  lua_pushboolean(L, *(void **)lua_touserdata(L, 1) != NULL);
  return 1;
}

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  CAST_ALWAYS(L != NULL);
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_casting);
  lua_call(L, 0, 1);
  lua_setglobal(L, "casting");
  luaL_newmetatable(L, "thing");
  casting_transfer_register(L, -1, &thing);
  lua_pop(L, 1);
  make(L);
  put(L, -1, &dropped);
  lua_setglobal(L, "thing");
  lua_pushcfunction(L, state_of);
  lua_setglobal(L, "full");
  return L;
}

static void run(lua_State *L, const char *text) {
  if (luaL_loadstring(L, text) == 0 && lua_pcall(L, 0, 0, 0) == 0) return;
  fail_msg("%s", lua_tostring(L, -1));
}

static void moves(void **state) {
  CAST_UNUSED(state);
  lua_State *L = open_state();
  run(L, "local ch = casting.channel(1)\n"
         "assert(full(thing))\n"
         "ch:send(thing) assert(not full(thing))\n"
         "local got = ch:receive() assert(full(got) and got ~= thing)\n"
         "ch:send({x = got})\n"
         "local ok, why = pcall(ch.try_send, ch, got)\n"
         "assert(not ok and why:find('cannot send a thing', 1, true))\n"
         "assert(why:find('it is empty, or in use', 1, true))\n");
  assert_int_equal(dropped, 0);
  lua_close(L); /* the channel goes, and the message in it */
  assert_int_equal(dropped, 1);
}

/* C passes over such a value, and reads what comes after it. */
static void read_by_c(void **state) {
  CAST_UNUSED(state);
  lua_State *L = open_state();
  casting_message *m = casting_message_new();
  casting_value v;
  int before = dropped;
  lua_settop(L, 0);
  lua_getglobal(L, "thing");
  lua_pushinteger(L, 7);
  casting_message_pack(L, 1, 2, m);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_int_equal(v.type, CASTING_TOTHER);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_int_equal(v.type, CASTING_TINTEGER);
  assert_int_equal(v.as.integer, 7);
  assert_int_equal(casting_message_read(m, &v), 0);
  casting_message_free(m);
  assert_int_equal(dropped, before + 1);
  lua_close(L);
}

static int bad_register(lua_State *L) {
  casting_transfer how = thing;
  switch (lua_tointeger(L, 1)) {
  case 1: how.size = 3; break;
  case 2: how.name = NULL; break;
  case 3: how.take = NULL; break;
  case 4: how.make = NULL; break;
  case 5: how.put = NULL; break;
  case 6: how.drop = NULL; break;
  case 7:
    casting_transfer_register(L, 1, &thing); /* a number */
    return 0;
  default:
    lua_newtable(L);
    casting_transfer_register(L, -1, NULL);
    return 0;
  }
  lua_newtable(L);
  casting_transfer_register(L, -1, &how);
  return 0;
}

static void misuse(void **state) {
  CAST_UNUSED(state);
  lua_State *L = open_state();
  for (int i = 1; i <= 8; i++) {
    lua_pushcfunction(L, bad_register);
    lua_pushinteger(L, i);
    assert_int_not_equal(lua_pcall(L, 1, 0, 0), 0);
    assert_non_null(strstr(lua_tostring(L, -1), "casting_transfer_register"));
    lua_pop(L, 1);
  }
  lua_close(L);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(moves),
    cmocka_unit_test(read_by_c),
    cmocka_unit_test(misuse),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
