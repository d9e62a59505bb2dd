/* lua_fork.c - tests of casting.h in processes that fork.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../../include/casting.h"

#define LONG 100.0

static lua_State *host(void) {
  lua_State *L = luaL_newstate();
  CAST_ALWAYS(L != NULL);
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_casting);
  lua_setglobal(L, "open_casting");
  return L;
}

/* Runs a chunk; its error is what it returns, or NULL. */
static const char *run(lua_State *L, const char *text) {
  lua_settop(L, 0);
  if (luaL_loadstring(L, text) == 0 && lua_pcall(L, 0, 0, 0) == 0) return NULL;
  return lua_tostring(L, -1);
}

static bool refused(const char *error) {
  return error != NULL &&
         strstr(error, "casting was used before this process was forked");
}

static casting_session *session(void) {
  casting_session *s = NULL;
  CAST_ALWAYS(casting_session_new(NULL, &s) == 0);
  return s;
}

static casting_task *spawn(casting_session *s, const char *text) {
  casting_task *t = NULL;
  CAST_ALWAYS(casting_spawn_source(s, text, strlen(text), NULL, &t) == 0);
  return t;
}

/* Uses everything, and gives it back. */
static void use(void *arg) {
  casting_session *s;
  casting_task *t;
  lua_State *L = host();
  CAST_UNUSED(arg);
  CAST_ALWAYS(casting_start(NULL) == 0);
  s = session();
  t = spawn(s, "return 1");
  CAST_ALWAYS(casting_task_join(t, LONG, NULL) == 0);
  casting_task_unref(t);
  CAST_ALWAYS(casting_session_close(s, LONG) == 0);
  casting_session_unref(s);
  CAST_ALWAYS(run(L, "local casting = open_casting()\n"
                     "assert(casting.session():spawn'return 1':await() == 1)\n"
                     "casting.sleep(0.001)") == NULL);
  lua_close(L);
  CAST_ALWAYS(casting_stop(LONG) == 0);
}

/* -- before it is used ---------------------------------------------------- */

static void only_started(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(casting_start(NULL), 0);
  lua_State *L = host();
  assert_int_equal(casting_adopt(L, NULL), 0);
  casting_channel *c = casting_channel_new(1);
  casting_message *m = casting_message_new();
  assert_int_equal(casting_message_integer(m, 1), 0);
  assert_int_equal(casting_channel_send(c, m, 0), 0);
  assert_true(unit_child(use, NULL));
  use(NULL);
  casting_message_free(m);
  casting_channel_unref(c);
  lua_close(L);
  assert_int_equal(casting_stop(LONG), 0);
  /* All has stopped: as if it had never been. */
  assert_true(unit_child(use, NULL));
}

/* -- after ---------------------------------------------------------------- */

typedef struct everything {
  lua_State *L, *other;
  casting_session *s, *adopted;
  casting_task *t;
  casting_channel *c;
  casting_message *m;
  casting_waker *w;
  int fd;
} everything;

static int new_waker(lua_State *L) {
  lua_pushlightuserdata(L, casting_waker_new(L));
  return 1;
}

static void calls(everything *e) {
  casting_session *s = NULL;
  casting_channel *c;
  struct pollfd p = {e->fd, POLLIN, 0};
  int error = 0;
  CAST_ALWAYS(casting_start(NULL) == CASTING_EFORKED);
  CAST_ALWAYS(casting_session_new(NULL, &s) == CASTING_EFORKED && s == NULL);
  CAST_ALWAYS(casting_adopt(e->other, &s) == CASTING_EFORKED);
  CAST_ALWAYS(casting_session_wait(e->s, LONG) == CASTING_EFORKED);
  CAST_ALWAYS(casting_spawn_source(e->s, "", 0, NULL, NULL) == CASTING_EFORKED);
  CAST_ALWAYS(casting_task_join(e->t, LONG, NULL) == CASTING_EFORKED);
  CAST_ALWAYS(casting_channel_receive(e->c, e->m, LONG) == CASTING_EFORKED);
  casting_message_integer(e->m, 1);
  CAST_ALWAYS(casting_channel_send(e->c, e->m, LONG) == CASTING_EFORKED);
  c = casting_channel_named("n", 0, &error);
  CAST_ALWAYS(c == NULL && error == CASTING_EFORKED);
  CAST_ALWAYS(refused(run(e->L, "casting.session()")));
  CAST_ALWAYS(refused(run(e->other, "open_casting()")));
  CAST_ALWAYS(casting_fd(e->L) == e->fd && poll(&p, 1, 0) == 0);
}

static void closes(everything *e) {
  CAST_ALWAYS(casting_channel_close(e->c) == 0);
  (void)casting_channel_len(e->c);
  CAST_ALWAYS(casting_channel_closed(e->c) == 0);
  CAST_ALWAYS(casting_channel_capacity(e->c) == 2);
  casting_channel_unref(casting_channel_ref(e->c));
  casting_channel_unref(e->c);
  CAST_ALWAYS(casting_task_cancel(e->t, "reason") == 0);
  CAST_ALWAYS(casting_task_status(e->t) != NULL);
  casting_task_unref(casting_task_ref(e->t));
  casting_task_unref(e->t);
  CAST_ALWAYS(casting_session_name(e->s) != NULL);
  CAST_ALWAYS(casting_session_close(e->adopted, 0) == CASTING_EINVAL);
  CAST_ALWAYS(casting_session_close(e->s, LONG) == 0);
  casting_session_unref(casting_session_ref(e->s));
  casting_session_unref(e->s);
  casting_expect();
  casting_unexpect();
  casting_wake(e->w);
  casting_waker_unref(e->w);
  casting_message_free(e->m);
  lua_close(e->L);
  lua_close(e->other);
  CAST_ALWAYS(casting_stop(LONG) == 0);
  CAST_ALWAYS(casting_stop(LONG) == CASTING_EINVAL);
}

static void all_calls(void *arg) {
  calls(arg);
  closes(arg);
}

static void only_closes(void *arg) { closes(arg); }

/* For what the child of a child has. */
static void have_children(void *arg) {
  CAST_ALWAYS(unit_child(all_calls, arg));
  CAST_ALWAYS(unit_child(only_closes, arg));
  all_calls(arg);
}

static void after_use(void **state) {
  CAST_UNUSED(state);
  everything e;
  assert_int_equal(casting_start(NULL), 0);
  e.L = host();
  e.other = host();
  assert_int_equal(casting_adopt(e.L, &e.adopted), 0);
  assert_null(run(e.L, "casting = open_casting()\n"
                       "casting.spawn(function() casting.sleep(1000) end)\n"
                       "casting.yield()"));
  e.fd = casting_fd(e.L);
  e.s = session();
  e.t = spawn(e.s, "require'casting'.sleep(1000)");
  e.c = casting_channel_new(2);
  e.m = casting_message_new();
  lua_pushcfunction(e.L, new_waker);
  assert_int_equal(lua_pcall(e.L, 0, 1, 0), 0);
  e.w = casting_waker_ref(lua_touserdata(e.L, -1));
  assert_true(unit_child(all_calls, &e));
  assert_true(unit_child(only_closes, &e));
  assert_true(unit_child(have_children, &e));
  /* Nothing of that was noticed here. */
  casting_message_integer(e.m, 1);
  assert_int_equal(casting_channel_send(e.c, e.m, 0), 0);
  assert_int_equal(casting_channel_receive(e.c, e.m, 0), 0);
  casting_waker_unref(e.w);
  casting_message_free(e.m);
  casting_channel_unref(e.c);
  casting_task_unref(e.t);
  casting_session_unref(e.s);
  lua_close(e.L);
  lua_close(e.other);
  assert_int_equal(casting_stop(LONG), 0);
}

/* -- while other threads are at it ---------------------------------------- */

static _Atomic bool stop;

static void *pass_messages(void *arg) {
  casting_message *m = casting_message_new();
  while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
    casting_message_integer(m, 1);
    CAST_ALWAYS(casting_channel_send(arg, m, LONG) == 0);
    CAST_ALWAYS(casting_channel_receive(arg, m, LONG) == 0);
    casting_message_clear(m);
  }
  casting_message_free(m);
  return NULL;
}

static void leave_all(void *arg) {
  casting_message *m = casting_message_new();
  casting_message_integer(m, 1);
  CAST_ALWAYS(casting_channel_send(arg, m, LONG) == CASTING_EFORKED);
  CAST_ALWAYS(casting_channel_close(arg) == 0);
  (void)casting_channel_len(arg);
  casting_message_free(m);
  casting_channel_unref(arg);
  CAST_ALWAYS(casting_stop(LONG) == (arg == NULL ? 0 : CASTING_EINVAL));
#if !defined(__SANITIZE_ADDRESS__) /* it would miss what lay on other stacks */
  exit(0);                         /* with all that is done then */
#endif
}

/* No thread is casting's. */
static void threads_of_the_program(void **state) {
  CAST_UNUSED(state);
  pthread_t threads[2];
  casting_channel *c = casting_channel_new(CASTING_UNBOUNDED);
  lua_State *L = host();
  assert_int_equal(casting_adopt(L, NULL), 0);
  atomic_store(&stop, false);
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, pass_messages, c), 0);
  while (casting_channel_len(c) == 0) {}
  for (int i = 0; i < 100; i++) assert_true(unit_child(leave_all, c));
  atomic_store(&stop, true);
  for (int i = 0; i < 2; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  casting_channel_unref(c);
  lua_close(L);
}

static int forking_init(lua_State *L, void *ud) {
  int status = -1;
  pid_t child;
  CAST_UNUSED(L);
  child = fork();
  if (child == 0) {
    test_forked();
    return 0;
  }
  CAST_ALWAYS(child > 0 && waitpid(child, &status, 0) == child);
  *(int *)ud = status;
  return 0;
}

/* The child goes on here. */
static void in_an_init(void **state) {
  CAST_UNUSED(state);
  pid_t me = getpid();
  int status = -1;
  casting_session *s = NULL;
  casting_session_options o;
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.init = forking_init;
  o.init_ud = &status;
  assert_int_equal(casting_start(NULL), 0);
  int rc = casting_session_new(&o, &s);
  if (getpid() != me)
    _exit(rc == CASTING_EFORKED && casting_stop(LONG) == 0 ? 9 : 1);
  assert_int_equal(rc, 0);
  assert_int_equal(WEXITSTATUS(status), 9);
  casting_session_unref(s);
  assert_int_equal(casting_stop(LONG), 0);
}

/* -- programs of C modules ------------------------------------------------ */

/* Starts the shell; returns the signal that has ended it. */
static int start(lua_State *L) {
  char sh[] = "sh", c[] = "-c", command[] = "kill -s TERM $$";
  char *argv[] = {sh, c, command, NULL};
  posix_spawnattr_t attributes;
  sigset_t mask;
  pid_t pid;
  int status = 0;
  casting_sigmask(L, &mask);
  CAST_ALWAYS(posix_spawnattr_init(&attributes) == 0);
  CAST_ALWAYS(posix_spawnattr_setsigmask(&attributes, &mask) == 0);
  CAST_ALWAYS(
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) == 0);
  CAST_ALWAYS(posix_spawnp(&pid, sh, NULL, &attributes, argv, environ) == 0);
  CAST_ALWAYS(waitpid(pid, &status, 0) == pid);
  (void)posix_spawnattr_destroy(&attributes);
  lua_pushinteger(L, WIFSIGNALED(status) ? WTERMSIG(status) : -1);
  return 1;
}

static int give_start(lua_State *L, void *ud) {
  CAST_UNUSED(ud);
  lua_pushcfunction(L, start);
  lua_setglobal(L, "start");
  return 0;
}

static void programs_of_modules(void **state) {
  CAST_UNUSED(state);
  casting_session *s = NULL;
  casting_session_options o;
  casting_value v;
  lua_State *L = host();
  sigset_t mask, now;
  (void)give_start(L, NULL);
  assert_null(run(L, "assert(start() == 15)")); /* does not know casting */
  assert_int_equal(casting_adopt(L, NULL), 0);
  assert_null(run(L, "assert(start() == 15)"));
  assert_int_equal(sigemptyset(&mask), 0);
  assert_int_equal(sigaddset(&mask, SIGUSR2), 0);
  assert_int_equal(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
  casting_sigmask(L, &now);
  assert_int_equal(sigismember(&now, SIGUSR2), 1);
  assert_int_equal(sigismember(&now, SIGTERM), 0);
  assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &mask, NULL), 0);
  memset(&o, 0, sizeof o);
  o.size = sizeof o;
  o.init = give_start;
  assert_int_equal(casting_start(NULL), 0);
  assert_int_equal(casting_session_new(&o, &s), 0);
  casting_task *t = spawn(s, "return start()");
  casting_message *m = casting_message_new();
  assert_int_equal(casting_task_join(t, LONG, m), 0);
  assert_int_equal(casting_message_read(m, &v), 1);
  assert_int_equal(v.as.integer, SIGTERM);
  casting_message_free(m);
  casting_task_unref(t);
  casting_session_unref(s);
  lua_close(L);
  assert_int_equal(casting_stop(LONG), 0);
}

int main(void) {
  const struct CMUnitTest list[] = {
    cmocka_unit_test(only_started),
    cmocka_unit_test(after_use),
    cmocka_unit_test(threads_of_the_program),
    cmocka_unit_test(in_an_init),
    cmocka_unit_test(programs_of_modules),
  };
  return cmocka_run_group_tests(list, NULL, NULL);
}
