/* os_process.c - tests of the contract about forks and other programs.
   SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/os/os.h"

/* -- forks */

static char told[64]; /* b: before, p: parent, c: child */

static void before(void) { strcat(told, "b"); }
static void in_parent(void) { strcat(told, "p"); }
static void in_child(void) { strcat(told, "c"); }

static void child_was_told(void *arg) {
  CAST_UNUSED(arg);
  CAST_ALWAYS(strcmp(told, "bc") == 0);
}

static void forks_are_told(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(os_fork_install(before, in_parent, in_child), 0);
  assert_true(unit_child(child_was_told, NULL));
  assert_string_equal(told, "bp");
  os_signals s;
  os_signals_get(&s);
  assert_int_equal(os_system("true", &s), 0); /* is none */
  assert_string_equal(told, "bp");
}

static os_event event;

static bool readable(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

static void renew(void *arg) {
  int fd = event.fd;
  struct rlimit none;
  CAST_ALWAYS(getrlimit(RLIMIT_NOFILE, &none) == 0);
  none.rlim_cur = (rlim_t)fd + 1;
  if (arg != NULL) CAST_ALWAYS(setrlimit(RLIMIT_NOFILE, &none) == 0);
  CAST_ALWAYS(readable(fd));
  CAST_ALWAYS(os_event_renew(&event) == 0);
  CAST_ALWAYS(event.fd == fd && !readable(fd));
  CAST_ALWAYS((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  CAST_ALWAYS(os_event_wait(&event, 1, NULL, NULL) == OS_ETIMEOUT);
  os_event_set(&event);
  CAST_ALWAYS(readable(fd));
  os_event_clear(&event);
  CAST_ALWAYS(!readable(fd));
  os_event_fini(&event);
}

static void events_are_renewed(void **state) {
  CAST_UNUSED(state);
  assert_int_equal(os_event_init(&event), 0);
  os_event_set(&event);
  assert_true(unit_child(renew, NULL));
  assert_true(unit_child(renew, &event)); /* no descriptor is left */
  assert_true(readable(event.fd));
  os_event_clear(&event); /* nobody has taken the token */
  assert_false(readable(event.fd));
  os_event_fini(&event);
}

/* -- signals */

static void set(int number, bool blocked, bool ignored) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  CAST_ALWAYS(
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &one, NULL) == 0);
  CAST_ALWAYS(signal(number, ignored ? SIG_IGN : SIG_DFL) != SIG_ERR);
}

static bool blocked(int number) {
  sigset_t now;
  CAST_ALWAYS(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0);
  return sigismember(&now, number) == 1;
}

static void signals_are_told(void **state) {
  CAST_UNUSED(state);
  os_signals a, b;
  os_signals_get(&a);
  os_signals_get(&b);
  assert_memory_equal(&a, &b, sizeof a);
  assert_false(a.no_interrupt || a.no_quit);
  set(SIGUSR1, true, false);
  os_signals_get(&b);
  assert_true(memcmp(&a, &b, sizeof a) != 0);
  set(SIGUSR1, false, false);
  set(SIGQUIT, false, true);
  os_signals_get(&b);
  assert_true(b.no_quit && !b.no_interrupt);
  set(SIGQUIT, false, false);
  os_signals_get(&b);
  assert_memory_equal(&a, &b, sizeof a);
}

typedef struct forking {
  os_signals signals;
  bool changed; /* the thread's mask */
} forking;

static void adopt(void *arg) {
  forking *f = arg;
  os_signals_adopt(&f->signals);
  CAST_ALWAYS(blocked(SIGTERM) == f->changed);
  CAST_ALWAYS(f->changed || blocked(SIGUSR1));
  CAST_ALWAYS(signal(SIGINT, SIG_DFL) == (f->changed ? SIG_IGN : SIG_DFL));
  CAST_ALWAYS(signal(SIGQUIT, SIG_DFL) == SIG_IGN);
}

static void fork_main(void *arg) {
  forking *f = arg;
  if (f->changed) set(SIGSEGV, true, false);
  CAST_ALWAYS(blocked(SIGTERM));
  CAST_ALWAYS(unit_child(adopt, f));
}

static void children_adopt_signals(void **state) {
  CAST_UNUSED(state);
  if (getenv("CASTING_EMULATED") != NULL) skip(); /* it blocks its own */
  for (int i = 0; i < 2; i++) {
    forking f = {.changed = i == 1};
    os_thread t;
    set(SIGUSR1, true, false);
    set(SIGQUIT, false, true);
    os_signals_get(&f.signals);
    set(SIGINT, false, true); /* as while a program is waited for */
    assert_int_equal(os_thread_start(&t, fork_main, &f, "os"), 0);
    os_thread_join(&t);
    set(SIGINT, false, false);
    set(SIGQUIT, false, false);
    set(SIGUSR1, false, false);
  }
}

/* -- programs */

static os_signals mine;

static void start_programs(void *arg) {
  char line[200];
  intptr_t program;
  FILE *f;
  CAST_UNUSED(arg);
  CAST_ALWAYS(blocked(SIGTERM));
  for (int number = 1; number < 32; number++) {
    char command[64];
    if (number == SIGSTOP || number == SIGTSTP || number == SIGTTIN ||
        number == SIGTTOU || number == SIGCHLD || number == SIGCONT ||
        number == SIGURG || number == SIGWINCH)
      continue;
    (void)snprintf(command, sizeof command, "ulimit -c 0; kill -%d $$", number);
    int status = os_system(command, &mine);
    CAST_ALWAYS(WIFSIGNALED(status) && WTERMSIG(status) == number);
  }
  f = os_popen("exec cat /proc/self/status", "r", &mine, &program);
  CAST_ALWAYS(f != NULL);
  bool seen = false;
  while (fgets(line, sizeof line, f) != NULL)
    if (strncmp(line, "SigBlk:", 7) == 0)
      seen = strcmp(line, "SigBlk:\t0000000000000000\n") == 0;
  CAST_ALWAYS(seen && os_pclose(f, program) == 0);
}

static void programs_get_signals(void **state) {
  CAST_UNUSED(state);
  os_thread t;
  os_signals_get(&mine);
  set(SIGINT, false, true);
  set(SIGQUIT, false, true);
  assert_int_equal(os_thread_start(&t, start_programs, NULL, "os"), 0);
  os_thread_join(&t);
  set(SIGINT, false, false);
  set(SIGQUIT, false, false);
}

static void system_has_a_status(void **state) {
  CAST_UNUSED(state);
  os_signals s;
  os_signals_get(&s);
  assert_true(os_system(NULL, &s) != 0);
  errno = EDOM;
  assert_int_equal(os_system("true", &s), 0);
  assert_int_equal(errno, 0);
  assert_int_equal(WEXITSTATUS(os_system("exit 7", &s)), 7);
  assert_int_equal(WEXITSTATUS(os_system("-no-option 2>/dev/null", &s)), 127);
  /* Somebody else has taken its status. */
  (void)signal(SIGCHLD, SIG_IGN);
  assert_int_equal(os_system("true", &s), -1);
  assert_int_equal(errno, ECHILD);
  (void)signal(SIGCHLD, SIG_DFL);
}

static void pipes(void *arg) {
  char text[32] = "";
  intptr_t program;
  os_signals s;
  FILE *f;
  CAST_UNUSED(arg);
  os_signals_get(&s);
  f = os_popen("echo hello; exit 3", "r", &s, &program);
  CAST_ALWAYS(f != NULL && fileno(f) > STDERR_FILENO);
  CAST_ALWAYS((fcntl(fileno(f), F_GETFD) & FD_CLOEXEC) != 0);
  CAST_ALWAYS(fgets(text, sizeof text, f) != NULL);
  CAST_ALWAYS(strcmp(text, "hello\n") == 0);
  CAST_ALWAYS(WEXITSTATUS(os_pclose(f, program)) == 3 && errno == 0);
  f = os_popen("read x; test \"$x\" = text", "we", &s, &program);
  CAST_ALWAYS(f != NULL && fputs("text\n", f) >= 0);
  CAST_ALWAYS(os_pclose(f, program) == 0);
}

static void without_streams(void *arg) {
  (void)close(0);
  (void)close(1);
  (void)close(2);
  pipes(arg);
}

static void pipes_are_files(void **state) {
  CAST_UNUSED(state);
  assert_true(unit_child(pipes, NULL));
  assert_true(unit_child(without_streams, NULL));
}

static void pipes_fail(void **state) {
  CAST_UNUSED(state);
  static const char *const bad[] = {"", "x", "rw", "rr", "r+", "rb", "e"};
  struct rlimit old, none;
  intptr_t program;
  os_signals s;
  os_signals_get(&s);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    errno = 0;
    assert_null(os_popen("true", bad[i], &s, &program));
    assert_int_equal(errno, EINVAL);
  }
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
  none = old;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  FILE *f = os_popen("true", "r", &s, &program);
  int error = errno;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
  assert_null(f);
  assert_int_equal(error, EMFILE);
}

/* What is lost in a pipe that nobody reads is told. */
static void writes_that_are_lost(void **state) {
  CAST_UNUSED(state);
  intptr_t program;
  os_signals s;
  os_signals_get(&s);
  (void)signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < 2; i++) {
    FILE *f = os_popen(
      i == 0 ? "exec <&-; exit 0" : "exec <&-; exit 4", "w", &s, &program);
    assert_non_null(f);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)program, &info, WEXITED | WNOWAIT), 0);
    assert_true(fputs("lost", f) >= 0);
    int status = os_pclose(f, program);
    if (i == 0) {
      assert_int_equal(status, -1);
      assert_int_equal(errno, EPIPE);
    } else {
      assert_int_equal(WEXITSTATUS(status), 4);
      assert_int_equal(errno, 0);
    }
  }
  (void)signal(SIGPIPE, SIG_DFL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(forks_are_told),
    cmocka_unit_test(events_are_renewed),
    cmocka_unit_test(signals_are_told),
    cmocka_unit_test(children_adopt_signals),
    cmocka_unit_test(programs_get_signals),
    cmocka_unit_test(system_has_a_status),
    cmocka_unit_test(pipes_are_files),
    cmocka_unit_test(pipes_fail),
    cmocka_unit_test(writes_that_are_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
