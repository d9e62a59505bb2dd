/* pack.c - tests of pack: values of one Lua state arrive in another.
   SPDX-License-Identifier: MIT

   Two states, no scheduler: a chunk runs in A, the values that it returns are
   packed there and unpacked in B, and a chunk in B looks at them. Both states
   take their memory from cast_mem_lua, so leaks and injected failures count
   for Lua and for casting alike. */
#include "unit.h"

#include <math.h>

#include "../../include/casting.h"
#include "../../src/lua/state/handle.h"
#include "../../src/lua/transfer/pack.h"
#include "../../src/lua/transfer/wire.h"
#include "../../src/mem.h"

/* -- states --------------------------------------------------------------- */

typedef struct side {
  lua_State *L;
  cast_packer *packer;
} side;

static side A, B;
static cast_msg message; /* outlives errors */
static int64_t live_before;

/* -- handles: stand-ins, so that no runtime is linked in ------------------ */

static int objects_live;

static void object_free(cast_object *o) {
  objects_live--;
  cast_free(o);
}

static const cast_type object_type = {"channel", object_free, NULL};
static const char handle_key = 0;

const char cast_handle_tag = 0;

static int handle_gc(lua_State *L) {
  cast_handle *h = lua_touserdata(L, 1);
  if (h->object != NULL) cast_unref(h->object);
  h->object = NULL;
  return 0;
}

const cast_giving *cast_handle_giving(lua_State *L, const cast_object *o) {
  CAST_UNUSED(L);
  CAST_UNUSED(o);
  return NULL;
}

void cast_handle_push(lua_State *L, cast_object *o) {
  cast_handle *h = cast_lua_newuserdata(L, sizeof *h);
  h->tag = &cast_handle_tag;
  h->object = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &handle_key);
  lua_setmetatable(L, -2);
  h->object = cast_ref(o);
}

static int new_handle(lua_State *L) {
  static cast_object *pending; /* should the push raise */
  cast_object *o = cast_alloc(sizeof *o);
  CAST_ALWAYS(o != NULL);
  cast_object_init(o, &object_type);
  objects_live++;
  if (pending != NULL) cast_unref(pending);
  pending = o;
  cast_handle_push(L, o);
  pending = NULL;
  cast_unref(o);
  return 1;
}

/* The object's identity, for comparisons. */
static int handle_id(lua_State *L) {
  lua_pushlightuserdata(L, cast_handle_test(L, 1));
  return 1;
}

static void open_handles(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, handle_gc);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &handle_key);
  lua_register(L, "new_handle", new_handle);
  lua_register(L, "handle_id", handle_id);
}

/* -- userdata whose content moves ----------------------------------------- */

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

static int box_full(lua_State *L) {
  void **box = lua_touserdata(L, 1);
  lua_pushboolean(L, *box != NULL);
  return 1;
}

static void open_boxes(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushlightuserdata(L, (void *)(uintptr_t)&box_transfer);
  lua_setfield(L, -2, "__transfer");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
  lua_register(L, "new_box", new_box);
  lua_register(L, "box_full", box_full);
}

static int c_function(lua_State *L) {
  CAST_UNUSED(L);
  return 0;
}

static int preload_module(lua_State *L) {
  lua_newtable(L);
  lua_pushcfunction(L, c_function);
  lua_setfield(L, -2, "run");
  lua_newtable(L);
  lua_pushcfunction(L, c_function);
  lua_setfield(L, -2, "deep");
  lua_setfield(L, -2, "sub");
  return 1;
}

/* What both states know. `same` compares two values, cycles and all. */
static const char *const prelude =
  "local load = loadstring or load\n"
  "function f0() end\n"
  "package.preload.cmod = cmod; cmod = nil\n"
  "package.preload.geometry = load[[\n"
  "  local M = {}\n"
  "  M.Point = {}; M.Point.__index = M.Point\n"
  "  function M.Point.new(x, y)\n"
  "    return setmetatable({x = x, y = y}, M.Point) end\n"
  "  function M.Point:sum() return self.x + self.y end\n"
  "  M.plain = {__add = function() return 7 end}\n"
  "  M.data = {1, 2, 3}\n"
  "  return M]]\n"
  "package.preload.broken = load[[error('no luck')]]\n"
  "local function same(a, b, seen)\n"
  "  if type(a) ~= type(b) then return false end\n"
  "  if type(a) ~= 'table' then\n"
  "    if math.type and math.type(a) ~= math.type(b) then return false end\n"
  "    if a == 0 and b == 0 then return 1 / a == 1 / b end\n"
  "    return a == b or (a ~= a and b ~= b) end\n"
  "  if seen[a] or seen[b] then return seen[a] == b and seen[b] == a end\n"
  "  seen[a] = b; seen[b] = a\n"
  "  for k, v in next, a do\n"
  "    if not same(v, rawget(b, k), seen) then return false end end\n"
  "  for k in next, b do if rawget(a, k) == nil then return false end end\n"
  "  return same(getmetatable(a), getmetatable(b), seen) end\n"
  "function _G.same(a, b) return same(a, b, {}) end\n";

static void run(lua_State *L, const char *chunk, int nargs, int nresults) {
  if (cast_lua_load(L, chunk, strlen(chunk), chunk, "t") != LUA_OK) {
    print_error("%s\n", lua_tostring(L, -1));
    fail_msg("%s", chunk);
  }
  lua_insert(L, -1 - nargs);
  if (lua_pcall(L, nargs, nresults, 0) != LUA_OK) {
    print_error("%s\n", lua_tostring(L, -1));
    fail_msg("%s", chunk);
  }
}

static lua_State *new_lua(void) {
#if CAST_LUA >= 505
  lua_State *L = lua_newstate(cast_mem_lua, NULL, 1);
#else
  lua_State *L = lua_newstate(cast_mem_lua, NULL);
#endif
  return L != NULL ? L : luaL_newstate();
}

static void open_side(side *s) {
  s->L = new_lua();
  CAST_ALWAYS(s->L != NULL);
  luaL_openlibs(s->L);
  open_handles(s->L);
  open_boxes(s->L);
  lua_pushcfunction(s->L, preload_module);
  lua_setglobal(s->L, "cmod");
  run(s->L, prelude, 0, 0);
  s->packer = cast_packer_open(s->L, NULL);
  CAST_ALWAYS(lua_gettop(s->L) == 0);
}

static int setup(void **state) {
  CAST_UNUSED(state);
  live_before = cast_mem_live();
  open_side(&A);
  open_side(&B);
  return 0;
}

static int teardown(void **state) {
  CAST_UNUSED(state);
  cast_msg_drop(&message);
  lua_close(A.L);
  lua_close(B.L);
  CAST_ALWAYS(objects_live == 0);
  CAST_ALWAYS(cast_mem_live() == live_before);
  return 0;
}

/* -- crossing ------------------------------------------------------------- */

static int protected_pack(lua_State *L) {
  side *s = lua_touserdata(L, lua_upvalueindex(1));
  int n = lua_gettop(L);
  cast_pack(s->packer, L, 1, n, NULL, 0, &message);
  CAST_ALWAYS(lua_gettop(L) == n);
  return 0;
}

static int protected_unpack(lua_State *L) {
  side *s = lua_touserdata(L, lua_upvalueindex(1));
  return cast_unpack(s->packer, L, &message);
}

static uint64_t fail_at; /* which allocation fails in a call; 0: none */
static bool injected;    /* it did */

static int call(lua_State *L, int nargs, int nresults) {
  cast_mem_fail_at(fail_at);
  int status = lua_pcall(L, nargs, nresults, 0);
  injected = cast_mem_has_failed();
  cast_mem_fail_at(0);
  return status;
}

/* Packs all values on the stack of s; returns a status as lua_pcall. */
static int pack_all(side *s) {
  int n = lua_gettop(s->L);
  lua_pushlightuserdata(s->L, s);
  lua_pushcclosure(s->L, protected_pack, 1);
  lua_insert(s->L, 1);
  int status = call(s->L, n, 0);
  CAST_ALWAYS(cast_msg_is_empty(&message) == (status != LUA_OK));
  return status;
}

static int unpack_all(side *s) {
  lua_pushlightuserdata(s->L, s);
  lua_pushcclosure(s->L, protected_unpack, 1);
  int status = call(s->L, 0, LUA_MULTRET);
  CAST_ALWAYS(cast_msg_is_empty(&message) == (status == LUA_OK));
  return status;
}

/* What `make` returns in A arrives in B, where `check` gets it. */
static void cross(const char *make, const char *check) {
  run(A.L, make, 0, LUA_MULTRET);
  if (pack_all(&A) != LUA_OK) {
    print_error("%s\n", lua_tostring(A.L, -1));
    fail_msg("%s", make);
  }
  if (unpack_all(&B) != LUA_OK) {
    print_error("%s\n", lua_tostring(B.L, -1));
    fail_msg("%s", make);
  }
  run(B.L, check, lua_gettop(B.L), 0);
  assert_int_equal(lua_gettop(A.L), 0);
  assert_int_equal(lua_gettop(B.L), 0);
}

/* What `make` makes is the same as what arrives. */
static void cross_same(const char *make) {
  run(A.L, make, 0, LUA_MULTRET);
  int n = lua_gettop(A.L);
  assert_int_equal(pack_all(&A), LUA_OK);
  assert_int_equal(unpack_all(&B), LUA_OK);
  assert_int_equal(lua_gettop(B.L), n);
  run(B.L, make, 0, LUA_MULTRET);
  for (int i = 1; i <= n; i++) {
    lua_getglobal(B.L, "same");
    lua_pushvalue(B.L, i);
    lua_pushvalue(B.L, n + i);
    lua_call(B.L, 2, 1);
    if (!lua_toboolean(B.L, -1)) fail_msg("value %d of: %s", i, make);
    lua_pop(B.L, 1);
  }
  lua_settop(B.L, 0);
}

static void expect_error(side *s, int status, const char *text) {
  assert_int_not_equal(status, LUA_OK);
  const char *got = lua_tostring(s->L, -1);
  if (got == NULL || strstr(got, text) == NULL)
    fail_msg("expected \"%s\", got \"%s\"", text, got != NULL ? got : "?");
  lua_settop(s->L, 0);
  cast_msg_drop(&message);
}

/* What `make` returns can not be packed. */
static void refuse(const char *make, const char *text) {
  run(A.L, make, 0, LUA_MULTRET);
  expect_error(&A, pack_all(&A), text);
}

/* What `make` returns can not be unpacked. */
static void reject(const char *make, const char *text) {
  run(A.L, make, 0, LUA_MULTRET);
  assert_int_equal(pack_all(&A), LUA_OK);
  expect_error(&B, unpack_all(&B), text);
}

/* -- scalars and strings -------------------------------------------------- */

static void scalars(void **state) {
  CAST_UNUSED(state);
  cross_same("return nil, true, false, 0, 1, -1, -2, 126, 127, 128, 255, 256");
  cross_same("return 32767, 32768, -32768, -32769, 2^31 - 1, 2^31, -2^31");
  cross_same("return -2^31 - 1, 2^53, 2^53 + 2, -2^53, 1e308, -1e-308, 5e-324");
  cross_same("return 0.0, -0.0, 1/0, -1/0, 0/0, 0.5, 1.0, 1e15, 1e16, 3.25");
  cross_same("return math.maxinteger, math.mininteger, math.huge, math.pi");
  cross_same("return 2^63, -2^63, 2^64, 1e100");
  cross_same("return '', 'a', ('x'):rep(31), ('x'):rep(32), '\\0\\255\\0'");
  cross_same("return ('x'):rep(45), ('y'):rep(255), ('y'):rep(256)");
  cross_same("return ('z'):rep(4095), ('z'):rep(4096), ('z'):rep(100000)");
  cross("return 1, nil, nil", "assert(select('#', ...) == 3)");
  cross("local t = {} for i = 1, 200 do t[i] = i end\n"
        "return (unpack or table.unpack)(t)",
    "assert(select('#', ...) == 200 and select(200, ...) == 200)");
}

static void inline_messages(void **state) {
  CAST_UNUSED(state);
  static const char *const small[] = {"return 1", "return 'a short string'",
    "return 1.5, 2.5, 3.5, 4.5, 5.5", "return nil, true, false",
    "return 0, 1, 2, 3, 'four', 5.0"};
  for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
    run(A.L, small[i], 0, LUA_MULTRET);
    int n = lua_gettop(A.L);
    int64_t before = cast_mem_live();
    cast_pack(A.packer, A.L, 1, n, NULL, 0, &message);
    assert_int_equal(cast_mem_live(), before);
    assert_true(cast_msg_is_inline(message.size, message.nrefs));
    assert_int_equal(cast_unpack(B.packer, B.L, &message), n);
    lua_settop(A.L, 0);
    lua_settop(B.L, 0);
  }
}

static void plain_messages(void **state) {
  CAST_UNUSED(state);
  run(A.L, "return nil, true, false, 5, -7, 1.5, 1e300", 0, LUA_MULTRET);
  cast_pack(A.packer, A.L, 1, 7, NULL, 0, &message);
  assert_int_equal(cast_unpack_plain(B.L, &message), 7);
  assert_true(cast_msg_is_empty(&message));
  run(B.L,
    "local a, b, c, d, e, f, g = ...\n"
    "assert(a == nil and b == true and c == false and d == 5)\n"
    "assert(e == -7 and f == 1.5 and g == 1e300)",
    7, 0);
  lua_settop(A.L, 0);
  run(A.L, "return 'text'", 0, 1);
  cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
  assert_int_equal(cast_unpack_plain(B.L, &message), -1);
  cast_msg_drop(&message);
  lua_settop(A.L, 0);
  run(A.L, "return {}", 0, 1);
  cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
  assert_int_equal(cast_unpack_plain(B.L, &message), -1);
  cast_msg_drop(&message);
  lua_settop(A.L, 0);

  cast_pack_number(2.0, &message);
  assert_int_equal(cast_unpack_plain(B.L, &message), 1);
  assert_true(lua_tonumber(B.L, 1) == 2.0 && !lua_isinteger(B.L, 1));
  lua_settop(B.L, 0);
}

static void big_strings(void **state) {
  CAST_UNUSED(state);
  run(A.L, "big = ('0123456789abcdef'):rep(65536) return big", 0, 1);
  const cast_object *first = NULL;
  for (int i = 0; i < 3; i++) {
    cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
    assert_int_equal(message.nrefs, 1);
    if (i == 0) first = cast_msg_items(&message)[0];
    assert_ptr_equal(cast_msg_items(&message)[0], first);
    assert_int_equal(cast_unpack(B.packer, B.L, &message), 1);
    /* Sent on by the receiver: still the same bytes. */
    cast_pack(B.packer, B.L, 1, 1, NULL, 0, &message);
    assert_ptr_equal(cast_msg_items(&message)[0], first);
    cast_msg_drop(&message);
    run(B.L, "assert(... == ('0123456789abcdef'):rep(65536))", 1, 0);
  }
  lua_settop(A.L, 0);
  run(A.L, "big = nil", 0, 0);
  lua_gc(A.L, LUA_GCCOLLECT, 0);
  lua_gc(A.L, LUA_GCCOLLECT, 0);
  lua_gc(B.L, LUA_GCCOLLECT, 0);
  lua_gc(B.L, LUA_GCCOLLECT, 0);
  int64_t before = cast_mem_live();
  cross("return ('a'):rep(5000), ('b'):rep(5000), ('a'):rep(5000)",
    "local a, b, c = ... assert(a == c and #b == 5000)");
  for (int i = 0; i < 4; i++) {
    lua_gc(A.L, LUA_GCCOLLECT, 0);
    lua_gc(B.L, LUA_GCCOLLECT, 0);
  }
  assert_in_range(cast_mem_live(), 0, before + 4);
  cross("local t = {} for i = 1, 50 do t[i] = (i .. ','):rep(3000) end\n"
        "return t",
    "for i = 1, 50 do assert((...)[i] == (i .. ','):rep(3000)) end");
}

/* -- tables --------------------------------------------------------------- */

static void tables(void **state) {
  CAST_UNUSED(state);
  cross_same("return {}, {1}, {1, 2, 3}, {a = 1}, {1, 2, a = {b = {c = {}}}}");
  cross_same("return {[1.5] = 1, [true] = 2, [false] = 3, [-1] = 4, [0] = 5}");
  cross_same("return {1, nil, 3}, {nil, nil, 3}, {[5] = 5}, {[2^40] = 1}");
  cross_same("local t = {} for i = 1, 1000 do t[i] = {i, tostring(i)} end "
             "return t");
  cross_same("local t = {} for i = 1, 1000 do t['k' .. i] = i end return t");
  cross_same("local t = {} for i = 1000, 1, -3 do t[i] = i end return t");
  cross_same("return {[''] = '', ['a b'] = 1, ['\\0'] = '\\0'}");
#if CAST_LUA < 505 /* where the length of an array with holes is a guess */
  cross("return {10, 20, nil, 40}", "assert(#(...) == 4)");
#endif
  cross("return {[4] = 1}", "assert(#(...) == 0)");
  cross("return {id = 7, name = 'item', values = {1, 2, 3, 4, 5, 6, 7, 8, 9,"
        " 10}, nested = {a = 1, b = {c = 'x'}}}",
    "local t = ... assert(t.id == 7 and t.name == 'item' and #t.values == 10 "
    "and t.nested.a == 1 and t.nested.b.c == 'x')");
  cross("return setmetatable({1, 2}, {__index = function() error 'no' end, "
        "__pairs = function() error 'no' end, __len = error})",
    "local t = ... assert(rawget(t, 2) == 2)");
}

/* Is what `make` returns written as a tree? It arrives in any case. */
static bool is_tree(const char *make) {
  run(A.L, make, 0, LUA_MULTRET);
  assert_int_equal(pack_all(&A), LUA_OK);
  bool yes = (*cast_msg_data(&message) & WIRE_TREE) != 0;
  assert_int_equal(unpack_all(&B), LUA_OK);
  lua_settop(B.L, 0);
  return yes;
}

static void trees(void **state) {
  CAST_UNUSED(state);
  static const char *const some[] = {"return {}", "return {1, {2, {3}}}, 'a'",
    "return {a = {b = {c = {1.5, true, false, -1, 2^40}}}}",
    "return {('x'):rep(31), ('x'):rep(32), ('y'):rep(300), {('z'):rep(4000)}}",
    "return {[1.5] = 1, [true] = 2, [-1] = 4, [('k'):rep(40)] = {}}",
    "local t = {} for i = 1, 15 do t = {t, n = i} end return t",
    "local t = {} for i = 1, 300 do t[i] = {id = i, {}, {}} end return t",
    "return {}, nil, {1}, 2.5, 'text', true",
    ("local t = {} for i = 1, 40 do t[i] = {i} end "
     "return (unpack or table.unpack)(t)"),
    "local t = {} for i = 1, 60 do t = {t} end return t"}; /* encode.c's */
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    if (!is_tree(some[i]) && CAST_PACK_DEPTH >= 64)
      fail_msg("no tree: %s", some[i]);
    cross_same(some[i]);
  }
  static const char *const others[] = {"return setmetatable({}, {})",
    "local t = {} return {t, t}", "local t = {} t.t = t return t",
    "return {print}", "return {('x'):rep(4096)}", "return {_G}",
    "return {string}", "return {function() end}", "return {new_handle()}",
    "local t = {} for i = 1, 70 do t = {t} end return t"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (is_tree(others[i])) fail_msg("a tree: %s", others[i]);
  /* After some that are none, none is taken for one: but it is still said. */
  for (int i = 0; i < 40; i++) assert_true(is_tree("return {{1, 2}, x = {}}"));
}

/* Whatever is missing at the end of a tree, it is noticed. */
static void damaged_trees(void **state) {
  CAST_UNUSED(state);
  const char *make = "return {1, 1000, 100000, 2^40, 2.5, true, a = 'text', "
                     "[('k'):rep(40)] = ('v'):rep(300), t = {{}, n = 'n'}}";
  for (uint32_t left = CAST_MSG_INLINE + 1;; left++) {
    run(A.L, make, 0, 1);
    assert_int_equal(pack_all(&A), LUA_OK);
    if (left >= message.size) break;
    message.size = message.u.block->size = left;
    expect_error(&B, unpack_all(&B), "damaged message");
  }
  assert_int_equal(unpack_all(&B), LUA_OK);
  lua_settop(B.L, 0);
}

/* Numbers of upvalues that are not the function's, and an environment that is
   no table, or that this Lua's functions have not. */
static void damaged_functions(void **state) {
  CAST_UNUSED(state);
  const char *make = "local x, y = 1, 2 return function() return x, y end";
  for (int i = 0; i < 4; i++) { /* from the second on by a factory */
    run(A.L, make, 0, 1);
    assert_int_equal(pack_all(&A), LUA_OK);
    unsigned char *at = cast_msg_data(&message);
    assert_int_equal(at[1], WIRE_CODE);
    assert_int_equal(at[2], 2);
    at[2] = 3;
    expect_error(&B, unpack_all(&B), "damaged message");
    run(A.L, make, 0, 1);
    assert_int_equal(pack_all(&A), LUA_OK);
    at = cast_msg_data(&message);
    at[0]++; /* 2 is a value of its own */
    at[2] = 1;
    assert_int_equal(unpack_all(&B), LUA_OK);
    assert_int_equal(lua_gettop(B.L), 2);
    run(
      B.L, "local f, y = ... local a, b = f() assert(a == 1 and not b)", 2, 0);
    run(A.L, make, 0, 1);
    assert_int_equal(pack_all(&A), LUA_OK);
    at = cast_msg_data(&message);
    at[1] |= WIRE_ENV;
    at[2] = 1;
    expect_error(&B, unpack_all(&B), "damaged message");
  }
}

/* Strings of all lengths that come often enough to be kept at hand, more of
   them than there is room for, and such that differ little. */
static void words(void **state) {
  CAST_UNUSED(state);
  for (int i = 0; i < 4; i++) {
    cross_same("local t = {{}, {}} for i = 0, 40 do t[1][i] = ('x'):rep(i) "
               "t[2][('y'):rep(i)] = i end return t");
    cross_same("local t = {} for i = 1, 500 do t['key' .. i] = 'v' .. i end "
               "return t");
    cross_same(
      "return {'ab', 'ba', 'aab', 'aba', 'baa', 'a\\0', '\\0a', '\\0', "
      "'\\0\\0', '\\0\\0\\0', 'abcdefgh', 'abcdefghh', 'aabcdefgh'}");
  }
  run(B.L, "collectgarbage() collectgarbage()", 0, 0);
  for (int i = 0; i < 4; i++)
    cross("return {id = 1, name = 'item', nested = {a = 'x'}}",
      "local t = ... assert(t.id == 1 and t.name == 'item' and "
      "t.nested.a == 'x')");
}

static void moved_userdata(void **state) {
  CAST_UNUSED(state);
  cross("theBox = new_box() return {theBox}, theBox",
    "local t, box = ... assert(box_full(box) and t[1] == box)");
  run(A.L, "assert(not box_full(theBox))", 0, 0);
  refuse("theBox = new_box() return theBox, coroutine.create(f0)",
    "cannot send a coroutine (argument 2)");
  run(A.L, "assert(box_full(theBox))", 0, 0);
}

static void sharing(void **state) {
  CAST_UNUSED(state);
  cross("local s = {} return {s, s, {s}}, s",
    "local t, s = ... assert(t[1] == s and t[2] == s and t[3][1] == s)");
  cross("local t = {} t.t = t t[t] = t return t",
    "local t = ... assert(t.t == t and t[t] == t)");
  cross("local a, b = {}, {} a.b = b b.a = a return a, b",
    "local a, b = ... assert(a.b == b and b.a == a)");
  cross("local k = {} return {[k] = k, [{}] = 1, [{{}}] = {k}}",
    "local n = 0 for k, v in pairs(...) do n = n + 1 "
    "if type(v) == 'table' and v ~= k then assert(type(v[1]) == 'table') end "
    "end assert(n == 3)");
  cross("local t = {} for i = 1, 100 do t[i] = {} end "
        "for i = 1, 100 do t[i + 100] = t[i] t[i].next = t[i % 100 + 1] end "
        "return t",
    "local t = ... for i = 1, 100 do assert(t[i] == t[i + 100] and "
    "t[i].next == t[i % 100 + 1] and t[i] ~= t[i].next) end");
}

static void depth(void **state) {
  CAST_UNUSED(state);
  cross("local t = {} local top = t for i = 1, 200 do t.d = i t[1] = {} "
        "t = t[1] end return top",
    "local t = ... for i = 1, 200 do assert(t.d == i) t = t[1] end "
    "assert(next(t) == nil)");
  cross("local list for i = 1000000, 1, -1 do list = {v = i, next = list} end "
        "return list",
    "local n, t = 0, ... while t do n = n + 1 assert(t.v == n) t = t.next end "
    "assert(n == 1000000)");
  cross("local t = {} for i = 1, 5000 do t = {t, t, k = {t}} end return t",
    "local t = ... for i = 1, 5000 do assert(t[1] == t[2] and "
    "t[1] == t.k[1]) t = t[1] end assert(next(t) == nil)");
  cross("local f = function() return 0 end for i = 1, 3000 do local g = f "
        "f = function(n) if n == 0 then return i end return g(n - 1) end end "
        "return f",
    "local f = ... assert(f(0) == 3000 and f(10) == 2990)");
  cross("local t = {} for i = 1, 300 do t = setmetatable({}, {t = t}) end "
        "return t",
    "local t = ... for i = 1, 300 do t = getmetatable(t).t end "
    "assert(next(t) == nil and getmetatable(t) == nil)");
  cross("local t = {} for i = 1, 300 do t = {[t] = i} end return t",
    "local t = ... for i = 300, 1, -1 do local k, v = next(t) "
    "assert(v == i) t = k end");
}

/* -- functions ------------------------------------------------------------ */

static void functions(void **state) {
  CAST_UNUSED(state);
  cross("return function(a, b) return a + b end", "assert((...)(2, 3) == 5)");
  cross("local n = 41 return function() n = n + 1 return n end",
    "local f = ... assert(f() == 42 and f() == 43)");
  cross("g = 5 return function() return g end", "g = 6 assert((...)() == 6)");
  cross("local function fact(n) return n < 2 and 1 or n * fact(n - 1) end "
        "return fact",
    "assert((...)(10) == 3628800)");
  cross("local even, odd "
        "function even(n) return n == 0 or odd(n - 1) end "
        "function odd(n) return n > 0 and even(n - 1) end "
        "return even, odd",
    "local even, odd = ... assert(even(10) and odd(7) and not even(3))");
  cross("local f = function() end return f, f, {f}",
    "local a, b, t = ... assert(a == b and t[1] == a)");
  cross("local t = {} for i = 1, 20 do t[i] = function() return i end end "
        "return t",
    "for i, f in ipairs(...) do assert(f() == i) end");
  cross("local t = {} for i = 1, 3 do t[i] = function() return 1 end end "
        "return t[1] == t[2], t[1], t[2]",
    "local same, a, b = ... assert(same == (a == b))");
  cross("return function(...) return select('#', ...), _G end",
    "local n, g = (...)(1, nil, 3) assert(n == 3 and g == _G)");
}

static void shared_upvalues(void **state) {
  CAST_UNUSED(state);
#if CAST_LUA >= 502 || CAST_LUAJIT
  cross("local n = 0 return function() n = n + 1 end, function() return n end",
    "local inc, get = ... inc() inc() assert(get() == 2)");
  cross("local n, m = 0, {} "
        "local t = {inc = function() n = n + 1 m[n] = n end, "
        "get = function() return n, m end, m = m} return t",
    "local t = ... t.inc() local n, m = t.get() "
    "assert(n == 1 and m == t.m and m[1] == 1)");
  cross("local t = {} local n = 0 for i = 1, 200 do local prev = t[i - 1] "
        "t[i] = function() n = n + 1 return n, prev end end return t",
    "local t = ... for i = 1, 200 do local n, p = t[i]() "
    "assert(n == i and p == t[i - 1]) end");
#else
  cross("local n = 0 return function() n = n + 1 return n end",
    "assert((...)() == 1)");
#endif
}

static void environments(void **state) {
  CAST_UNUSED(state);
  cross("return _G, {_G}, string, {s = string}",
    "local g, t, s, u = ... assert(g == _G and t[1] == _G and s == string and "
    "u.s == string)");
  cross("local G = _G return function() return G end", "assert((...)() == _G)");
#if CAST_LUA >= 502
  cross("local _ENV = {x = 5} return function() return x end",
    "assert((...)() == 5)");
  cross("local print = print local _ENV = setmetatable({}, {__index = _G}) "
        "function f() return tostring, x end x = 3 return f",
    "local t, x = (...)() assert(t == tostring and x == 3)");
#else
  cross(
    "return setfenv(function() return x end, {x = 5})", "assert((...)() == 5)");
  cross("return setfenv(function() return tostring, x end, "
        "setmetatable({x = 3}, {__index = _G}))",
    "local t, x = (...)() assert(t == tostring and x == 3)");
#endif
}

static void debug_information(void **state) {
  CAST_UNUSED(state);
  cross("local load = loadstring or load\n"
        "return load('\\n\\nlocal x = nil; return function() x.y = 1 end', "
        "'@some/file.lua')()",
    "local ok, e = pcall(...) "
    "assert(e:find('some/file.lua:3:', 1, true) and e:find(\"'x'\"), e)");
}

/* A function that is sent again is the same bytes; one without upvalues is
   not even loaded again. */
static void code_cache(void **state) {
  CAST_UNUSED(state);
  static const char *const make[] = {
    "return f", "return function() return 'made anew' end"};
  run(A.L, "function f() return 1 end", 0, 0);
  for (size_t k = 0; k < 2; k++) {
    const cast_object *first = NULL;
    const void *loaded = NULL;
    for (int i = 0; i < 3; i++) {
      run(A.L, make[k], 0, 1);
      cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
      assert_int_equal(message.nrefs, 1);
      if (i == 0) first = cast_msg_items(&message)[0];
      assert_ptr_equal(cast_msg_items(&message)[0], first);
      lua_settop(A.L, 0);
      assert_int_equal(cast_unpack(B.packer, B.L, &message), 1);
      if (i == 0) loaded = lua_topointer(B.L, 1);
      assert_ptr_equal(lua_topointer(B.L, 1), loaded);
      lua_settop(B.L, 0);
    }
  }
  /* Whoever changes its globals does not change later ones. */
  run(A.L, "function h() return type(x) end return h", 0, 1);
  cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
  cast_unpack(B.packer, B.L, &message);
  run(B.L,
    "if setfenv then setfenv(..., {}) else "
    "debug.setupvalue(..., 1, {}) end",
    1, 0);
  cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
  lua_settop(A.L, 0);
  cast_unpack(B.packer, B.L, &message);
  run(B.L, "assert((...)() == 'nil')", 1, 0);
}

/* -- names ---------------------------------------------------------------- */

static void library_names(void **state) {
  CAST_UNUSED(state);
  cross("return print, string.format, table.insert, math.floor, next",
    "local a, b, c, d, e = ... assert(a == print and b == string.format and "
    "c == table.insert and d == math.floor and e == next)");
  cross("local insert, floor = table.insert, math.floor "
        "return function(t, x) insert(t, floor(x)) end",
    "local t = {} (...)(t, 2.5) assert(t[1] == 2)");
  cross("return table, os, io.open, coroutine, table.remove",
    "local t, o, p, c, r = ... assert(t == table and o == os and "
    "p == io.open and c == coroutine and r == table.remove)");
  cross("return {math.random, [print] = pcall, x = setmetatable}",
    "local t = ... assert(t[1] == math.random and t[print] == pcall and "
    "t.x == setmetatable)");
  run(A.L, "also = string.rep; zzz = {rep = string.rep}", 0, 0);
  cross("return also", "assert(... == string.rep)");
}

static void module_names(void **state) {
  CAST_UNUSED(state);
  cross("return string", "assert(... == string)"); /* package was looked at */
  cross("local g = require 'geometry' return function() return g end",
    "assert(not package.loaded.geometry or true) "
    "assert((...)() == require 'geometry')");
  cross("return require 'cmod'", "assert(... == require 'cmod')");
  cross("return require 'cmod'.run, {require 'cmod'.sub.deep}",
    "local r, t = ... assert(r == require 'cmod'.run and "
    "t[1] == require 'cmod'.sub.deep)");
  cross("local g = require 'geometry' return {g.data, g}",
    "local t = ... assert(t[2] == require 'geometry' and "
    "t[1] ~= require 'geometry'.data and t[1][3] == 3)");
  /* A module loaded after the packer had looked, met as plain data first. */
  run(A.L,
    "package.preload.late = function() return {f = print, "
    "g = function() end} end",
    0, 0);
  run(B.L, "package.preload.late = function() return {here = true} end", 0, 0);
  cross("return {require 'late'}, 5",
    "local t = ... assert(t[1] == require 'late' and t[1].here)");
  /* Of two names of a module, the shorter. */
  run(A.L,
    "local t = {f = print} package.loaded['two.core'] = t "
    "package.loaded.two = t package.loaded['two.more'] = t",
    0, 0);
  run(B.L, "package.loaded.two = {ok = true}", 0, 0);
  cross("return package.loaded.two, print", "assert((...).ok)");
  /* Loaded anew: the old table is a table as any other. */
  cross("local old = require 'late' package.loaded.late = nil "
        "return old, require 'late'",
    "local old, new = ... assert(new == require 'late' and old ~= new and "
    "old.f == print)");
}

static void class_names(void **state) {
  CAST_UNUSED(state);
  cross("local Point = require 'geometry'.Point "
        "return Point.new(1, 2), {Point.new(3, 4)}, Point",
    "local p, t, P = ... local Point = require 'geometry'.Point "
    "assert(P == Point and getmetatable(p) == Point and p:sum() == 3 and "
    "getmetatable(t[1]) == Point)");
  cross("return setmetatable({}, require 'geometry'.plain)",
    "assert((...) + 1 == 7 and "
    "getmetatable(...) == require 'geometry'.plain)");
  /* A class of the program's own is copied, once per message. */
  run(A.L, "Own = {} Own.__index = Own function Own:name() return 'own' end", 0,
    0);
  cross("return setmetatable({}, Own), setmetatable({}, Own), Own",
    "local a, b, C = ... assert(a:name() == 'own' and getmetatable(a) == C "
    "and getmetatable(b) == C and C.__index == C)");
  cross("return setmetatable({}, {__metatable = 'locked', "
        "__index = {x = 1}})",
    "assert((...).x == 1 and getmetatable(...) == 'locked')");
  cross("local mt = {} mt.o = setmetatable({}, mt) mt.__index = mt "
        "return mt.o",
    "local o = ... assert(o.o == o)");
#if CAST_LUA >= 502
  run(B.L, "gone = 0", 0, 0);
  cross("local mt = {__gc = function() gone = gone + 1 end} "
        "mt.self = setmetatable({}, mt) "
        "local deep = setmetatable({}, {__gc = mt.__gc}) "
        "for i = 1, 100 do deep = {deep} end "
        "return mt.self, setmetatable({}, mt), deep",
    "");
  lua_gc(B.L, LUA_GCCOLLECT, 0);
  lua_gc(B.L, LUA_GCCOLLECT, 0);
  run(B.L, "assert(gone == 3, gone)", 0, 0);
#endif
}

/* A function of a module goes as a copy if it can be copied, else by name. */
static void module_functions(void **state) {
  CAST_UNUSED(state);
  static const char *const preload =
    "package.preload.secret = (loadstring or load)[[\n"
    "  local co, n = coroutine.create(function() end), 0\n"
    "  local function inner() return co end\n"
    "  local M = {here = ...}\n"
    "  function M.copied() n = n + 1 return n end\n"
    "  function M.named() return inner() end\n"
    "  function M.outer() return M.named(), n end\n"
    "  return M]]";
  run(A.L, preload, 0, 0);
  run(B.L, preload, 0, 0);
  cross("local M = require 'secret' M.copied() return M.copied",
    "assert((...) ~= require 'secret'.copied and (...)() == 2)");
  cross("local f, t = require 'secret'.named, {} "
        "return {{}, t, function() return f, t end}, t, f",
    "local t, u, f = ... assert(f == require 'secret'.named and t[2] == u) "
    "local g, v = t[3]() assert(g == f and u == v)");
  cross("return require 'secret'.named, require 'secret'.outer",
    "local f, g = ... assert(f == require 'secret'.named and g() == f())");
  /* Much is undone: handles, names, deep tables, a __save around it. */
  cross("local t = {} for i = 1, 100 do t = {t, new_handle(), print} end "
        "local named = require 'secret'.named "
        "local s = setmetatable({}, {__save = function() return "
        "function(...) return {...} end, t, {function() return named end} "
        "end}) "
        "return s, s, t",
    "local s, u, t = ... assert(s == u and s[1] == t and "
    "s[2][1]() == require 'secret'.named)");
  refuse("local f = function() return require 'secret'.named end "
         "local co = coroutine.create(f) return function() return co end",
    "upvalue 'co'");
}

/* -- __save --------------------------------------------------------------- */

static void save(void **state) {
  CAST_UNUSED(state);
  run(A.L,
    "function Saved(...) local args = {n = select('#', ...), ...} "
    "return setmetatable({secret = print}, {__save = function(self) "
    "return function(...) return {built = {n = select('#', ...), ...}} "
    "end, (unpack or table.unpack)(args, 1, args.n) end}) end",
    0, 0);
  cross("return Saved(1, 'two', nil, {3})",
    "local b = (...).built "
    "assert(b.n == 4 and b[1] == 1 and b[2] == 'two' and b[4][1] == 3)");
  cross("local s = Saved() return s, s, {s, [s] = s}, Saved()",
    "local a, b, t, c = ... assert(a == b and t[1] == a and t[a] == a and "
    "a ~= c)");
  cross("return Saved(Saved(1), {Saved(Saved(2))})",
    "local b = (...).built assert(b[1].built[1] == 1 and "
    "b[2][1].built[1].built[1] == 2)");
  cross("local t = {} for i = 1, 500 do t = {t, Saved(i)} end return t",
    "local t = ... for i = 500, 1, -1 do assert(t[2].built[1] == i) "
    "t = t[1] end");
  /* Arguments are complete when the constructor is called. */
  cross("local deep = {} local top = deep for i = 1, 200 do deep.d = {} "
        "deep = deep.d end deep.n = 7 "
        "local C = function(t) for i = 1, 200 do t = t.d end "
        "return {n = t.n} end "
        "local s = setmetatable({}, {__save = function() return C, top end}) "
        "local w = {s} for i = 1, 70 do w = {w} end "
        "return top, s, w",
    "local top, s, w = ... assert(s.n == 7) "
    "for i = 1, 70 do w = w[1] end assert(w[1] == s)");
  run(A.L,
    "function nest(n) return setmetatable({}, {__save = function() "
    "return function(x) return {x} end, n > 0 and nest(n - 1) end}) "
    "end",
    0, 0);
  cross("return nest(50)", "local t = ... for i = 1, 50 do t = t[1] end "
                           "assert(t[1] == false)");
  /* Userdata: files here. */
  cross("local mt = debug.getmetatable(io.stdout) "
        "mt.__save = function(f) mt.__save = nil "
        "return function(...) return {file = {...}} end, f == io.stdout end "
        "return io.stdout, {io.stdout}",
    "local f, t = ... assert(f.file[1] == true and t[1] == f)");
  refuse("return nest(100)", "too deep");
  refuse("return {x = setmetatable({}, {__save = function() end})}",
    "cannot send a table (argument 1: .x): its __save returned no "
    "constructor");
  refuse("return 1, {x = {setmetatable({}, {__save = function() "
         "error('oh', 0) end})}}",
    "cannot send a table (argument 2: .x[1]): oh");
  refuse("local s = setmetatable({}, {}) getmetatable(s).__save = function() "
         "return print, {s} end return s",
    "its __save returns it again");
  refuse("return setmetatable({}, {__save = function() return print, "
         "{c = coroutine.create(f0)} end})",
    "cannot send a coroutine (argument 1: argument of __save.c)");
  reject("return {setmetatable({}, {__save = function() return function() "
         "error('built wrong', 0) end end})}",
    "cannot receive an object (value 1: [1]): built wrong");
  reject("return setmetatable({}, {__save = function() return print end})",
    "its constructor returned nil");
}

/* -- errors --------------------------------------------------------------- */

static void errors(void **state) {
  CAST_UNUSED(state);
  refuse("return coroutine.create(f0)", "cannot send a coroutine (argument 1)");
  refuse("return 1, {handlers = {1, 2, {co = coroutine.create(f0)}}}",
    "cannot send a coroutine (argument 2: .handlers[3].co)");
  refuse("local db = coroutine.create(f0) "
         "return {handlers = {1, function() return db end}}",
    "cannot send a coroutine (argument 1: .handlers[2] upvalue 'db')");
  refuse("return {[coroutine.create(f0)] = 1}",
    "cannot send a coroutine (argument 1: a key)");
  refuse("return {['a b'] = {[true] = {[1.5] = io.stdout}}}",
    "cannot send a userdata (argument 1: [\"a b\"][true][1.5])");
  refuse("return setmetatable({}, {__index = {co = coroutine.create(f0)}})",
    "cannot send a coroutine (argument 1: metatable.__index.co)");
  refuse("return string.gmatch('a', 'a'), 1",
    "cannot send a C function (argument 1): no loaded module has it");
  refuse("local t = {coroutine.create(f0)} for i = 1, 300 do t = {t} end "
         "return 0, t",
    "cannot send a coroutine (argument 2: ");
  refuse("local t = {coroutine.create(f0)} for i = 1, 50 do t = {a = t} "
         "end return t",
    "levels");
  reject("package.loaded.nowhere = {f = function() end} "
         "return {a = {b = package.loaded.nowhere}}, print",
    "cannot receive module 'nowhere' (value 1: .a.b): ");
  reject("package.loaded.broken = {f = function() end} "
         "return package.loaded.broken, print",
    "no luck");
  run(B.L, "cmodule = require 'cmod' cmodule.run = nil", 0, 0);
  reject("return {require 'cmod'.run}",
    "cannot receive 'cmod.run' (value 1: [1]): the module has no such member");
  /* All goes on after errors. */
  cross("return {1, print}", "assert((...)[2] == print)");
}

static void handles(void **state) {
  CAST_UNUSED(state);
  run(A.L, "h = new_handle() return h, handle_id(h)", 0, 2);
  const void *id = lua_touserdata(A.L, 2);
  cast_pack(A.packer, A.L, 1, 1, NULL, 0, &message);
  assert_true(cast_msg_is_inline(message.size, message.nrefs));
  lua_settop(A.L, 0);
  run(A.L, "h = nil", 0, 0);
  lua_gc(A.L, LUA_GCCOLLECT, 0);
  assert_int_equal(cast_unpack(B.packer, B.L, &message), 1);
  assert_ptr_equal(cast_handle_test(B.L, 1), id);
  lua_settop(B.L, 0);
  cross("local h = new_handle() return {h, [h] = h, f = function() "
        "return h end}",
    "local t = ... local id = handle_id(t[1]) "
    "for k, v in pairs(t) do if type(k) == 'userdata' then "
    "assert(handle_id(k) == id and handle_id(v) == id) end end "
    "assert(handle_id(t.f()) == id)");
  refuse("return {new_handle(), coroutine.create(f0)}", "[2]");
  reject("package.loaded.nowhere = {f = print} "
         "return {new_handle(), package.loaded.nowhere}",
    "nowhere");
}

/* -- packing within packing ----------------------------------------------- */

/* pack_here(...): packs the values and drops the message. */
static int pack_here(lua_State *L) {
  side *s = lua_touserdata(L, lua_upvalueindex(1));
  cast_msg m;
  memset(&m, 0, sizeof m);
  cast_pack(s->packer, L, 1, lua_gettop(L), NULL, 0, &m);
  cast_msg_drop(&m);
  return 0;
}

static void register_pack_here(side *s) {
  lua_pushlightuserdata(s->L, s);
  lua_pushcclosure(s->L, pack_here, 1);
  lua_setglobal(s->L, "pack_here");
}

static void nested_packing(void **state) {
  CAST_UNUSED(state);
  register_pack_here(&A);
  run(A.L,
    "function Outer(n) return setmetatable({}, {__save = function() "
    "pack_here({n, Outer and n > 0 and Outer(n - 1)}, new_handle()) "
    "local ok, e = pcall(pack_here, {new_handle(), coroutine.create(f0)}) "
    "assert(not ok and e:find('coroutine', 1, true)) "
    "return function(x) return {x} end, n end}) end",
    0, 0);
  cross("return {Outer(5), new_handle(), Outer(0), ('x'):rep(9000)}",
    "local t = ... assert(t[1][1] == 5 and t[3][1] == 0 and #t[4] == 9000)");
  refuse("return Outer(3), Outer(2), coroutine.create(f0)", "argument 3");
  /* A table that changes while it is written. */
  run(A.L,
    "changing = {} for i = 1, 100 do changing['k' .. i] = i end "
    "changing.o = setmetatable({}, {__save = function() "
    "for k in pairs(changing) do if k ~= 'o' then changing[k] = nil "
    "end end collectgarbage() for i = 1, 300 do changing[i] = {i} end "
    "return print end})",
    0, 0);
  run(A.L, "return new_handle(), changing", 0, 2);
  (void)pack_all(&A);
  lua_settop(A.L, 0);
  cast_msg_drop(&message);
  cross("return {1, {2}}", "assert((...)[2][1] == 2)");
}

/* Finalizers that send while the state closes, made before and after the
   packer. */
static void closing(void **state) {
  CAST_UNUSED(state);
  static const char *const last =
    "local function last() "
    "pcall(pack_here, {1, {2}}) pcall(pack_here, function() end) "
    "pcall(pack_here, f0) pcall(pack_here, ('z'):rep(5000)) "
    "pcall(pack_here, print, string) pcall(pack_here, 5, 'text') end "
    "local p if newproxy then p = newproxy(true) getmetatable(p).__gc = last "
    "else p = setmetatable({}, {__gc = last}) end keep = {keep, p}";
  side s;
  int64_t before = cast_mem_live();
  s.L = new_lua();
  luaL_openlibs(s.L);
  open_handles(s.L);
  register_pack_here(&s);
  run(s.L, "function f0() end", 0, 0);
  run(s.L, last, 0, 0);
  s.packer = cast_packer_open(s.L, NULL);
  run(s.L, last, 0, 0);
  run(s.L, "pack_here({}) pack_here(f0, ('y'):rep(5000), print)", 0, 0);
  run(s.L, last, 0, 0);
  lua_close(s.L);
  assert_int_equal(cast_mem_live(), before);
}

/* -- memory --------------------------------------------------------------- */

/* Something of everything. */
static const char *const everything =
  "local Point = require 'geometry'.Point "
  "local n = 0 local function up() n = n + 1 return n end "
  "local deep = {} for i = 1, 150 do deep = {deep} end "
  "local saved = setmetatable({}, {__save = function() "
  "return function(x) return {x} end, {1, 2} end}) "
  "return {1, 2.5, 'x', print, string, up, h = new_handle(), "
  "p = Point.new(1, 2), deep = deep, s = saved, big = ('b'):rep(5000), "
  "get = function() return n, up end, mt = setmetatable({}, {})}, 'text'";

/* Functions that come for the third time: their factories are called. Then no
   global but theBox may differ: what was packed in vain is still there. */
static const char *const again =
  "local n, list = 0, {1, 2} "
  "local function up(x) n = n + x return n, list, up end "
  "theBox = new_box() "
  "return up, theBox, function() return n, 'pure?' end, {k = {'v'}}";

/* Fails each allocation of packing, or of unpacking, once; before, so many
   messages of the same kind have crossed. */
static void fail_each(const char *make, bool unpacking, int before) {
  bool done = false;
  for (uint64_t n = 1; !done; n++) {
    CAST_ALWAYS(n < 20000);
    open_side(&A);
    open_side(&B);
    for (int i = 0; i < before; i++) cross(make, "");
    run(A.L, make, 0, LUA_MULTRET);
    fail_at = unpacking ? 0 : n;
    side *s = &A;
    int status = pack_all(&A);
    if (unpacking) {
      assert_int_equal(status, LUA_OK);
      fail_at = n;
      s = &B;
      status = unpack_all(&B);
    }
    done = !injected;
    fail_at = 0;
    /* Newer versions collect garbage and try again. */
    if (status != LUA_OK) {
      assert_false(done);
      const char *text = lua_tostring(s->L, -1);
      if (text == NULL || strstr(text, "not enough memory") == NULL)
        fail_msg("allocation %d: %s", (int)n, text);
    }
    if (!unpacking && status != LUA_OK)
      run(A.L, "assert(not theBox or box_full(theBox))", 0, 0);
    cast_msg_drop(&message);
    lua_settop(A.L, 0);
    lua_settop(B.L, 0);
    /* A require that failed is not tried again on 5.1. */
    run(B.L, "package.loaded.geometry = nil", 0, 0);
    cross(make, "");
    lua_close(A.L);
    lua_close(B.L);
    assert_int_equal(cast_mem_live(), 0);
  }
}

static void out_of_memory_packing(void **state) {
  CAST_UNUSED(state);
  fail_each(everything, false, 0);
  fail_each(again, false, 2);
}

static void out_of_memory_unpacking(void **state) {
  CAST_UNUSED(state);
  fail_each(everything, true, 0);
  fail_each(again, true, 1);
  fail_each(again, true, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(scalars, setup, teardown),
    cmocka_unit_test_setup_teardown(inline_messages, setup, teardown),
    cmocka_unit_test_setup_teardown(plain_messages, setup, teardown),
    cmocka_unit_test_setup_teardown(big_strings, setup, teardown),
    cmocka_unit_test_setup_teardown(tables, setup, teardown),
    cmocka_unit_test_setup_teardown(trees, setup, teardown),
    cmocka_unit_test_setup_teardown(damaged_trees, setup, teardown),
    cmocka_unit_test_setup_teardown(damaged_functions, setup, teardown),
    cmocka_unit_test_setup_teardown(words, setup, teardown),
    cmocka_unit_test_setup_teardown(moved_userdata, setup, teardown),
    cmocka_unit_test_setup_teardown(sharing, setup, teardown),
    cmocka_unit_test_setup_teardown(depth, setup, teardown),
    cmocka_unit_test_setup_teardown(functions, setup, teardown),
    cmocka_unit_test_setup_teardown(shared_upvalues, setup, teardown),
    cmocka_unit_test_setup_teardown(environments, setup, teardown),
    cmocka_unit_test_setup_teardown(debug_information, setup, teardown),
    cmocka_unit_test_setup_teardown(code_cache, setup, teardown),
    cmocka_unit_test_setup_teardown(library_names, setup, teardown),
    cmocka_unit_test_setup_teardown(module_names, setup, teardown),
    cmocka_unit_test_setup_teardown(class_names, setup, teardown),
    cmocka_unit_test_setup_teardown(module_functions, setup, teardown),
    cmocka_unit_test_setup_teardown(save, setup, teardown),
    cmocka_unit_test_setup_teardown(errors, setup, teardown),
    cmocka_unit_test_setup_teardown(handles, setup, teardown),
    cmocka_unit_test_setup_teardown(nested_packing, setup, teardown),
    cmocka_unit_test(closing),
    cmocka_unit_test(out_of_memory_packing),
    cmocka_unit_test(out_of_memory_unpacking),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
