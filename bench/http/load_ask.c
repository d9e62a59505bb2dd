/* load_ask.c - requests over connections that block.
   SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FIRST 200       /* idle: connections that do not count */
#define BODY_MOST 65536 /* bytes of a body */
#define HEAD_MOST 4096
#define PATIENCE 20 /* seconds until a server answers */

/* -- connections ---------------------------------------------------------- */

int load_dial_server(void) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  struct timeval most = {PATIENCE, 0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd < 0) load_fail("socket: %s", strerror(errno));
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  to.sin_port = htons((uint16_t)load_port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  if (errno != ECONNREFUSED) load_fail("connect: %s", strerror(errno));
  (void)close(fd);
  return -1;
}

void load_send(int fd, const void *from, size_t size) {
  if (send(fd, from, size, MSG_NOSIGNAL) != (ssize_t)size)
    load_fail("send: %s", strerror(errno));
}

void load_read(int fd, void *to, size_t size) {
  size_t got = 0;
  while (got < size) {
    ssize_t n = recv(fd, (char *)to + got, size - got, 0);
    if (n == 0) load_fail("the server has closed a connection");
    if (n < 0) load_fail("recv: %s", strerror(errno));
    got += (size_t)n;
  }
}

void load_read_head(int fd, char *head, size_t room) {
  size_t n = 0;
  while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0) {
    if (n + 1 == room) load_fail("the head of a response is too long");
    load_read(fd, head + n, 1);
    n++;
  }
  head[n] = '\0';
}

/* -- requests ------------------------------------------------------------- */

static char wanted[BODY_MOST];
static size_t nwanted;

static void read_wanted(void) {
  FILE *f;
  if (load_like == NULL) {
    nwanted = (size_t)snprintf(wanted, sizeof wanted, "Hello, World!");
    return;
  }
  f = fopen(load_like, "rb");
  if (f == NULL) load_fail("%s: %s", load_like, strerror(errno));
  nwanted = fread(wanted, 1, sizeof wanted, f);
  (void)fclose(f);
}

static size_t length_of(const char *head) {
  const char *line = head;
  while ((line = strstr(line, "\r\n")) != NULL) {
    line += 2;
    if (strncasecmp(line, "content-length:", 15) == 0)
      return (size_t)strtoul(line + 15, NULL, 10);
  }
  load_fail("a response without Content-Length");
}

static void ask(int fd, const char *path) {
  char head[HEAD_MOST], body[BODY_MOST], request[512];
  int n = snprintf(request, sizeof request,
    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, load_port);
  load_send(fd, request, (size_t)n);
  load_read_head(fd, head, sizeof head);
  if (strncmp(head, "HTTP/1.1 200 ", 13) != 0)
    load_fail("answered with: %.*s", (int)strcspn(head, "\r"), head);
  if (length_of(head) != nwanted) load_fail("a body of another length");
  load_read(fd, body, nwanted);
  if (memcmp(body, wanted, nwanted) != 0) load_fail("another body");
}

static int open_connection(void) {
  int fd = load_dial_server();
  if (fd < 0) load_fail("the server has stopped listening");
  return fd;
}

void load_ask(void) {
  double began, cpu;
  int fd;
  read_wanted();
  fd = open_connection();
  cpu = (double)load_server_cpu();
  began = (double)load_now();
  for (int i = 0; i < load_given.more; i++) ask(fd, load_path);
  (void)printf("ask\t%.1f\trequests/s\tcpu=%.1f\n",
    load_given.more / ((double)load_now() - began) * 1e9,
    ((double)load_server_cpu() - cpu) / load_given.more);
  (void)close(fd);
}

/* -- idle ----------------------------------------------------------------- */

static void nap(void) {
  struct timespec t = {0, 500000000};
  (void)nanosleep(&t, NULL);
}

/* Of the server, after it has collected its garbage. */
static double memory(int fd) {
  ask(fd, "/collect");
  nap();
  return (double)load_server_memory();
}

void load_kept(void) {
  double low, high;
  int fd = -1;
  read_wanted();
  /* They stay open until this process ends. */
  for (int i = 0; i < FIRST; i++) ask(fd = open_connection(), load_path);
  low = memory(fd);
  for (int i = 0; i < load_given.connections; i++)
    ask(open_connection(), load_path);
  high = memory(fd);
  (void)printf("idle\t%.0f\tbytes\tlow=%.0f\thigh=%.0f\n",
    (high - low) / load_given.connections, low, high);
}
