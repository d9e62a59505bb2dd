/* kqueue.c - readiness on systems with kqueue: a program of its own.
   SPDX-License-Identifier: MIT

   src/os has no port to these systems but for the poller and the sockets
   (kqueue.c, socket.c, address.c). This program has what they need of the rest,
   and tries each function of the contract (os.h). tools/test/ports.sh compiles
   and links it for macOS; on such a system it can be run: it says "works". */
#define _GNU_SOURCE /* to be tried on Linux, with epoll.c */
#include "../../src/os/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t os_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(bool yes, const char *what) {
  if (yes) return;
  (void)fprintf(stderr, "kqueue: not so: %s (%s)\n", what, strerror(errno));
  exit(1);
}
#define MUST(c) must((c), #c)

static bool never(void *arg) {
  (void)arg;
  return false;
}

/* What is told of `key` at once. */
static uint32_t told(os_poller *p, uint64_t key) {
  os_ready ready[8];
  uint32_t what = 0;
  int n = os_poller_wait(p, ready, 8, os_now() + 10000000u, never, NULL);
  for (int i = 0; i < n; i++)
    if (ready[i].key == key) what |= ready[i].what;
  return what;
}

static void pairs(os_poller *p) {
  const uint64_t key = UINT64_C(0x700000005);
  os_bytes byte = {"x", 1};
  char into[4];
  int fd[2];
  MUST(os_socket_pair(fd) == 0);
  MUST(os_poller_add(p, fd[0], key) == 0);
  MUST(told(p, key) & OS_WRITABLE);
  MUST(os_read(fd[0], into, sizeof into) == OS_EAGAIN);
  MUST(os_write(fd[1], &byte, 1, true) == 1);
  MUST(told(p, key) & OS_READABLE);
  MUST((told(p, key) & OS_READABLE) == 0); /* an edge is told once */
  MUST(os_read(fd[0], into, sizeof into) == 1);
  os_poller_arm(p, fd[0], key, OS_READABLE);
  MUST(os_write(fd[1], &byte, 1, true) == 1);
  MUST(told(p, key) & OS_READABLE);
  os_close(fd[1]);
  MUST((told(p, key) & (OS_READABLE | OS_ENDED)) == (OS_READABLE | OS_ENDED));
  os_poller_remove(p, fd[0]);
  os_close(fd[0]);
}

static void listeners(os_poller *p) {
  os_address at, peer;
  char host[OS_HOST_SIZE];
  uint16_t port;
  int fd = os_socket(OS_INET, false), c = os_socket(OS_INET, false), s;
  MUST(fd >= 0 && c >= 0 && os_address_parse(&at, "127.0.0.1", 0));
  MUST(os_bind(fd, &at) == 0 && os_listen(fd, 0) == 0);
  MUST(os_local_address(fd, &at) == 0);
  MUST(os_address_text(&at, host, &port) == 9 && port != 0);
  MUST(os_accept(fd, &peer) == OS_EAGAIN);
  MUST(os_poller_add(p, fd, 1) == 0);
  s = os_connect(c, &at);
  MUST(s == 0 || s == OS_EAGAIN);
  MUST(told(p, 1) & OS_READABLE);
  s = os_accept(fd, &peer);
  MUST(s >= 0 && os_socket_error(c) == 0);
  os_close(s);
  os_close(c);
  os_close(fd);
}

int main(void) {
  os_ready ready[1];
  os_poller p;
  uint64_t until;
  MUST(os_poller_init(&p) == 0);
  pairs(&p);
  listeners(&p);
  until = os_now() + 2000000u;
  MUST(os_poller_wait(&p, ready, 1, until, NULL, NULL) == 0);
  MUST(os_now() >= until);
  os_poller_break(&p);
  MUST(os_poller_wait(&p, ready, 1, OS_FOREVER, NULL, NULL) == 1);
  MUST(ready[0].what == 0);
  os_poller_forked(&p);
  os_poller_fini(&p);
  (void)puts("works");
  return 0;
}
