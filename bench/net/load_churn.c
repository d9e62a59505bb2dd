/* load_churn.c - connections that live for one byte.
   SPDX-License-Identifier: MIT

   So many slots: each connects, sends a byte, waits for it, closes by a reset
   (no port is left in TIME_WAIT), and begins again. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256

typedef struct slot {
  int fd;
  bool sent;      /* its byte has been sent */
  uint64_t since; /* when it began to connect */
} slot;

static uint64_t ndone, nerrors, ndialed;

static void begin(int set, slot *s) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
  s->since = load_now();
  s->sent = false;
  s->fd = load_connect((int)(ndialed++ % 1000000u), false);
  e.data.ptr = s;
  if (epoll_ctl(set, EPOLL_CTL_ADD, s->fd, &e) != 0)
    load_fail("epoll: %s", strerror(errno));
}

static void end(int set, slot *s, bool well) {
  load_reset(s->fd);
  if (well) {
    ndone++;
    load_note_time(load_now() - s->since);
  } else {
    nerrors++;
  }
  begin(set, s);
}

static void go_on(int set, slot *s, uint32_t events) {
  unsigned char byte = load_pattern[s->since % LOAD_PATTERN], back;
  ssize_t n;
  if (!s->sent && events & EPOLLOUT) {
    n = send(s->fd, &byte, 1, MSG_NOSIGNAL);
    if (n != 1) {
      end(set, s, false);
      return;
    }
    s->sent = true;
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
    n = recv(s->fd, &back, 1, 0);
    if (n < 0 && errno == EAGAIN) return;
    end(set, s, n == 1 && back == byte);
  }
}

static void serve(int set, uint64_t until) {
  struct epoll_event e[BATCH];
  while (load_now() < until) {
    int n = epoll_wait(set, e, BATCH, 50);
    if (n < 0 && errno != EINTR) load_fail("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) go_on(set, e[i].data.ptr, e[i].events);
  }
}

void load_churn(void) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  uint64_t span = (uint64_t)(load_given.seconds * 1e9), start, cpu, own, rests;
  slot *slots = calloc((size_t)load_given.connections, sizeof *slots);
  double seconds, done, calls = 0;
  if (slots == NULL) load_fail("no memory");
  for (int i = 0; i < load_given.connections; i++) begin(set, &slots[i]);
  serve(set, load_now() + 50000000u + span / 4);
  if (load_given.traced) load_trace_start();
  load_forget_times();
  ndone = 0;
  start = load_now();
  cpu = load_server_cpu();
  own = load_own_cpu();
  rests = load_server_rests();
  serve(set, start + span);
  cpu = load_server_cpu() - cpu;
  own = load_own_cpu() - own;
  rests = load_server_rests() - rests;
  seconds = (double)(load_now() - start) / 1e9;
  if (load_given.traced) calls = load_trace_stop();
  if (ndone == 0) load_fail("no connection has ended well");
  done = (double)ndone;
  (void)printf("churn\t%.1f\tconnections/s\tp50=%.0f\tp99=%.0f\terrors=%llu\t"
               "cpu=%.1f\trests=%.4f\tload=%.3f\tcalls=%.4f\n",
    done / seconds, load_percentile(0.5), load_percentile(0.99),
    (unsigned long long)nerrors, (double)cpu / done, (double)rests / done,
    (double)own / 1e9 / seconds, calls / done);
}
