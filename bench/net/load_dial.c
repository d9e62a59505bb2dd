/* load_dial.c - a program that connects, as often as it can.
   SPDX-License-Identifier: MIT

   Each connection is reset as soon as a byte has come over it, so that none is
   left in TIME_WAIT. Without the byte most would be reset before the program
   has looked whether it is connected, and what is measured would be connections
   that fail. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 50000
#define PATIENCE_NS 20000000000u

static int listener;
static uint64_t ndone;

int load_dial_listen(void) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t size = sizeof a;
  struct linger l = {1, 0};
  int second = 1;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  /* Connections inherit what becomes of them when they are closed, and there is
     none to accept before its byte is there. */
  if (listener < 0 ||
      setsockopt(
        listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &second, sizeof second) != 0 ||
      setsockopt(listener, SOL_SOCKET, SO_LINGER, &l, sizeof l) != 0 ||
      bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
      listen(listener, 4096) != 0 ||
      getsockname(listener, (struct sockaddr *)&a, &size) != 0)
    load_fail("listen: %s", strerror(errno));
  return ntohs(a.sin_port);
}

static bool accept_all(void) {
  uint64_t before = ndone;
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
    (void)close(fd);
    ndone++;
  }
  if (errno != EAGAIN) load_fail("accept: %s", strerror(errno));
  return ndone > before;
}

/* It naps when there is nothing to accept: a program that wakes it for each
   connection would pay for that. */
static void serve(uint64_t until) {
  const struct timespec nap = {0, NAP_NS};
  static uint64_t last; /* when one came, or it began to wait for the first */
  uint64_t now = load_now();
  if (last == 0) last = now;
  for (; now < until; now = load_now()) {
    if (accept_all())
      last = now;
    else if (now - last > PATIENCE_NS)
      load_fail("the program does not connect");
    else
      (void)nanosleep(&nap, NULL);
  }
}

void load_dial(void) {
  uint64_t span = (uint64_t)(load_given.seconds * 1e9), start, cpu, own, rests;
  double calls = 0, done, seconds;
  do serve(load_now() + 50000000u + span / 4);
  while (ndone == 0);
  if (load_given.traced) load_trace_start();
  ndone = 0;
  start = load_now();
  cpu = load_server_cpu();
  own = load_own_cpu();
  rests = load_server_rests();
  serve(start + span);
  cpu = load_server_cpu() - cpu;
  own = load_own_cpu() - own;
  rests = load_server_rests() - rests;
  seconds = (double)(load_now() - start) / 1e9;
  if (load_given.traced) calls = load_trace_stop();
  if (ndone == 0) load_fail("nobody has connected");
  done = (double)ndone;
  (void)printf("dial\t%.1f\tconnections/s\tcpu=%.1f\trests=%.4f\tload=%.3f\t"
               "calls=%.4f\n",
    done / seconds, (double)cpu / done, (double)rests / done,
    (double)own / 1e9 / seconds, calls / done);
}
