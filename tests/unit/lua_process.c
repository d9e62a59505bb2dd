/* lua_process.c - programs that outlive the Lua state which has started them.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../include/casting.h"

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

/* Runs a chunk that returns a number. */
static int run(lua_State *L, const char *text) {
  int n;
  if (luaL_loadstring(L, text) != 0 || lua_pcall(L, 0, 1, 0) != 0)
    fail_msg("%s", lua_tostring(L, -1));
  n = (int)lua_tointeger(L, -1);
  lua_settop(L, 0);
  return n;
}

/* Starts cat, which ends when the test closes its end of the pipe. */
static int start(lua_State *L, int ends[2], const char *options) {
  char text[200];
  assert_int_equal(0, pipe(ends));
  (void)snprintf(text, sizeof text,
    "p = require('casting').process.spawn {'cat', stdin = %d, stdout = 'null'"
    "%s}\nreturn p.pid",
    ends[0], options);
  return run(L, text);
}

static bool is_reaped(int pid) {
  siginfo_t info;
  return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1 &&
         errno == ECHILD;
}

static void end(int pid, const int ends[2]) {
  siginfo_t info;
  close(ends[0]);
  close(ends[1]);
  assert_int_equal(0, waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
}

static void orphans_are_reaped(void **state) {
  int a[2], b[2], first, second;
  CAST_UNUSED(state);
  lua_State *L = host();
  first = start(L, a, "");
  second = start(L, b, ", group = true");
  lua_close(L);
  assert_false(is_reaped(first));
  end(first, a);
  end(second, b);
  L = host();
  assert_int_equal(
    0, run(L, "return select(2, require('casting').process.spawn "
              "{'true'}:wait())"));
  assert_true(is_reaped(first));
  assert_true(is_reaped(second));
  lua_close(L);
}

/* With the runtime, if it has ended by then. */
static void what_has_ended_is_reaped_at_the_end(void **state) {
  int a[2], pid;
  CAST_UNUSED(state);
  lua_State *L = host();
  pid = start(L, a, "");
  end(pid, a);
  lua_close(L);
  assert_true(is_reaped(pid));
}

/* Code of the program's that takes whatever child ends. */
static void others_reap(void **state) {
  int a[2], pid, status;
  CAST_UNUSED(state);
  lua_State *L = host();
  pid = start(L, a, "");
  close(a[0]);
  close(a[1]);
  assert_int_equal(pid, waitpid(pid, &status, 0));
  assert_int_equal(
    1, run(L, "local ok, why = p:kill()\n"
              "assert(not ok and why:find 'ended' or why:find 'process', why)\n"
              "local how, why = p:wait(100)\n"
              "assert(how == nil and why:find 'other code', why)\nreturn 1"));
  lua_close(L);
}

/* Each child of a fork has a pipe of signals of its own, also if the runtime
   has ended before: else one would take what the other is told. The task that
   sleeps is for ThreadSanitizer, which calls a handler when the thread that has
   got the signal makes its next call, and not while it sleeps in a futex. */
static void children_tell_themselves(void **state) {
  static const char text[] = "local casting = require 'casting'\n"
                             "local process = casting.process\n"
                             "local ch = process.signals 'USR1'\n"
                             "local t = casting.spawn(function()\n"
                             "  while true do casting.sleep(0.05) end\n"
                             "end)\n"
                             "for _ = 1, 20 do\n"
                             "  process.run {'sh', '-c', 'kill -USR1 $PPID'}\n"
                             "  if ch:receive(20) ~= 'USR1' then return 1 end\n"
                             "end\n"
                             "ch:close()\n"
                             "t:cancel()\n"
                             "return 0";
  pid_t child[2];
  CAST_UNUSED(state);
  lua_State *L = host();
  assert_int_equal(0, run(L, text));
  lua_close(L);
  for (int i = 0; i < 2; i++) {
    child[i] = fork();
    assert_true(child[i] >= 0);
    if (child[i] > 0) continue;
    L = host();
    i = run(L, text);
    lua_close(L);
    _exit(i);
  }
  for (int i = 0; i < 2; i++) {
    int status;
    assert_int_equal(child[i], waitpid(child[i], &status, 0));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(orphans_are_reaped),
    cmocka_unit_test(what_has_ended_is_reaped_at_the_end),
    cmocka_unit_test(others_reap),
    cmocka_unit_test(children_tell_themselves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
