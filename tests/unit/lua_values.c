/* lua_values.c - property test of pack: random values arrive as they are.
   SPDX-License-Identifier: MIT

   The same Lua code makes the same value from the same seed in two states.
   Packed in one and unpacked in the other, it has to equal the one made
   there: types, bits of numbers, bytes of strings, keys, metatables, which
   tables and functions are the same one, which variables functions share.

     lua_values [count [seed]]     2,000 values and seed 1 if not given */
#include "unit.h"

#include <stdlib.h>

#include "../../src/lua/state/handle.h"
#include "../../src/lua/transfer/pack.h"
#include "../../src/mem.h"

static int count = 2000, first_seed = 1;

const char cast_handle_tag = 0;

const cast_giving *cast_handle_giving(lua_State *L, const cast_object *o) {
  CAST_UNUSED(L);
  CAST_UNUSED(o);
  return NULL;
}

void cast_handle_push(lua_State *L, cast_object *o) {
  CAST_UNUSED(L);
  CAST_UNUSED(o);
  CAST_ALWAYS(!"a handle");
}

/* make(seed) returns a value, equal(a, b) true or false and where. */
static const char *const code[] = {
  /* 5.2 and 5.3 may or may not make equal closures the same one. */
  "local caches = _VERSION == 'Lua 5.2' or _VERSION == 'Lua 5.3'\n"
  "local unpack = unpack or table.unpack\n"
  "local upvalueid = debug.upvalueid\n"
  "local state, left, tables, functions, nextid\n"
  "local function random(n)\n"
  "  state = state * 16807 % 2147483647\n"
  "  return state % n end\n"
  "local edges = {0.0, -0.0, 1/0, -1/0, 0/0, 0.5, -1.5, 2^31, -2^31, 2^32,\n"
  "  2^53, -2^53, 2^63, -2^63, 1e308, 5e-324, 127.0, 128.0, 255.0, 32767,\n"
  "  -32768, 65536, 1e15, math.maxinteger or 7, math.mininteger or 8, -1,\n"
  "  126, 127, -2}\n"
  "local library = {print, string.format, math.floor, string, table, _G,\n"
  "  coroutine, next, pcall}\n"
  "local function text()\n"
  "  local n = random(10)\n"
  "  if n == 0 then n = random(300) elseif n == 1 and random(20) == 0 then\n"
  "    return ('s' .. random(9)):rep(2000 + random(3000)) end\n"
  "  local t = {}\n"
  "  for i = 1, n do t[i] = string.char(random(256)) end\n"
  "  return table.concat(t) end\n"
  "local function number()\n"
  "  local k = random(4)\n"
  "  if k == 0 then return edges[1 + random(#edges)] end\n"
  "  if k == 1 then return random(300) - 100 end\n"
  "  if k == 2 then return random(2147483646) * (random(3) - 1) end\n"
  "  return (random(2147483646) - 1e9) / (1 + random(1000)) end\n"
  "local value\n"
  "local function new(t)\n"
  "  nextid = nextid + 1 t.id = nextid tables[#tables + 1] = t return t end\n"
  "local function key()\n"
  "  local k = random(8)\n"
  "  if k < 4 then return text() end\n"
  "  if k < 6 then return random(50) - 5 end\n"
  "  if k == 6 then local n = number() return n == n and n or 1.25 end\n"
  "  if random(3) == 0 then return new{} end\n"
  "  return random(2) == 0 end\n",
  "local function object(depth)\n"
  "  local t = new{}\n"
  "  local n = random(6)\n"
  "  if random(30) == 0 then n = n + random(60) end\n"
  "  for i = 1, n do t[i] = value(depth) end\n"
  "  for i = 1, random(5) do t[key()] = value(depth) end\n"
  "  if random(12) == 0 then\n"
  "    local mt = tables[1 + random(#tables)]\n"
  "    if not getmetatable(mt) and rawget(mt, '__gc') == nil then\n"
  "      setmetatable(t, mt) end end\n"
  "  return t end\n"
  "local function closure(depth)\n"
  "  local a, b = value(depth), value(depth)\n"
  "  local f, g\n"
  "  local k = random(caches and 3 or 4)\n"
  "  if k == 0 then f = function() return a, b end g = f\n"
  "  elseif k == 1 then f = function(x) a = x return b end\n"
  "    g = function() return a end\n"
  "  elseif k == 2 then f = function(n) return n and g, a end\n"
  "    g = function() return f, b end\n"
  "  else f = function() return print end g = function() return 1 end end\n"
  "  functions[#functions + 1] = f functions[#functions + 1] = g\n"
  "  return random(2) == 0 and f or {f, g} end\n"
  "function value(depth)\n"
  "  left = left - 1\n"
  "  local k = random(20)\n"
  "  if depth == 0 or left < 0 then k = k % 9 end\n"
  "  if k == 0 then return random(2) == 0 end\n"
  "  if k < 5 then return number() end\n"
  "  if k < 8 then return text() end\n"
  "  if k == 8 then return library[1 + random(#library)] end\n"
  "  if k == 9 and #tables > 0 then return tables[1 + random(#tables)] end\n"
  "  if k == 10 and #functions > 0 then\n"
  "    return functions[1 + random(#functions)] end\n"
  "  if k < 13 then return closure(depth - 1) end\n"
  "  return object(depth - 1) end\n"
  "function make(seed)\n"
  "  state, left = seed * 7919 % 2147483646 + 1, 40\n"
  "  tables, functions, nextid = {}, {}, 0\n"
  "  for i = 1, 5 do random(2) end\n"
  "  if random(8) == 0 then left = 400 end\n"
  "  local deep = random(40) == 0 and random(150) or 0\n"
  "  local v = value(2 + random(12))\n"
  "  for i = 1, deep do v = random(4) == 0 and new{n = v} or {v} end\n"
  "  return v end\n",
  "local there, back, cell\n"
  "local same\n"
  "local function known(a, b)\n"
  "  if there[a] or back[b] then return true, there[a] == b and back[b] == a\n"
  "  end there[a] = b back[b] = a end\n"
  "local function same_function(a, b)\n"
  "  local yes, ok = known(a, b) if yes then return ok, 'identity' end\n"
  "  if debug.getinfo(a, 'S').what == 'C' then return a == b, 'C' end\n"
  "  for i = 1, 255 do\n"
  "    local n, x = debug.getupvalue(a, i)\n"
  "    local m, y = debug.getupvalue(b, i)\n"
  "    if n ~= m then return false, 'upvalues' end\n"
  "    if not n then return true end\n"
  "    if upvalueid and x ~= _G then\n"
  "      local p, q = upvalueid(a, i), upvalueid(b, i)\n"
  "      if (cell[p] or q) ~= q or (cell[q] or p) ~= p then\n"
  "        return false, 'sharing' end\n"
  "      cell[p] = q cell[q] = p end\n"
  "    local ok, why = same(x, y)\n"
  "    if not ok then return false, why .. ' upvalue ' .. n end end end\n"
  "local function same_table(a, b)\n"
  "  if a == b then return true end\n"
  "  local yes, ok = known(a, b) if yes then return ok, 'identity' end\n"
  "  local byid, n = {}, 0\n"
  "  for k in next, b do n = n + 1\n"
  "    if type(k) == 'table' then byid[k.id] = k end end\n"
  "  for k, v in next, a do n = n - 1\n"
  "    local l = k\n"
  "    if type(k) == 'table' then l = byid[k.id]\n"
  "      local ok, why = same(k, l) if not ok then return ok, why end end\n"
  "    local ok, why = same(v, rawget(b, l))\n"
  "    if not ok then return false, why .. '.' .. tostring(k) end end\n"
  "  if n ~= 0 then return false, 'keys' end\n"
  "  return same(getmetatable(a), getmetatable(b)) end\n"
  "function same(a, b)\n"
  "  local t = type(a)\n"
  "  if t ~= type(b) then return false, 'type ' .. t .. type(b) end\n"
  "  if t == 'table' then return same_table(a, b) end\n"
  "  if t == 'function' then return same_function(a, b) end\n"
  "  if t == 'number' then\n"
  "    if math.type and math.type(a) ~= math.type(b) then\n"
  "      return false, 'number' end\n"
  "    if a == 0 and math.type and math.type(a) == 'integer' then\n"
  "      return true end\n"
  "    if a == 0 and b == 0 then return 1 / a == 1 / b, 'zero' end\n"
  "    return a == b or (a ~= a and b ~= b), 'number' end\n"
  "  return a == b, t end\n"
  "function equal(a, b)\n"
  "  there, back, cell = {}, {}, {}\n"
  "  local ok, why = same(a, b) return ok, tostring(why) end\n",
  NULL};

static void check(lua_State *L, int status) {
  if (status == LUA_OK) return;
  print_error("%s\n", lua_tostring(L, -1));
  CAST_ALWAYS(!"no error");
}

static lua_State *open_state(cast_packer **p) {
  lua_State *L = luaL_newstate();
  size_t size;
  int n;
  CAST_ALWAYS(L != NULL);
  luaL_openlibs(L);
  for (n = 0; code[n] != NULL; n++) lua_pushstring(L, code[n]);
  lua_concat(L, n);
  const char *text = lua_tolstring(L, -1, &size);
  check(L, cast_lua_load(L, text, size, "=code", "t"));
  check(L, lua_pcall(L, 0, 0, 0));
  lua_settop(L, 0);
  *p = cast_packer_open(L, NULL);
  return L;
}

static void make(lua_State *L, int seed) {
  lua_getglobal(L, "make");
  lua_pushinteger(L, seed);
  check(L, lua_pcall(L, 1, 1, 0));
}

static void random_values(void **state) {
  CAST_UNUSED(state);
  cast_packer *from, *to;
  lua_State *A = open_state(&from), *B = open_state(&to);
  cast_msg m;
  memset(&m, 0, sizeof m);
  for (int seed = first_seed; seed < first_seed + count; seed++) {
    make(A, seed);
    cast_pack(from, A, 1, 1, NULL, 0, &m);
    lua_settop(A, 0);
    lua_getglobal(B, "equal");
    assert_int_equal(cast_unpack(to, B, &m), 1);
    make(B, seed);
    check(B, lua_pcall(B, 2, 2, 0));
    if (!lua_toboolean(B, -2))
      fail_msg("seed %d: %s", seed, lua_tostring(B, -1));
    lua_settop(B, 0);
  }
  lua_close(A);
  lua_close(B);
  assert_int_equal(cast_mem_live(), 0);
}

int main(int argc, char **argv) {
  if (argc > 1) count = atoi(argv[1]);
  if (argc > 2) first_seed = atoi(argv[2]);
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_values)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
