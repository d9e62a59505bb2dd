/* epoll.c - tests of the readiness of descriptors, as os.h promises it.
   SPDX-License-Identifier: MIT

   Everything is tried twice: as it is, and in a child process whose kernel does
   not know epoll_pwait2 (before Linux 5.11; some sandboxes forbid it): a filter
   of system calls has it fail. */
#include "fixture.h"

#include "../../src/os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY UINT64_C(0x700000005)

/* A filter of system calls, as the kernel wants it (seccomp(2)): its headers
   are not there with every C library. */
typedef struct filter_step {
  uint16_t code;
  uint8_t if_true, if_false;
  uint32_t operand;
} filter_step;
typedef struct filter_program {
  unsigned short n;
  filter_step *steps;
} filter_program;
#define FILTER_MODE 2  /* SECCOMP_MODE_FILTER */
#define LOAD_WORD 0x20 /* of what is known of the call: 0 is its number */
#define JUMP_IF_EQUAL 0x15
#define RETURN 0x06
#define FAIL_WITH 0x00050000u
#define ALLOW 0x7fff0000u

static os_poller set;

static bool never(void *arg) {
  CAST_UNUSED(arg);
  return false;
}

/* What is told of `key` within a few milliseconds, in n events. */
static uint32_t told_of(uint64_t key, int *n) {
  os_ready ready[8];
  uint32_t what = 0;
  *n = os_poller_wait(&set, ready, 8, os_now() + 3 * MS, never, NULL);
  CAST_ALWAYS(*n >= 0);
  for (int i = 0; i < *n; i++)
    if (ready[i].key == key) what |= ready[i].what;
  return what;
}
static uint32_t told(uint64_t key) {
  int n;
  return told_of(key, &n);
}

static void put(int fd) {
  os_bytes byte = {"x", 1};
  CAST_ALWAYS(os_write(fd, &byte, 1, true) == 1);
}

/* Each change is told once, and what there is when it enters the set. */
static void tells_edges(void) {
  char into[4];
  int fd[2], n;
  CAST_ALWAYS(os_socket_pair(fd) == 0);
  put(fd[1]);
  CAST_ALWAYS(os_poller_add(&set, fd[0], KEY) == 0);
  CAST_ALWAYS(told(KEY) == (OS_READABLE | OS_WRITABLE));
  CAST_ALWAYS(told_of(KEY, &n) == 0 && n == 0);
  CAST_ALWAYS(os_read(fd[0], into, sizeof into) == 1);
  CAST_ALWAYS(os_read(fd[0], into, sizeof into) == OS_EAGAIN);
  put(fd[1]);
  CAST_ALWAYS(told(KEY) & OS_READABLE);
  put(fd[1]); /* more, while there is something: an edge of its own */
  CAST_ALWAYS(told(KEY) & OS_READABLE);
  CAST_ALWAYS(os_poller_add(&set, fd[0], KEY) == OS_EEXIST);
  os_close(fd[1]);
  CAST_ALWAYS((told(KEY) & OS_ENDED) != 0);
  os_poller_remove(&set, fd[0]);
  CAST_ALWAYS(os_poller_add(&set, fd[0], KEY + 1) == 0);
  CAST_ALWAYS((told(KEY + 1) & OS_ENDED) != 0);
  os_close(fd[0]); /* leaves the set by itself */
  CAST_ALWAYS(told_of(KEY + 1, &n) == 0 && n == 0);
}

/* Two ends of a TCP connection. */
static void connect_ends(int fd[2]) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a;
  struct sockaddr *to = (struct sockaddr *)(void *)&a;
  socklen_t size = sizeof a;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CAST_ALWAYS(bind(listener, to, size) == 0 && listen(listener, 1) == 0);
  CAST_ALWAYS(getsockname(listener, to, &size) == 0);
  fd[0] = socket(AF_INET, SOCK_STREAM, 0);
  CAST_ALWAYS(connect(fd[0], to, size) == 0);
  fd[1] = accept(listener, NULL, NULL);
  CAST_ALWAYS(fd[0] >= 0 && fd[1] >= 0);
  CAST_ALWAYS(os_nonblocking(fd[0], true) == 0);
  os_close(listener);
}

/* A read ends at the mark of urgent data, and no event tells of what is behind
   it: so such a socket is not taken for empty after a short read any more. */
static void tells_urgent_data(void) {
  uint32_t what = 0;
  char into[100];
  int fd[2], n = 1;
  connect_ends(fd);
  CAST_ALWAYS(os_is_plain(fd[0]));
  CAST_ALWAYS(os_poller_add(&set, fd[0], KEY) == 0);
  CAST_ALWAYS(told(KEY) == OS_WRITABLE);
  CAST_ALWAYS(send(fd[1], "abc", 3, 0) == 3);
  CAST_ALWAYS(send(fd[1], "X", 1, MSG_OOB) == 1);
  CAST_ALWAYS(send(fd[1], "def", 3, 0) == 3);
  while (n > 0) what |= told_of(KEY, &n);
  CAST_ALWAYS(what == (OS_READABLE | OS_WRITABLE | OS_ENDED));
  CAST_ALWAYS(os_read(fd[0], into, sizeof into) == 3);
  CAST_ALWAYS(os_read(fd[0], into, sizeof into) == 3);
  for (int i = 0; i < 2; i++) os_close(fd[i]);
  CAST_ALWAYS(os_socket_pair(fd) == 0 && !os_is_plain(fd[0]));
  for (int i = 0; i < 2; i++) os_close(fd[i]);
}

static void refuses(void) {
  char path[] = "/tmp/casting-XXXXXX";
  int fd = mkstemp(path);
  CAST_ALWAYS(fd >= 0 && unlink(path) == 0);
  CAST_ALWAYS(os_poller_add(&set, fd, KEY) == OS_EPERM);
  CAST_ALWAYS(os_poller_add(&set, set.fd, KEY) == OS_EPERM);
  os_close(fd);
  CAST_ALWAYS(os_poller_add(&set, fd, KEY) == OS_EBADF);
}

/* Never early, whatever fraction of a millisecond is left. */
static void keeps_deadlines(void) {
  os_ready ready[1];
  for (uint64_t ns = 100; ns < 3 * MS; ns = ns * 3 + 7) {
    for (int k = 0; k < 2; k++) {
      uint64_t until = os_now() + ns;
      CAST_ALWAYS(
        os_poller_wait(&set, ready, 1, until, k ? never : NULL, NULL) == 0);
      CAST_ALWAYS(os_now() >= until);
    }
  }
  CAST_ALWAYS(os_poller_wait(&set, ready, 1, 0, NULL, NULL) == 0);
}

static void *break_it(void *arg) {
  CAST_UNUSED(arg);
  os_poller_break(&set);
  return NULL;
}

static void breaks(void) {
  os_ready ready[2];
  pthread_t t;
  for (int i = 0; i < 200; i++) {
    CAST_ALWAYS(pthread_create(&t, NULL, break_it, NULL) == 0);
    CAST_ALWAYS(os_poller_wait(
                  &set, ready, 2, OS_FOREVER, i % 2 ? never : NULL, NULL) == 1);
    CAST_ALWAYS(ready[0].what == 0);
    CAST_ALWAYS(pthread_join(t, NULL) == 0);
  }
  os_poller_break(&set); /* before the wait */
  CAST_ALWAYS(os_poller_wait(&set, ready, 2, OS_FOREVER, NULL, NULL) == 1);
}

static volatile sig_atomic_t caught;
static void on_signal(int signal) {
  CAST_UNUSED(signal);
  caught = 1;
}
static bool is_caught(void *arg) {
  CAST_UNUSED(arg);
  return caught != 0;
}
static void *interrupt(void *arg) {
  CAST_ALWAYS(pthread_kill(*(pthread_t *)arg, SIGUSR1) == 0);
  return NULL;
}

/* A signal ends a wait with `stop`, also if it comes just before. */
static void is_interrupted(void) {
  struct sigaction action = {.sa_handler = on_signal};
  pthread_t self = pthread_self(), t;
  os_ready ready[1];
  CAST_ALWAYS(sigaction(SIGUSR1, &action, NULL) == 0);
  for (int i = 0; i < 200; i++) {
    uint64_t until = i % 2 ? OS_FOREVER : os_now() + PATIENCE_NS;
    int n;
    caught = 0;
    CAST_ALWAYS(pthread_create(&t, NULL, interrupt, &self) == 0);
    do n = os_poller_wait(&set, ready, 1, until, is_caught, NULL);
    while (n == 0);
    CAST_ALWAYS(n == OS_EINTR && caught);
    CAST_ALWAYS(pthread_join(t, NULL) == 0);
  }
}

static void tells_that_it_was_closed(void) {
  os_ready ready[1];
  os_poller p;
  CAST_ALWAYS(os_poller_init(&p) == 0);
  os_close(p.fd);
  CAST_ALWAYS(os_poller_wait(&p, ready, 1, 0, NULL, NULL) == OS_EBADF);
  CAST_ALWAYS(
    os_poller_wait(&p, ready, 1, OS_FOREVER, never, NULL) == OS_EBADF);
  p.fd = -1;
  os_poller_fini(&p);
}

static void keep_the_contract(void) {
  CAST_ALWAYS(os_poller_init(&set) == 0);
  tells_edges();
  tells_urgent_data();
  refuses();
  keeps_deadlines();
  breaks();
  is_interrupted();
  tells_that_it_was_closed();
  os_poller_fini(&set);
}

static void the_contract_is_kept(void **state) {
  CAST_UNUSED(state);
  keep_the_contract();
}

/* -- an old kernel -------------------------------------------------------- */

/* Has epoll_pwait2 fail from here on. False: there are no filters here. */
static bool forbid(int error) {
#ifdef SYS_epoll_pwait2
  filter_step steps[] = {
    {LOAD_WORD, 0, 0, 0},
    {JUMP_IF_EQUAL, 0, 1, SYS_epoll_pwait2},
    {RETURN, 0, 0, FAIL_WITH | (uint32_t)error},
    {RETURN, 0, 0, ALLOW},
  };
  filter_program program = {4, steps};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, FILTER_MODE, &program) == 0 &&
         syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 8) < 0 &&
         errno == error;
#else
  return error != 0; /* this C library's headers are older than the call */
#endif
}

static void it_is_kept_without_pwait2(void **state) {
  const int errors[] = {ENOSYS, EPERM};
  CAST_UNUSED(state);
  for (int i = 0; i < 2; i++) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      if (!forbid(errors[i])) _exit(77);
      keep_the_contract();
      _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
      print_message("no filters of system calls here\n");
      skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_contract_is_kept),
    cmocka_unit_test(it_is_kept_without_pwait2),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
