/* lua_layer.c - tests of layers on streams, as a module would lay them.
   SPDX-License-Identifier: MIT

   The layer turns each byte round (its bits are inverted on the way), after a
   handshake: each side sends "!" and waits for that of the other. It keeps what
   there is no room for, as TLS does. */
#include "unit.h"

#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../include/casting.h"
#include "../../src/mem.h"

/* -- the layer ------------------------------------------------------------ */

typedef struct coder {
  unsigned char kept[700];
  size_t at, nkept;
  bool began, met, over, failed;
} coder;

static _Atomic int live; /* (a) states that were not dropped */

static coder *new_coder(void) {
  coder *c = cast_calloc(sizeof *c);
  if (c != NULL) atomic_fetch_add(&live, 1);
  return c;
}

static int send_kept(coder *c, casting_below *b) {
  while (c->at < c->nkept) {
    ptrdiff_t n = casting_below_write(b, c->kept + c->at, c->nkept - c->at);
    if (n < 0) return (int)n;
    c->at += (size_t)n;
  }
  c->at = c->nkept = 0;
  return 0;
}

/* The handshake. */
static int meet(coder *c, casting_below *b) {
  char word = 0;
  ptrdiff_t n;
  int rc;
  if (!c->began) {
    c->kept[0] = '!';
    c->nkept = 1;
    c->began = true;
  }
  if ((rc = send_kept(c, b)) != 0 || c->met) return rc;
  n = casting_below_read(b, &word, 1);
  if (n < 0) return (int)n;
  if (n == 0) return CASTING_ECLOSED;
  c->failed = word != '!';
  c->met = true;
  return c->failed ? CASTING_EFAILED : 0;
}

static ptrdiff_t read_coded(
  void *state, casting_below *b, void *to, size_t size) {
  coder *c = state;
  unsigned char *bytes = to;
  ptrdiff_t n;
  int rc = c->failed ? CASTING_EFAILED : meet(c, b);
  if (rc != 0) return rc;
  n = casting_below_read(b, to, size);
  for (ptrdiff_t i = 0; i < n; i++) bytes[i] ^= 0xff;
  return n;
}

static ptrdiff_t write_coded(
  void *state, casting_below *b, const void *from, size_t size) {
  coder *c = state;
  const unsigned char *bytes = from;
  int rc = c->failed ? CASTING_EFAILED : meet(c, b);
  if (rc != 0) return rc;
  if (c->over) return CASTING_ECLOSED;
  if (size > sizeof c->kept) size = sizeof c->kept;
  for (size_t i = 0; i < size; i++) c->kept[i] = bytes[i] ^ 0xff;
  c->nkept = size;
  rc = send_kept(c, b);
  return rc == 0 || rc == CASTING_EFULL ? (ptrdiff_t)size : rc;
}

static int flush_coded(void *state, casting_below *b) {
  coder *c = state;
  return c->failed ? CASTING_EFAILED : meet(c, b);
}

static int end_coded(void *state, casting_below *b) {
  coder *c = state;
  CAST_UNUSED(b);
  c->over = true;
  return 0;
}

static const char *why_not(void *state) {
  CAST_UNUSED(state);
  return "no handshake";
}

static void drop_coder(void *state) {
  cast_free(state);
  atomic_fetch_sub(&live, 1);
}

/* A global function, which stands for a finalizer, may close the stream. */
static int tell_coder(void *state, lua_State *L) {
  const coder *c = state;
  int before = atomic_load(&live);
  lua_getglobal(L, "meanwhile");
  if (lua_isfunction(L, -1)) lua_call(L, 0, 0);
  CAST_ALWAYS(atomic_load(&live) == before);
  if (c->met)
    lua_pushinteger(L, (lua_Integer)c->nkept);
  else
    lua_pushboolean(L, 0);
  return 1;
}

static const casting_layer layer = {sizeof layer, read_coded, write_coded,
  flush_coded, end_coded, why_not, drop_coder, tell_coder};

static void *make_coder(void *ud) {
  CAST_ALWAYS(ud == &live);
  return new_coder();
}
static void drop_ud(void *ud) { CAST_ALWAYS(ud == &live); }
static const casting_layers layers = {
  sizeof layers, &layer, make_coder, drop_ud};

/* -- in Lua --------------------------------------------------------------- */

/* lay(v): over a stream, or those of a listener: the outcome. */
static int lay(lua_State *L) {
  coder *c = new_coder();
  int rc = CASTING_ENOMEM;
  if (c != NULL) rc = casting_layer_set(L, 1, &layer, c);
  if (rc != 0 && c != NULL) drop_coder(c);
  if (rc == CASTING_EINVAL) rc = casting_layers_set(L, 1, &layers, &live);
  lua_pushinteger(L, rc);
  return 1;
}

/* laid(v): has it that layer? */
static int laid(lua_State *L) {
  static const casting_layer other;
  CAST_ALWAYS(casting_layer_get(L, 1, &other) == NULL);
  lua_pushboolean(L, casting_layer_get(L, 1, &layer) != NULL);
  return 1;
}

static void run(lua_State *L, const char *text) {
  lua_settop(L, 0);
  if (luaL_loadstring(L, text) == 0 && lua_pcall(L, 0, 0, 0) == 0) return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  fail();
}

static lua_State *host(void) {
  lua_State *L = luaL_newstate();
  CAST_ALWAYS(L != NULL);
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_casting);
  lua_call(L, 0, 1);
  lua_setglobal(L, "casting");
  lua_register(L, "lay", lay);
  lua_register(L, "laid", laid);
  run(L, "net = casting.net\n"
         "function two()\n"
         "  local a, b = net.pair()\n"
         "  assert(lay(a) == 0 and lay(b) == 0)\n"
         "  return a, b\n"
         "end\n"
         "spawn = casting.spawn\n");
  return L;
}

static void end(lua_State *L) {
  lua_close(L);
  assert_int_equal(atomic_load(&live), 0);
}

/* -- the tests ------------------------------------------------------------ */

static void goes_through(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local a, b = two()\n"
         "assert(laid(a) and not laid(net.pair()) and not laid(1))\n"
         "assert(lay(a) == -8 and lay(1) == -8)\n"
         "local t = spawn(a.write, a, '')\n"
         "casting.yield()\n"
         "assert(t:status() == 'waiting')\n"
         "assert(b:write '' and t:await())\n"
         "a:write {'one\\ntwo', {'\\n', 'three'}}\n"
         "assert(b:read 'l' == 'one' and b:peek(3) == 'two')\n"
         "assert(b:read_until '\\n' == 'two')\n"
         "a:shutdown()\n"
         "assert(select(2, a:write 'x') == 'closed')\n"
         "local word, why, rest = b:read(6)\n"
         "assert(word == nil and why == 'closed' and rest == 'three')\n"
         "assert(b:stats().read == 13 and a:stats().written == 13)\n"
         "assert(a:close() and not laid(a) and lay(a) == -4)\n"
         "b:close()\n");
  end(L);
}

/* What a layer tells of itself, while Lua runs that may close the stream. */
static void tells(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local a, b = two()\n"
         "assert(select(2, a:tls(0)) == 'timeout')\n"
         "spawn(b.write, b, '')\n"
         "assert(a:tls() == 0 and b:tls() == 0)\n"
         "assert(select(2, net.pair():tls()) == 'no TLS')\n"
         "function meanwhile() a:close() end\n"
         "assert(a:tls() == 0 and not laid(a))\n"
         "assert(select(2, a:tls()) == 'closed')\n"
         "function meanwhile() b:close() error('so', 0) end\n"
         "local ok, e = pcall(b.tls, b)\n"
         "assert(not ok and e == 'so' and not laid(b))\n"
         "local c, d = two()\n"
         "local t = spawn(d.write, d, '')\n"
         "c:write ''\n"
         "t:await()\n"
         "function meanwhile()\n"
         "  meanwhile = nil\n"
         "  assert(c:tls() == 0)\n"
         "  c:close()\n"
         "end\n"
         "assert(c:tls() == 0 and not laid(c))\n"
         "d:close()\n");
  end(L);
}

/* The first to want something, whatever it is, does the handshake. */
static void meets_first(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L,
    "local function begin(s, reads, byte)\n"
    "  if reads then return spawn(s.read, s, 1) end\n"
    "  return spawn(s.write, s, byte)\n"
    "end\n"
    "for i = 0, 3 do\n"
    "  local a, b = two()\n"
    "  local ra, rb = i % 2 == 1, i > 1\n"
    "  local t, u = begin(a, ra, 'x'), begin(b, rb, 'y')\n"
    "  if rb then if ra then a:write 'x' end assert(u:await() == 'x')\n"
    "  else assert(u:await()) end\n"
    "  if ra then if rb then b:write 'y' end assert(t:await() == 'y')\n"
    "  else assert(t:await()) end\n"
    "  if not rb then\n"
    "    if not ra then assert(a:read(1) == 'y' and b:read(1) == 'x') end\n"
    "  elseif not ra then\n"
    "    b:write 'y' assert(a:read(1) == 'y')\n"
    "  end\n"
    "  a:close() b:close()\n"
    "end\n"
    "local a, b = net.pair()\n"
    "assert(lay(a) == 0)\n"
    "b:write '?'\n"
    "local word, why = a:read()\n"
    "assert(word == nil and why == 'no handshake', why)\n"
    "word, why = a:write 'x'\n"
    "assert(word == nil and why == 'no handshake', why)\n"
    "word, why = a:copy(b)\n"
    "assert(word == nil and why == 'no handshake', why)\n"
    "a:close() b:close()\n");
  end(L);
}

/* What was read before is the layer's. */
static void takes_what_was_read(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local a, b = net.pair()\n"
         "b:write('plain\\n!' .. string.char(158, 157))\n"
         "assert(a:read 'l' == 'plain')\n"
         "assert(lay(a) == 0 and a:stats().buffered == 0)\n"
         "local t = spawn(a.read, a, 2)\n"
         "assert(b:read(1) == '!')\n"
         "local got = t:await()\n"
         "assert(got == 'ab', got)\n"
         "a:close() b:close()\n");
  end(L);
}

/* Little room, and writers that give up: not a byte is lost or doubled. */
static void keeps_its_place(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local a, b = two()\n"
         "a:option('sendbuffer', 2048)\n"
         "local parts = {}\n"
         "for i = 1, 20000 do parts[i] = i .. ' ' end\n"
         "local text, at, late = table.concat(parts), 1, 0\n"
         "local hello = spawn(b.write, b, '')\n"
         "local reader\n"
         "repeat\n"
         "  local ok, why, n = a:write(text:sub(at), 0.0001)\n"
         "  if not ok then\n"
         "    assert(why == 'timeout')\n"
         "    at, late = at + n, late + 1\n"
         "    reader = reader or spawn(b.read, b, 'a')\n"
         "  end\n"
         "until ok\n"
         "assert(late > 0 and a:shutdown() and reader:await() == text)\n"
         "a:close() b:close()\n"
         "local c, d = two()\n"
         "local e, f = net.pair()\n"
         "local t = spawn(e.copy, e, c)\n"
         "local u = spawn(d.read, d, #text)\n"
         "f:write(text) f:close()\n"
         "assert(t:await() == #text and u:await() == text)\n"
         "c:close() d:close() e:close()\n");
  end(L);
}

static void select_waits_for_bytes(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local a, b = two()\n"
         "assert(select(2, casting.select {a, timeout = 0.001}) == 'timeout')\n"
         "local t = spawn(casting.select, {a, timeout = 100})\n"
         "b:write ''\n"
         "casting.sleep(0.001)\n"
         "assert(t:status() == 'waiting')\n"
         "b:write 'x'\n"
         "assert(t:await() == 1 and a:read(1, 0) == 'x')\n"
         "b:close()\n"
         "assert(casting.select {a, timeout = 100} == 1)\n"
         "a:close()\n");
  end(L);
}

static void of_listeners(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local l = net.listen('127.0.0.1', 0)\n"
         "assert(lay(l) == 0 and lay(l) == -8)\n"
         "local t = spawn(function()\n"
         "  return l:serve(function(s) s:write(s:read 'l' .. '\\n') end)\n"
         "end)\n"
         "local s = net.connect(l:name())\n"
         "lay(s)\n"
         "s:write 'hello\\n'\n"
         "assert(s:read 'l' == 'hello')\n"
         "s:close()\n"
         "l:close()\n"
         "assert(t:await())\n");
  end(L);
}

/* Moved, and with no memory at each allocation. */
static void no_memory(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  int n = 0;
  run(L, "function f()\n"
         "  local a, b = net.pair()\n"
         "  if lay(a) ~= 0 or lay(b) ~= 0 then error 'memory' end\n"
         "  local t = spawn(a.write, a, ('x'):rep(3000))\n"
         "  b:read(3000)\n"
         "  local ch = casting.channel(1)\n"
         "  ch:send(b)\n"
         "  b = ch:receive()\n"
         "  a:shutdown()\n"
         "  assert(b:read 'a' == '')\n"
         "  t:join() a:close() b:close()\n"
         "end\n"
         "f()\n");
  for (;;) {
    lua_getglobal(L, "f");
    cast_mem_fail_at((uint64_t)++n);
    (void)lua_pcall(L, 0, 0, 0);
    bool done = !cast_mem_has_failed();
    cast_mem_fail_at(0);
    lua_settop(L, 0);
    run(L, "collectgarbage() collectgarbage() casting.sleep(0)\n"
           "collectgarbage() collectgarbage()\n");
    if (done || n == 400) break;
  }
  assert_true(n < 400);
  end(L);
}

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test(goes_through),
    cmocka_unit_test(tells),
    cmocka_unit_test(meets_first),
    cmocka_unit_test(takes_what_was_read),
    cmocka_unit_test(keeps_its_place),
    cmocka_unit_test(select_waits_for_bytes),
    cmocka_unit_test(of_listeners),
    cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
