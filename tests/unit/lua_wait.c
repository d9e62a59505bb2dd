/* lua_wait.c - tests of casting_wait_fd, called as a module would.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../include/casting.h"
#include "../../src/mem.h"

#define LONG 100.0

static int ends[2]; /* a pair of sockets, which block */
/* (a) How often `finish` was called with each outcome, 0 to -10. */
static _Atomic int told[11];

static int finish(lua_State *L, int outcome, void *ud) {
  CAST_ALWAYS(ud == told && outcome <= 0 && outcome >= -10);
  atomic_fetch_add(&told[-outcome], 1);
  lua_pushinteger(L, outcome);
  return 1;
}

/* wait(fd, events, seconds): the outcome. */
static int wait_fd(lua_State *L) {
  return casting_wait_fd(L, (int)luaL_checkinteger(L, 1),
    (int)luaL_checkinteger(L, 2), luaL_checknumber(L, 3), finish, told);
}

/* Reads a byte, waiting for each of three. */
static int finish_step(lua_State *L, int outcome, void *ud) {
  int *left = ud;
  char c;
  if (outcome != 0) return finish(L, outcome, told);
  CAST_ALWAYS(read(ends[0], &c, 1) == 1);
  if (--*left > 0)
    return casting_wait_fd(
      L, ends[0], CASTING_READABLE, CASTING_FOREVER, finish_step, ud);
  return finish(L, 0, told);
}

static int three(lua_State *L) {
  static int left;
  left = 3;
  return casting_wait_fd(
    L, ends[0], CASTING_READABLE, CASTING_FOREVER, finish_step, &left);
}

/* There is no room on the stack, not even for the results. (5.5 has some beyond
   its limit, so it may wait.) */
static int full(lua_State *L) {
  int n = luaL_checkinteger(L, 1) != 0 ? LUA_MINSTACK - 1 : 1;
  while (lua_checkstack(L, n)) lua_pushnil(L);
  return casting_wait_fd(L, ends[0], CASTING_READABLE, 0.001, finish, told);
}

static int put(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  CAST_ALWAYS(write(ends[1], s, n) == (ssize_t)n);
  return 0;
}

static int get(lua_State *L) {
  char bytes[100];
  ssize_t n = read(ends[0], bytes, sizeof bytes);
  CAST_ALWAYS(n >= 0);
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

static void set_integer(lua_State *L, const char *name, int n) {
  lua_pushinteger(L, n);
  lua_setglobal(L, name);
}

static lua_State *host(void) {
  lua_State *L = luaL_newstate();
  CAST_ALWAYS(L != NULL);
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_casting);
  lua_call(L, 0, 1);
  lua_setglobal(L, "casting");
  lua_register(L, "wait", wait_fd);
  lua_register(L, "three", three);
  lua_register(L, "put", put);
  lua_register(L, "get", get);
  CAST_ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  set_integer(L, "fd", ends[0]);
  set_integer(L, "R", CASTING_READABLE);
  set_integer(L, "W", CASTING_WRITABLE);
  memset(told, 0, sizeof told);
  return L;
}

static void end(lua_State *L) {
  lua_close(L);
  close(ends[0]);
  close(ends[1]);
}

static void run(lua_State *L, const char *text) {
  lua_settop(L, 0);
  if (luaL_loadstring(L, text) == 0 && lua_pcall(L, 0, 0, 0) == 0) return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  fail();
}

static int told_of(int outcome) { return atomic_load(&told[-outcome]); }

/* stream(fd): net.from_fd in C. number(socket): its descriptor. */
static int stream(lua_State *L) {
  return casting_push_stream(L, (int)luaL_checkinteger(L, 1));
}
static int number(lua_State *L) {
  lua_pushinteger(L, casting_stream_fd(L, 1));
  return 1;
}

/* offer(stream, text): how many bytes it has taken. */
static int offer(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 2, &n);
  lua_pushinteger(L, (lua_Integer)casting_stream_offer(L, 1, s, n));
  return 1;
}

/* -- the tests ------------------------------------------------------------ */

static void outcomes(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  int flags = fcntl(ends[0], F_GETFL);
  run(L, "assert(wait(fd, W, -1) == 0)\n"
         "assert(wait(fd, R, 0) == -2)\n"
         "assert(wait(fd, R, 0.001) == -2)\n"
         "assert(wait(fd, R + W, 0) == 0)\n"
         "put 'x'\n"
         "assert(wait(fd, R, 0) == 0 and wait(fd, R, -1) == 0)\n"
         "get()\n"
         "local t = casting.spawn(wait, fd, R, -1)\n"
         "casting.yield()\n"
         "assert(casting.report():find('waiting for descriptor ' .. fd))\n"
         "put 'y'\n"
         "assert(t:await() == 0)\n");
  assert_int_equal(told_of(0), 5);
  assert_int_equal(told_of(CASTING_ETIMEOUT), 2);
  run(L, "assert(wait(1000000000, R, -1) == -8)\n"
         "local a, b = casting.net.pair()\n"
         "local t = casting.spawn(wait, a:fd(), R, -1)\n"
         "casting.yield()\n"
         "a:close()\n"
         "assert(t:await() == -4)\n");
  assert_int_equal(told_of(CASTING_EINVAL), 1);
  assert_int_equal(told_of(CASTING_ECLOSED), 1);
  assert_int_equal(fcntl(ends[0], F_GETFL), flags);
  end(L);
}

/* Either direction ends a wait for both. */
static void both(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  char bytes[4096];
  memset(bytes, 'x', sizeof bytes);
  while (send(ends[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
  run(L, "assert(wait(fd, R + W, 0) == -2)\n"
         "t = casting.spawn(wait, fd, R + W, -1)\n"
         "casting.yield()\n"
         "assert(casting.report():find 'readable or writable')\n"
         "put 'z'\n"
         "assert(t:await() == 0)\n"
         "get()\n"
         "t = casting.spawn(wait, fd, R + W, -1)\n"
         "casting.yield()\n");
  while (recv(ends[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
  run(L, "assert(t:await() == 0)");
  end(L);
}

/* Whatever happens, `finish` is called once. */
static void always_told(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local t = casting.spawn(wait, fd, R, -1)\n"
         "casting.yield()\n"
         "t:cancel()\n"
         "assert(not t:join())\n");
  assert_int_equal(told_of(CASTING_ECANCELLED), 1);
  /* The second wait of a cancelled task never begins. */
  run(L, "local t = casting.spawn(function()\n"
         "  pcall(wait, fd, R, -1)\n"
         "  local ok, e = pcall(wait, fd, R, -1)\n"
         "  return ok, casting.is_cancelled(e)\n"
         "end)\n"
         "casting.yield()\n"
         "t:cancel()\n"
         "local done, ok, is = t:join()\n"
         "assert(not done or not ok and is)\n");
  assert_int_equal(told_of(CASTING_ECANCELLED), 3);
  run(L, "for _, bad in ipairs {{-1, R}, {fd, 0}, {fd, 4}, {fd, -1}} do\n"
         "  local ok, e = pcall(wait, bad[1], bad[2], -1)\n"
         "  assert(not ok and e:find 'casting_wait_fd')\n"
         "end\n");
  assert_int_equal(told_of(CASTING_ECANCELLED), 7);
  lua_register(L, "full", full);
  run(L, "for i = 0, 1 do pcall(full, i) end\n");
  assert_int_equal(told_of(CASTING_ECANCELLED) + told_of(CASTING_ETIMEOUT), 9);
  run(L, "local ok, e = casting.with_timeout(0.001, wait, fd, R, -1)\n"
         "assert(not ok and e == 'timeout')\n");
  assert_int_equal(told_of(CASTING_ECANCELLED) + told_of(CASTING_ETIMEOUT), 10);
  end(L);
}

/* `finish` may wait itself. */
static void again(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  run(L, "local t = casting.spawn(function() return three() end)\n"
         "local u = casting.spawn(function()\n"
         "  local r\n"
         "  table.sort({1, 2}, function() r = r or three() end)\n"
         "  return r\n"
         "end)\n"
         "for _ = 1, 5 do casting.yield() put 'a' end\n"
         "casting.yield() put 'b'\n"
         "assert(t:await() == 0)\n");
  end(L);
}

/* Without memory: an error, or an outcome; and the next call works. */
static void no_memory(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  int n = 0, failed = 0;
  run(L, "put 'x' assert(wait(fd, R, -1) == 0)\n"
         "assert(wait(fd, W, -1) == 0) get()\n"
         "function f()\n"
         "  casting.spawn(put, 'y')\n"
         "  assert(wait(fd, R, -1) == 0)\n"
         "  get()\n"
         "end\n"
         "f()\n");
  for (;;) {
    lua_getglobal(L, "f");
    cast_mem_fail_at((uint64_t)++n);
    int rc = lua_pcall(L, 0, 0, 0);
    bool done = !cast_mem_has_failed();
    cast_mem_fail_at(0);
    if (rc != 0) failed++;
    lua_settop(L, 0);
    run(L, "casting.sleep(0) if wait(fd, R, 0) == 0 then get() end\n"
           "collectgarbage() collectgarbage()\n");
    if (done || n == 200) break;
  }
  assert_true(n < 200 && failed > 0);
  end(L);
}

static void streams(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  int fds[2], udp;
  lua_register(L, "stream", stream);
  lua_register(L, "number", number);
  CAST_ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  CAST_ALWAYS((udp = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
  set_integer(L, "one", fds[0]);
  set_integer(L, "two", fds[1]);
  set_integer(L, "udp", udp);
  run(L, "local a, b = stream(one), stream(two)\n"
         "assert(number(a) == one and number(b) == two)\n"
         "local t = casting.spawn(a.read, a)\n"
         "casting.yield()\n"
         "b:write 'hello'\n"
         "assert(t:await() == 'hello')\n"
         "a:close()\n"
         "assert(number(a) == -1)\n"
         "u = stream(udp)\n"
         "assert(number(u) == udp and tostring(u):find 'udp')\n"
         "assert(casting.select {u, timeout = 0} == nil)\n"
         "assert(number(5) == -1 and number(io.stdout) == -1)\n"
         "local s, why = stream(1000000)\n"
         "assert(s == nil and why:find 'descriptor')\n"
         "assert(not pcall(stream, -1))\n");
  assert_true(fcntl(udp, F_GETFL) & O_NONBLOCK);
  assert_int_equal(fcntl(fds[0], F_GETFL), -1); /* closed */
  end(L);
}

/* What is offered is taken, or left as it is: also when there is no room, when
   others are to have their turn, or write, and when the task is to stop. */
static void offers(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  int fds[2];
  lua_register(L, "stream", stream);
  lua_register(L, "offer", offer);
  CAST_ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  set_integer(L, "one", fds[0]);
  set_integer(L, "two", fds[1]);
  run(L,
    "local a, b = stream(one), stream(two)\n"
    "local function say(text)\n"
    "  local n = offer(a, text)\n"
    "  assert(n <= #text)\n"
    "  assert(a:write(text:sub(n + 1)))\n"
    "  return n\n"
    "end\n"
    "local function talk()\n"
    "  local taken, got = 0, ''\n"
    "  for i = 1, 100 do\n"
    "    taken = taken + say(('%04d'):format(i))\n"
    "    got = got .. assert(b:read(4))\n"
    "  end\n"
    "  for i = 1, 100 do assert(got:sub(4 * i - 3, 4 * i) + 0 == i) end\n"
    "  return taken\n"
    "end\n"
    "assert(casting.spawn(talk):await() > 0)\n"
    "-- There are turns: others run, though nothing waits.\n"
    "local over, turns = false, 0\n"
    "local other = casting.spawn(function()\n"
    "  while not over do turns = turns + 1 casting.yield() end\n"
    "end)\n"
    "casting.spawn(function()\n"
    "  for i = 1, 100 do say 'x' end\n"
    "  over = true\n"
    "end):await()\n"
    "other:await()\n"
    "assert(turns > 1 and #b:read(100) == 100)\n"
    "-- No room: a part; then nothing, while another task writes the rest.\n"
    "local piece, sent = ('x'):rep(65536), 0\n"
    "local writer = casting.spawn(function()\n"
    "  local n\n"
    "  repeat\n"
    "    n = offer(a, piece)\n"
    "    sent = sent + n\n"
    "    if n == 0 then casting.yield() n = offer(a, piece) sent = sent + n "
    "end\n"
    "  until n < #piece\n"
    "  assert(a:write(piece))\n"
    "  sent = sent + #piece\n"
    "end)\n"
    "while writer:status() ~= 'waiting' do casting.yield() end\n"
    "casting.spawn(function() assert(offer(a, 'y') == 0) end):await()\n"
    "local reader = casting.spawn(function()\n"
    "  local got = 0\n"
    "  while got < sent or writer:status() == 'waiting' do\n"
    "    local data = b:read()\n"
    "    assert(not data:find '[^x]')\n"
    "    got = got + #data\n"
    "  end\n"
    "  return got\n"
    "end)\n"
    "writer:await()\n"
    "assert(reader:await() == sent)\n"
    "-- A task that is to stop meets that in write.\n"
    "local task = casting.spawn(function()\n"
    "  casting.self():cancel()\n"
    "  assert(offer(a, 'z') == 0)\n"
    "  a:write 'z'\n"
    "end)\n"
    "assert(not task:join() and task:status() == 'cancelled')\n"
    "casting.spawn(function()\n"
    "  assert(coroutine.wrap(function() return offer(a, 'z') end)() == 0)\n"
    "  assert(offer(5, 'z') == 0 and offer(io.stdout, 'z') == 0)\n"
    "  a:close()\n"
    "  assert(offer(a, 'z') == 0)\n"
    "end):await()\n"
    "assert(b:read('a') == '')\n");
  end(L);
}

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test(outcomes),
    cmocka_unit_test(both),
    cmocka_unit_test(always_told),
    cmocka_unit_test(again),
    cmocka_unit_test(no_memory),
    cmocka_unit_test(streams),
    cmocka_unit_test(offers),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
