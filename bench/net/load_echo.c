/* load_echo.c - messages that come back, in a closed loop.
   SPDX-License-Identifier: MIT

   Each connection has one message under way: when the last byte of it has come
   back, the next one is sent. A message is a part of the pattern, another one
   each time, so that a byte that is lost, doubled, or another connection's is
   noticed. */
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
#define STALLED_NS 20000000000u /* a message that takes so long is lost */

typedef struct line {
  int fd;
  uint32_t turn;    /* how many messages have come back */
  size_t sent, got; /* bytes of the one under way */
  uint64_t since;   /* when it was sent */
  bool waits;       /* one is under way */
} line;

static line *lines;
static unsigned char *bytes;
static uint64_t nturns, nerrors, nall;
static bool ending; /* no new message is sent */

static const unsigned char *message(const line *c) {
  size_t i = (size_t)(c - lines);
  return load_pattern + (i * 7919u + c->turn * 104729u) % LOAD_PATTERN;
}

static void send_more(line *c) {
  ssize_t n;
  if (!c->waits || c->sent == load_given.size) return;
  n =
    send(c->fd, message(c) + c->sent, load_given.size - c->sent, MSG_NOSIGNAL);
  if (n > 0)
    c->sent += (size_t)n;
  else if (errno != EAGAIN)
    load_fail("send: %s", strerror(errno));
}

static void begin(line *c, uint64_t now) {
  c->sent = c->got = 0;
  c->since = now;
  c->waits = true;
  send_more(c);
}

static void receive(line *c) {
  while (c->waits) {
    size_t room = load_given.size - c->got;
    ssize_t n = recv(c->fd, bytes, room, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) load_fail("receive: %s", n == 0 ? "end" : strerror(errno));
    if (c->got + (size_t)n > c->sent ||
        memcmp(bytes, message(c) + c->got, (size_t)n) != 0)
      nerrors++;
    c->got += (size_t)n;
    if (c->got == load_given.size) {
      uint64_t now = load_now();
      load_note_time(now - c->since);
      nturns++;
      nall++;
      c->turn++;
      c->waits = false;
      if (!ending) begin(c, now);
      return;
    }
    if ((size_t)n < room) return; /* an event tells of more */
  }
}

static void serve(int set, uint64_t until) {
  struct epoll_event e[BATCH];
  while (load_now() < until) {
    int n = epoll_wait(set, e, BATCH, 50);
    if (n < 0 && errno != EINTR) load_fail("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
      line *c = e[i].data.ptr;
      send_more(c);
      receive(c);
    }
  }
}

/* Waits until nothing is under way. What has not come back then is lost. */
static void pause_all(int set) {
  uint64_t until = load_now() + STALLED_NS;
  uint64_t waiting = 1;
  ending = true;
  while (waiting > 0 && load_now() < until) {
    serve(set, load_now() + 20000000u);
    waiting = 0;
    for (int i = 0; i < load_given.connections; i++) waiting += lines[i].waits;
  }
  nerrors += waiting;
}

static void open_lines(int set) {
  lines = calloc((size_t)load_given.connections, sizeof *lines);
  bytes = malloc(load_given.size);
  if (lines == NULL || bytes == NULL) load_fail("no memory");
  for (int i = 0; i < load_given.connections; i++) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    line *c = &lines[i];
    c->fd = load_connect(i, true);
    e.data.ptr = c;
    if (epoll_ctl(set, EPOLL_CTL_ADD, c->fd, &e) != 0)
      load_fail("epoll: %s", strerror(errno));
  }
}

static void begin_all(void) {
  ending = false;
  for (int i = 0; i < load_given.connections; i++) begin(&lines[i], load_now());
}

void load_echo(void) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  uint64_t span = (uint64_t)(load_given.seconds * 1e9), start, cpu, own, rests;
  double calls = 0, turns, seconds;
  open_lines(set);
  begin_all();
  serve(set, load_now() + 50000000u + span / 4); /* until all is warm */
  if (load_given.traced) {
    pause_all(set); /* so that each message that is counted is traced */
    load_trace_start();
    begin_all();
  }
  load_forget_times();
  nturns = 0;
  start = load_now();
  cpu = load_server_cpu();
  own = load_own_cpu();
  rests = load_server_rests();
  serve(set, start + span);
  turns = nturns > 0 ? (double)nturns : 1;
  cpu = load_server_cpu() - cpu;
  own = load_own_cpu() - own;
  rests = load_server_rests() - rests;
  seconds = (double)(load_now() - start) / 1e9;
  pause_all(set);
  if (load_given.traced) calls = load_trace_stop() / (double)nturns;
  if (nturns == 0) load_fail("nothing has come back");
  (void)printf("echo\t%.1f\tround trips/s\tp50=%.0f\tp99=%.0f\terrors=%llu\t"
               "cpu=%.1f\trests=%.4f\tload=%.3f\tcalls=%.4f\tall=%llu\n",
    turns / seconds, load_percentile(0.5), load_percentile(0.99),
    (unsigned long long)nerrors, (double)cpu / turns, (double)rests / turns,
    (double)own / 1e9 / seconds, calls, (unsigned long long)nall);
}
