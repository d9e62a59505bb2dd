/* load_idle.c - connections that do nothing, and what the server pays for them.
   SPDX-License-Identifier: MIT

   Each has had one byte echoed, so the server has accepted it and waits for
   more. The memory for one is the slope between two numbers of them, each
   looked at after the server has collected its garbage. Then it is left alone,
   and its system calls are counted. In the end all of them must still work. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 64
#define PATIENCE_MS 20000

static void nap(double seconds) {
  struct timespec t = {(time_t)seconds, 0};
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}

static bool receive(int fd, const char *text, size_t size) {
  char back[16];
  size_t got = 0;
  while (got < size) {
    struct pollfd p = {fd, POLLIN, 0};
    ssize_t n;
    if (poll(&p, 1, PATIENCE_MS) != 1) return false;
    n = recv(fd, back + got, size - got, 0);
    if (n <= 0) return false;
    got += (size_t)n;
  }
  return memcmp(back, text, size) == 0;
}

static void ask(const int *fds, int n, const char *text) {
  size_t size = strlen(text);
  for (int i = 0; i < n; i++)
    if (send(fds[i], text, size, MSG_NOSIGNAL) != (ssize_t)size)
      load_fail("send: %s", strerror(errno));
  for (int i = 0; i < n; i++)
    if (!receive(fds[i], text, size)) load_fail("an echo was lost");
}

static void open_until(int *fds, int from, int to) {
  for (int i = from; i < to;) {
    int n = to - i < AT_ONCE ? to - i : AT_ONCE;
    for (int k = 0; k < n; k++) fds[i + k] = load_connect(i + k, true);
    ask(fds + i, n, "x");
    i += n;
  }
}

static double memory(const int *fds) {
  ask(fds, 1, "collect");
  nap(0.3);
  return (double)load_server_memory();
}

void load_idle(void) {
  int first = load_given.connections, all = load_given.more, *fds;
  double low, high, calls = 0;
  uint64_t cpu, rests;
  if (all <= first) load_fail("--more: more than --connections");
  fds = calloc((size_t)all, sizeof *fds);
  if (fds == NULL) load_fail("no memory");
  open_until(fds, 0, first);
  low = memory(fds);
  open_until(fds, first, all);
  high = memory(fds);
  nap(0.7); /* what the last collection has set off has ended by then */
  if (load_given.traced) load_trace_each();
  nap(0.3); /* it has gone back to sleep after strace has stopped it */
  if (load_given.traced) load_trace_from_now();
  cpu = load_server_cpu();
  rests = load_server_rests();
  nap(load_given.seconds);
  cpu = load_server_cpu() - cpu;
  rests = load_server_rests() - rests;
  if (load_given.traced) calls = load_trace_stop();
  for (int i = 0; i < all; i += AT_ONCE)
    ask(fds + i, all - i < AT_ONCE ? all - i : AT_ONCE, "y");
  (void)printf("idle\t%.1f\tbytes\tlow=%.0f\thigh=%.0f\tcpu=%llu\tcalls=%.0f\t"
               "rests=%llu\n",
    (high - low) / (all - first), low, high, (unsigned long long)cpu, calls,
    (unsigned long long)rests);
}
