/* lua_hosts.c - several host states in one process, and one that leaves
   sessions behind.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../include/casting.h"
#include "../../src/mem.h"

#define LONG 100.0

static lua_State *host(void) {
  lua_State *L = luaL_newstate();
  CAST_ALWAYS(L != NULL);
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_casting);
  lua_setfield(L, -2, "casting");
  lua_settop(L, 0);
  return L;
}

static void run(lua_State *L, const char *text) {
  if (luaL_loadstring(L, text) == 0 && lua_pcall(L, 0, 0, 0) == 0) return;
  fail_msg("%s", lua_tostring(L, -1));
}

/* Two hosts on one thread share what is the process's, nothing else. */
static void side_by_side(void **state) {
  CAST_UNUSED(state);
  lua_State *a = host(), *b = host();
  run(a, "casting = require 'casting'\n"
         "assert(require 'casting' == casting)\n"
         "package.loaded.casting = nil\n"
         "assert(require 'casting'.channel)\n"
         "ch = casting.named('hosts', 8)\n"
         "t = casting.spawn(function() return ch:receive() end)");
  run(b, "casting = require 'casting' ch = casting.named('hosts', 8)\n"
         "ch:send('from b', {1})\n"
         "s = casting.session()\n"
         "s:spawn('(...):send(2)', ch):join()");
  run(a, "assert(t:await() == 'from b') assert(ch:receive() == 2)\n"
         "s = casting.session()\n"
         "waiting = s:spawn('return (...):receive()', ch)");
  lua_close(b); /* the other one goes on, and so does the channel */
  run(a, "ch:send 'last' assert(waiting:await() == 'last')");
  lua_close(a);
  a = host(); /* the runtime has stopped, and starts again */
  run(a, "assert(require 'casting'.session():spawn('return 1'):await() == 1)");
  lua_close(a);
}

/* The event of one host is not given to a socket of the other. */
static void numbers_are_not_taken(void **state) {
  CAST_UNUSED(state);
  lua_State *a = host(), *b = host();
  run(a, "fd = require('casting').fd()");
  lua_getglobal(a, "fd");
  lua_pushinteger(b, lua_tointeger(a, -1));
  lua_setglobal(b, "fd");
  run(b, "local casting = require 'casting'\n"
         "local s, why = casting.net.from_fd(fd)\n"
         "assert(s == nil and why == \"this descriptor is casting's own\")");
  run(a, "local casting = require 'casting'\n"
         "casting.sleep(0.001)\n"
         "assert(casting.net.from_fd(fd) == nil)");
  lua_close(b);
  lua_close(a);
}

/* A host need not have all libraries: in this one there is no require. */
static void few_libraries(void **state) {
  CAST_UNUSED(state);
  lua_State *L = luaL_newstate();
  CAST_ALWAYS(L != NULL);
#if LUA_VERSION_NUM >= 502
  luaL_requiref(L, "_G", luaopen_base, 1);
#else
  lua_pushcfunction(L, luaopen_base);
  lua_pushliteral(L, "");
  lua_call(L, 1, 0);
#endif
  lua_pushcfunction(L, luaopen_casting);
  lua_call(L, 0, 1);
  lua_setglobal(L, "casting");
  run(L, "assert(require == nil)\n"
         "local s = casting.session()\n"
         "n = s:spawn('return #require \"string\".rep(\"x\", 5)'):await()\n"
         "s:close()");
  lua_getglobal(L, "n");
  assert_int_equal(lua_tonumber(L, -1), 5);
  lua_close(L);
}

/* What a load that failed has left is garbage: it does not end casting when it
   is collected. */
static void loaded_at_last(void **state) {
  CAST_UNUSED(state);
  lua_State *L = host();
  uint64_t n = 0;
  do {
    cast_mem_fail_at(++n);
    run(L, "ok = pcall(require, 'casting')\n"
           "package.loaded.casting = nil");
    lua_getglobal(L, "ok");
  } while (lua_toboolean(L, -1) == 0 && n < 1000);
  cast_mem_fail_at(0);
  assert_true(n > 1 && n < 1000);
  run(L, "casting = require 'casting'\n"
         "collectgarbage() collectgarbage()\n"
         "assert(casting.session():spawn('return 1'):await() == 1)");
  lua_close(L);
}

static void *a_host(void *arg) {
  lua_State *L = host();
  lua_pushinteger(L, *(int *)arg);
  lua_setglobal(L, "me");
  run(L, "local casting = require 'casting'\n"
         "local mine = casting.named('host ' .. me)\n"
         "local other = casting.named('host ' .. 3 - me)\n"
         "local s = casting.session()\n"
         "local sum = s:spawn(function(mine)\n"
         "  local sum = 0\n"
         "  for _ = 1, 200 do sum = sum + mine:receive() end\n"
         "  return sum\n"
         "end, mine)\n"
         "for i = 1, 200 do other:send(i) end\n"
         "assert(sum:await() == 20100)");
  lua_close(L);
  return NULL;
}

static void on_threads(void **state) {
  CAST_UNUSED(state);
  pthread_t threads[2];
  int names[] = {1, 2};
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < 2; i++)
      CAST_ALWAYS(pthread_create(&threads[i], NULL, a_host, &names[i]) == 0);
    for (int i = 0; i < 2; i++)
      CAST_ALWAYS(pthread_join(threads[i], NULL) == 0);
  }
}

/* A host ends while a session of its is stuck in C for longer than the period
   of grace. When the session comes back, it leaves a tree whose root has
   ended. */
static void leave_behind(void) {
  char gate[] = "/tmp/casting-XXXXXX";
  int fd = mkstemp(gate);
  assert_true(fd >= 0);
  lua_State *L = host();
  lua_pushstring(L, gate);
  lua_setglobal(L, "gate");
  run(L, "casting = require 'casting' s = casting.session()\n"
         "local started = casting.channel()\n"
         "s:spawn(function(gate, started)\n"
         "  started:send(true)\n"
         "  os.execute('while test -e ' .. gate .. '; do sleep 0.01; done')\n"
         "end, gate, started)\n"
         "started:receive()");
  lua_getglobal(L, "s");
  casting_session *s = casting_session_check(L, -1);
  casting_session_ref(s);
  lua_close(L); /* after two seconds */
  assert_int_equal(casting_session_close(s, 0), CASTING_ETIMEOUT);
  assert_int_equal(close(fd), 0);
  assert_int_equal(unlink(gate), 0);
  assert_int_equal(casting_session_close(s, LONG), 0);
  casting_session_unref(s);
  L = host();
  run(L, "assert(require 'casting'.session():spawn('return 1'):await() == 1)");
  lua_close(L);
}

/* In a process of its own, since the runtime does not stop any more: its
   threads end with the process, which a tool that looks for what was lost at
   the end would tell. So it ends at once, and by this it is known to be well. */
static void left_behind(void **state) {
  CAST_UNUSED(state);
  int status = -1;
  (void)fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    leave_behind();
    (void)raise(SIGKILL);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test(side_by_side),
    cmocka_unit_test(numbers_are_not_taken),
    cmocka_unit_test(few_libraries),
    cmocka_unit_test(loaded_at_last),
    cmocka_unit_test(on_threads),
    cmocka_unit_test(left_behind),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
