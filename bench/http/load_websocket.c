/* load_websocket.c - websockets of a server that echoes.
   SPDX-License-Identifier: MIT

   A message is a text of 64 bytes, so a frame always has the same bytes: the
   client's are masked, the server's are not (RFC 6455, 5.2). */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define TEXT 64u
#define FRAME (2 + TEXT) /* of the server */
#define RAMP 0.2         /* seconds before the measured ones */
#define PATIENCE_MS 5000 /* until a message comes back */
#define EVENTS_MOST 64

typedef struct peer {
  int fd;
  size_t got;
  unsigned char back[FRAME];
} peer;

static unsigned char frame[FRAME + 4], echo[FRAME];
static double ndone;

static void make_frames(void) {
  static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  frame[0] = echo[0] = 0x81; /* a text, and all of it */
  frame[1] = 0x80 | TEXT;
  echo[1] = TEXT;
  memcpy(frame + 2, mask, 4);
  for (unsigned i = 0; i < TEXT; i++) {
    echo[2 + i] = (unsigned char)('a' + i % 26);
    frame[6 + i] = echo[2 + i] ^ mask[i % 4];
  }
}

/* The key and what it is answered with are those of RFC 6455, 1.3. */
static void shake_hands(int fd) {
  char head[4096], request[512];
  int n = snprintf(request, sizeof request,
    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n",
    load_path, load_port);
  load_send(fd, request, (size_t)n);
  load_read_head(fd, head, sizeof head);
  if (strncmp(head, "HTTP/1.1 101 ", 13) != 0 ||
      strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL)
    load_fail("no websocket: %.*s", (int)strcspn(head, "\r"), head);
}

static void begin(peer *p, int poller) {
  struct epoll_event e = {EPOLLIN, {.ptr = p}};
  p->fd = load_dial_server();
  if (p->fd < 0) load_fail("the server has stopped listening");
  shake_hands(p->fd);
  (void)fcntl(p->fd, F_SETFL, O_NONBLOCK);
  if (epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &e) != 0)
    load_fail("epoll_ctl: %s", strerror(errno));
  load_send(p->fd, frame, sizeof frame);
}

static void go_on(peer *p) {
  ssize_t n = recv(p->fd, p->back + p->got, FRAME - p->got, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) load_fail("the server has ended a websocket");
  p->got += (size_t)n;
  if (p->got < FRAME) return;
  if (memcmp(p->back, echo, FRAME) != 0) load_fail("another message came back");
  p->got = 0;
  ndone++;
  load_send(p->fd, frame, sizeof frame);
}

static void go_on_for(int poller, double seconds) {
  uint64_t until = load_now() + (uint64_t)(seconds * 1e9);
  struct epoll_event events[EVENTS_MOST];
  do {
    int n = epoll_wait(poller, events, EVENTS_MOST, PATIENCE_MS);
    if (n <= 0) load_fail("nothing comes back");
    for (int i = 0; i < n; i++) go_on(events[i].data.ptr);
  } while (load_now() < until);
}

void load_websocket(void) {
  int n = load_given.connections, poller = epoll_create1(EPOLL_CLOEXEC);
  peer *peers = calloc((size_t)n, sizeof *peers);
  double cpu, own, elapsed;
  if (poller < 0 || peers == NULL) load_fail("no memory");
  make_frames();
  for (int i = 0; i < n; i++) begin(&peers[i], poller);
  go_on_for(poller, RAMP);
  ndone = 0;
  cpu = (double)load_server_cpu();
  own = (double)load_own_cpu();
  elapsed = (double)load_now();
  go_on_for(poller, load_given.seconds);
  cpu = (double)load_server_cpu() - cpu;
  own = (double)load_own_cpu() - own;
  elapsed = (double)load_now() - elapsed;
  (void)printf("websocket\t%.1f\tmessages/s\tcpu=%.1f\tbusy=%.3f\tload=%.3f\n",
    ndone / elapsed * 1e9, cpu / ndone, cpu / elapsed, own / elapsed);
  free(peers);
}
