/* client.c - connections of bare epoll: the limit of what a client can have.
   SPDX-License-Identifier: MIT

   Its argument is a port. So many slots: each connects to it, sends a byte,
   reads what tells the end or a reset, closes, and begins again. One thread,
   edge-triggered. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE 32

static struct sockaddr_in to = {.sin_family = AF_INET};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void begin(int set) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
      yes = 1;
  if (fd < 0) die("socket");
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 &&
      errno != EINPROGRESS)
    die("connect");
  e.data.fd = fd;
  if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) != 0) die("epoll_ctl");
}

static void go_on(int set, const struct epoll_event *e) {
  char byte;
  if (!(e->events & (EPOLLIN | EPOLLERR | EPOLLHUP))) { /* it is connected */
    (void)send(e->data.fd, "x", 1, MSG_NOSIGNAL);
    return;
  }
  if (recv(e->data.fd, &byte, 1, 0) < 0 && errno == EAGAIN) return;
  (void)close(e->data.fd);
  begin(set);
}

int main(int argc, char **argv) {
  struct epoll_event events[AT_ONCE];
  int set = epoll_create1(EPOLL_CLOEXEC);
  if (argc != 2 || set < 0) die("client PORT");
  to.sin_port = htons((uint16_t)atoi(argv[1]));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < AT_ONCE; i++) begin(set);
  for (;;) {
    int n = epoll_wait(set, events, AT_ONCE, -1);
    for (int i = 0; i < n; i++) go_on(set, &events[i]);
  }
}
