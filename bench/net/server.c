/* server.c - an echo server of bare epoll: the limit of what can be had.
   SPDX-License-Identifier: MIT

   One thread, edge-triggered, nothing but the calls: a read that brings less
   than there was room for is not followed by another one. What the kernel does
   not take at once is kept, and nothing is read from that connection until it
   has gone. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 256
#define ROOM 65536
#define FILES 65536

/* What a connection could not write yet. */
typedef struct rest {
  size_t size, gone;
  char bytes[];
} rest;

static rest *rests[FILES]; /* by the number of the connection */
static char bytes[ROOM];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void close_it(int fd) {
  free(rests[fd]);
  rests[fd] = NULL;
  (void)close(fd);
}

/* How many of the bytes have gone; -1: it was closed. */
static ssize_t send_some(int fd, const char *from, size_t size) {
  ssize_t n = send(fd, from, size, MSG_NOSIGNAL);
  if (n >= 0) return n;
  if (errno == EAGAIN) return 0;
  close_it(fd);
  return -1;
}

static bool keep(int fd, const char *from, size_t size) {
  rest *r = malloc(sizeof *r + size);
  if (r == NULL) return false;
  r->size = size;
  r->gone = 0;
  memcpy(r->bytes, from, size);
  rests[fd] = r;
  return true;
}

/* True: nothing is left over. */
static bool send_rest(int fd) {
  rest *r = rests[fd];
  ssize_t n;
  if (r == NULL) return true;
  n = send_some(fd, r->bytes + r->gone, r->size - r->gone);
  if (n < 0) return false;
  r->gone += (size_t)n;
  if (r->gone < r->size) return false;
  free(r);
  rests[fd] = NULL;
  return true;
}

static void serve(int fd) {
  ssize_t n = ROOM, gone;
  if (!send_rest(fd)) return;
  while (n == ROOM) {
    n = recv(fd, bytes, ROOM, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      close_it(fd);
      return;
    }
    gone = send_some(fd, bytes, (size_t)n);
    if (gone < 0) return;
    if (gone < n) {
      if (!keep(fd, bytes + gone, (size_t)(n - gone))) close_it(fd);
      return;
    }
  }
}

static void accept_all(int set, int listener) {
  for (;;) {
    struct epoll_event e = {
      .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    int yes = 1,
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (fd >= FILES) {
      (void)close(fd);
      continue;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    e.data.fd = fd;
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) != 0) die("epoll_ctl");
  }
}

static int make_listener(void) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t size = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
      listen(fd, 4096) != 0 ||
      getsockname(fd, (struct sockaddr *)&a, &size) != 0)
    die("listen");
  (void)printf("%d\n", ntohs(a.sin_port));
  (void)fflush(stdout);
  return fd;
}

int main(void) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLET}, events[BATCH];
  int listener = make_listener(), set = epoll_create1(EPOLL_CLOEXEC);
  e.data.fd = listener;
  if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, listener, &e) != 0)
    die("epoll_ctl");
  for (;;) {
    int n = epoll_wait(set, events, BATCH, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd == listener)
        accept_all(set, listener);
      else
        serve(events[i].data.fd);
    }
  }
}
