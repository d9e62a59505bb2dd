/* lua_read.c - messages read by C: what Lua has written, whole and damaged.
   SPDX-License-Identifier: MIT

   The bytes of a message come from the same process, and are checked all the
   same (api_read.c). So whatever is missing or wrong in them, reading ends,
   and stays within them; sanitizers would see it. */
#include "unit.h"

#include <stdlib.h>

#include "../../include/casting.h"
#include "../../src/lua/api/api.h"
#include "../../src/mem.h"
#include "../../src/msg.h"

static lua_State *L;

static int setup(void **state) {
  CAST_UNUSED(state);
  L = luaL_newstate();
  luaL_openlibs(L);
  CAST_ALWAYS(casting_adopt(L, NULL) == 0);
  lua_pushlightuserdata(L, &L);
  lua_setglobal(L, "light");
  return 0;
}

static int teardown(void **state) {
  CAST_UNUSED(state);
  lua_close(L);
  return 0;
}

/* A new message of what the chunk returns. */
static casting_message *message_of(const char *chunk) {
  casting_message *m = casting_message_new();
  if (luaL_dostring(L, chunk) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
  casting_message_pack(L, 1, lua_gettop(L), m);
  lua_settop(L, 0);
  return m;
}

/* -- whole ---------------------------------------------------------------- */

/* A letter for each casting_type, in their order: nil, boolean, integer, float,
   string, pointer, channel, task, session, table, others. */
static const char letters[] = "nbifspcktTo";

static void expect(const char *chunk, const char *types) {
  casting_message *m = message_of(chunk);
  for (int again = 0; again < 2; again++) {
    casting_value v;
    size_t n = 0;
    int rc;
    while ((rc = casting_message_read(m, &v)) == 1) {
      char letter = letters[v.type];
      if (letter != types[n])
        fail_msg("%s: value %u: %c", chunk, (unsigned)n, letter);
      n++;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(n, strlen(types));
    casting_message_rewind(m);
  }
  casting_message_free(m);
}

static void whole(void **state) {
  CAST_UNUSED(state);
  expect("return true, nil, false, 1, -1, 300, -70000, 2^40, 0.5, light",
    "bnbiiiiffp");
  expect("return '', 'a', ('x'):rep(31), ('x'):rep(32), ('x'):rep(255), "
         "('x'):rep(256), ('x'):rep(5000)",
    "sssssss");
  expect("return {1, 2, x = 'y'}, {}, {{{}}}, 7", "TiissTTTTi");
  expect("return _G, string, print, 7", "oooi");
  expect("local t = {} return {t, t}, t, 7", "TTooi");
  /* What is in a function, or comes from a __save, is passed over. */
  expect("local a, b, c, d, e, f = 1, 300, -70000, 2^40, 0.5, light\n"
         "local s = {('x'):rep(31), ('x'):rep(32), ('x'):rep(300), "
         "('x'):rep(5000), true, false, {nil, {}}, _G, string, print}\n"
         "local g = function() return s, a end\n"
         "return function() return a, b, c, d, e, f, s, g end, 7",
    "oi");
  expect("local make = function(...) return {...} end\n"
         "local inner = setmetatable({}, {__save = function()\n"
         "  return make, 1, 'a', {} end})\n"
         "return setmetatable({}, {__save = function()\n"
         "  return make, inner, ('x'):rep(40), {inner} end}), 7",
    "oi");
  expect(
    "local mt = {__index = {x = 1}} return setmetatable({1}, mt), 7", "Tii");
  expect("local t = {} for i = 1, 100 do t = {t} end "
         "local f = function() return t end return f, 7",
    "oi");
}

static void skipping(void **state) {
  CAST_UNUSED(state);
  casting_value v;
  casting_message *m = message_of(
    "local mt = {__index = print} local f = function() return mt end\n"
    "return {1, setmetatable({2, f, ('x'):rep(300)}, mt), 3}, {{}, 4}, 5");
  assert_int_equal(casting_message_skip(m), CASTING_EINVAL);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_int_equal(v.type, CASTING_TTABLE);
  assert_int_equal(casting_message_skip(m), 0); /* its metatable, too */
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_true(v.type == CASTING_TINTEGER && v.as.integer == 3);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_true(v.type == CASTING_TTABLE && v.as.table.items == 2);
  assert_int_equal(casting_message_skip(m), 0);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_true(v.type == CASTING_TINTEGER && v.as.integer == 5);
  assert_int_equal(casting_message_read(m, &v), 0);
  casting_message_free(m);
}

/* A monitor's message is the task's handle to C; so is its outcome. */
static void monitors(void **state) {
  CAST_UNUSED(state);
  casting_message *both = message_of(
    "local c = require 'casting'\n"
    "local all, t = c.channel(math.huge), c.spawn(function() return 1 end)\n"
    "t:monitor(all) t:join() return all, t:monitor()");
  for (int n = 2; n > 0; n--) {
    casting_message *m = casting_message_new();
    casting_value chan, v;
    assert_int_equal(casting_message_read(both, &chan), 1);
    assert_int_equal(chan.type, CASTING_TCHANNEL);
    assert_int_equal(casting_channel_receive(chan.as.channel, m, 0), 0);
    assert_int_equal(casting_message_count(m), n);
    for (int i = 0; i < n; i++) {
      assert_int_equal(casting_message_read(m, &v), 1);
      assert_int_equal(v.type, CASTING_TTASK);
    }
    assert_int_equal(casting_message_read(m, &v), 0);
    casting_message_free(m);
  }
  casting_message_free(both);
}

/* -- damaged -------------------------------------------------------------- */

/* The message of these bytes, and of the first n of the other's references. */
static casting_message *copy_of(
  const unsigned char *bytes, uint32_t size, cast_msg *other, uint32_t n) {
  cast_msg msg;
  casting_message *m = casting_message_new();
  CAST_ALWAYS(cast_msg_init(&msg, size, n) == 0);
  memcpy(cast_msg_data(&msg), bytes, size);
  for (uint32_t i = 0; i < n; i++)
    cast_msg_items(&msg)[i] = cast_ref(cast_msg_items(other)[i]);
  cast_api_set(m, &msg);
  return m;
}

/* Reads to the end, and skips where `skips` has a bit; how many values came. */
static uint32_t read_on(casting_message *m, unsigned skips) {
  casting_value v;
  unsigned sum = 0;
  uint32_t n = 0;
  int rc;
  while ((rc = casting_message_read(m, &v)) == 1) {
    if (v.type == CASTING_TSTRING)
      for (size_t i = 0; i < v.as.string.size; i++)
        sum += (unsigned char)v.as.string.at[i];
    if (v.type == CASTING_TTABLE && (skips >> n % 8 & 1) != 0)
      (void)casting_message_skip(m);
    CAST_ALWAYS(n++ < 100000);
  }
  CAST_ALWAYS(rc == 0 || rc == CASTING_EINVAL);
  /* After a damaged value there are no more. */
  CAST_ALWAYS(casting_message_read(m, &v) == 0);
  return n + (sum & 0);
}

static const char *const everything =
  "local a, b, c, d = 1, 70000, 2^40, {('x'):rep(40), ('y'):rep(300), light}\n"
  "local f = function() return a, b, c, d end\n"
  "local make = function(...) return {...} end\n"
  "local deep = {} for i = 1, 70 do deep = {deep} end\n"
  "local mt = {__gc = f} local self = setmetatable({}, mt) mt.self = self\n"
  "local saved = setmetatable({}, {__save = function()\n"
  "  return make, {f, string}, ('x'):rep(33), deep end})\n"
  "return {1, 'two', {3.5, f, x = ('z'):rep(5000)}}, saved, deep, f, self,\n"
  "  string.format, _G, ('v'):rep(300), light, 300, setmetatable({1}, mt)";

/* Wherever the bytes or the references end. */
static void cut(void **state) {
  CAST_UNUSED(state);
  casting_message *m = message_of(everything);
  cast_msg *msg = &m->msg;
  const unsigned char *bytes = cast_msg_data(msg);
  uint32_t all = read_on(m, 0);
  assert_in_range(all, 18, 200);
  for (uint32_t size = 1; size < msg->size; size++) {
    casting_message *less = copy_of(bytes, size, msg, msg->nrefs);
    CAST_ALWAYS(read_on(less, size) <= all);
    casting_message_free(less);
  }
  for (uint32_t n = 0; n < msg->nrefs; n++) {
    casting_message *less = copy_of(bytes, msg->size, msg, n);
    CAST_ALWAYS(read_on(less, 0) <= all);
    casting_message_free(less);
  }
  casting_message_free(m);
}

/* Each byte in turn is another one. */
static void changed(void **state) {
  CAST_UNUSED(state);
  static const unsigned char others[] = {0, 1, 2, 0x0d, 0x0f, 0x1f, 0x42, 0x44,
    0x50, 0x58, 0x60, 0x70, 0x7f, 0x80, 0xff};
  casting_message *m = message_of(everything);
  cast_msg *msg = &m->msg;
  unsigned char *bytes = malloc(msg->size);
  CAST_ALWAYS(bytes != NULL);
  memcpy(bytes, cast_msg_data(msg), msg->size);
  for (uint32_t i = 0; i < msg->size; i++) {
    for (size_t k = 0; k < sizeof others; k++) {
      bytes[i] = others[k];
      casting_message *other = copy_of(bytes, msg->size, msg, msg->nrefs);
      (void)read_on(other, i);
      casting_message_free(other);
    }
    bytes[i] = cast_msg_data(msg)[i];
  }
  free(bytes);
  casting_message_free(m);
}

/* Each tag, with nothing behind it, or too much. */
static void tags(void **state) {
  CAST_UNUSED(state);
  casting_message *m = message_of("return print");
  for (unsigned tag = 0; tag < 256; tag++) {
    for (uint32_t size = 2; size < 24; size++) {
      unsigned char bytes[24];
      memset(bytes, size % 2 == 0 ? 0xff : (int)tag, sizeof bytes);
      bytes[0] = 3;
      bytes[1] = (unsigned char)tag;
      casting_message *other = copy_of(bytes, size, &m->msg, m->msg.nrefs);
      (void)read_on(other, size);
      casting_message_free(other);
    }
  }
  casting_message_free(m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(whole),
    TEST(skipping),
    TEST(monitors),
    TEST(cut),
    TEST(changed),
    TEST(tags),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
