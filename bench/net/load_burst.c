/* load_burst.c - connections that the server finds waiting for it.
   SPDX-License-Identifier: MIT

   The server is stopped, so many connections are made, each with its byte sent,
   and the server goes on. The time until the last byte has come back is its
   own, for nobody has to make a connection meanwhile. Then it is stopped again,
   and all of them are reset: it learns of that together with the next ones. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256
#define NAP_NS 50000
#define PATIENCE_NS 20000000000u /* a byte that takes so long is lost */

static int *fds;
static uint64_t ndone, nerrors;
/* Nanoseconds in which the server had something to do, and this process's
   processor time in them. */
static uint64_t ran, own;

static unsigned char byte_of(int i) {
  return load_pattern[(ndone + (uint64_t)i) % LOAD_PATTERN];
}

static void open_all(int set) {
  for (int i = 0; i < load_given.connections; i++) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = i};
    unsigned char byte = byte_of(i);
    fds[i] = load_connect(i, true);
    if (send(fds[i], &byte, 1, MSG_NOSIGNAL) != 1)
      load_fail("send: %s", strerror(errno));
    if (epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &e) != 0)
      load_fail("epoll: %s", strerror(errno));
  }
}

/* True: its byte has come back. */
static bool receive(int i) {
  unsigned char back;
  ssize_t n = recv(fds[i], &back, 1, 0);
  if (n < 0 && errno == EAGAIN) return false;
  if (n != 1) load_fail("receive: %s", n == 0 ? "end" : strerror(errno));
  if (back != byte_of(i)) nerrors++;
  return true;
}

/* It naps between two looks: a server that wakes it for each byte would pay for
   that more than for the connection. */
static void await_all(int set, uint64_t since) {
  const struct timespec nap = {0, NAP_NS};
  struct epoll_event e[BATCH];
  int waiting = load_given.connections;
  while (waiting > 0) {
    int n = epoll_wait(set, e, BATCH, 0);
    uint64_t now = load_now();
    if (n < 0 && errno != EINTR) load_fail("epoll: %s", strerror(errno));
    if (n == 0) (void)nanosleep(&nap, NULL);
    if (n <= 0 && now - since > PATIENCE_NS) load_fail("an echo was lost");
    for (int i = 0; i < n; i++)
      if (receive(e[i].data.fd)) {
        waiting--;
        load_note_time(now - since);
      }
  }
}

/* The server is stopped before and after it. */
static void burst(int set) {
  uint64_t start, cpu;
  open_all(set);
  cpu = load_own_cpu();
  start = load_now();
  load_server_go_on();
  await_all(set, start);
  ran += load_now() - start;
  own += load_own_cpu() - cpu;
  load_server_halt();
  for (int i = 0; i < load_given.connections; i++) load_reset(fds[i]);
  ndone += (uint64_t)load_given.connections;
}

static void serve(int set, uint64_t until) {
  do burst(set);
  while (load_now() < until);
}

void load_burst(void) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  uint64_t span = (uint64_t)(load_given.seconds * 1e9), cpu, rests;
  double calls = 0, done;
  fds = calloc((size_t)load_given.connections, sizeof *fds);
  if (fds == NULL) load_fail("no memory");
  load_server_halt();
  serve(set, load_now() + 50000000u + span / 4);
  if (load_given.traced) load_trace_start();
  load_forget_times();
  ndone = ran = own = 0;
  cpu = load_server_cpu();
  rests = load_server_rests();
  serve(set, load_now() + span);
  cpu = load_server_cpu() - cpu;
  rests = load_server_rests() - rests;
  load_server_go_on();
  if (load_given.traced) calls = load_trace_stop();
  done = (double)ndone;
  (void)printf("burst\t%.1f\tconnections/s\tp50=%.0f\tp99=%.0f\terrors=%llu\t"
               "cpu=%.1f\trests=%.4f\tload=%.3f\tcalls=%.4f\n",
    done * 1e9 / (double)ran, load_percentile(0.5), load_percentile(0.99),
    (unsigned long long)nerrors, (double)cpu / done, (double)rests / done,
    (double)own / (double)ran, calls / done);
}
