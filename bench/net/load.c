/* load.c - the load generator: options, connections, times.
   SPDX-License-Identifier: MIT

     load WHAT [OPTIONS] -- SERVER ARGUMENTS
     load dial [OPTIONS] -- PROGRAM ARGUMENTS

   WHAT:
     echo   messages that come back, over so many connections at once, one
            under way on each; every byte is compared
     churn  connect, have one byte echoed, close: so many at once
     burst  the same, but so many wait for the server, and then it begins
     idle   opens connections that do nothing: how much memory the server needs
            for each, and how many system calls it makes meanwhile
     dial   the program is a client, and gets a port as its last argument: how
            many connections it makes, each of which is reset at once
   OPTIONS:
     --connections N   64; idle: as many as there are at the first look
     --more N          idle: as many as there are at the second one
     --size B          64 bytes
     --seconds S       1
     --free            server and load may run on any processor
     --trace           counts the server's system calls, by strace
   The server prints its port, and then echoes. With "collect" it is asked to
   collect its garbage (idle only).

   Prints a line of fields with tabs between them: what, value, unit, key=number
   for the rest. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

load_options load_given = {
  .connections = 64, .size = 64, .seconds = 1, .pinned = true};
unsigned char load_pattern[LOAD_PATTERN + LOAD_MESSAGE_MOST];

uint64_t load_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* -- connections ---------------------------------------------------------- */

#define ADDRESSES 39u

static void bind_to(int fd, uint32_t host) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  int yes = 1;
  /* The port is chosen by connect, for this one server. */
  (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
  from.sin_addr.s_addr = htonl(host);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
    load_fail("bind: %s", strerror(errno));
}

int load_connect(int i, bool wait) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd < 0) load_fail("socket: %s", strerror(errno));
  bind_to(fd, INADDR_LOOPBACK + 1 + (uint32_t)i % ADDRESSES);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (!wait) (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  to.sin_port = htons((uint16_t)load_port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 &&
      (wait || errno != EINPROGRESS))
    load_fail("connect: %s", strerror(errno));
  if (wait) (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

void load_reset(int fd) {
  struct linger l = {1, 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
  (void)close(fd);
}

static void make_pattern(void) {
  uint32_t x = 1;
  for (size_t i = 0; i < sizeof load_pattern; i++) {
    x = x * 1664525u + 1013904223u;
    load_pattern[i] = (unsigned char)(x >> 24);
  }
}

/* -- times ---------------------------------------------------------------- */

/* Classes of times: 64 to each power of two, so a class is 1.6 % wide. */
#define FINE 6u
static uint32_t classes[(64 - FINE + 1) << FINE];
static uint64_t ntimes;

static unsigned class_of(uint64_t ns) {
  unsigned power = 0;
  while (ns >> power >= 2u << FINE) power++;
  return (power << FINE) + (unsigned)(ns >> power);
}

void load_note_time(uint64_t ns) {
  classes[class_of(ns)]++;
  ntimes++;
}

void load_forget_times(void) {
  memset(classes, 0, sizeof classes);
  ntimes = 0;
}

double load_percentile(double share) {
  uint64_t seen = 0;
  for (unsigned c = 0; c < sizeof classes / sizeof *classes; c++) {
    seen += classes[c];
    if (ntimes > 0 && (double)seen >= share * (double)ntimes) {
      unsigned power = c >> FINE;
      if (power > 0) power--;
      return (double)((uint64_t)(c - (power << FINE)) << power);
    }
  }
  return 0;
}

/* -- options -------------------------------------------------------------- */

static double number(const char *name, const char *text) {
  char *rest;
  double x;
  if (text == NULL) load_fail("%s needs a number", name);
  x = strtod(text, &rest);
  if (*rest != '\0' || x < 0) load_fail("%s: not a number", text);
  return x;
}

/* Returns the server's command. */
static char **parse_options(char **arg) {
  load_options *o = &load_given;
  for (; *arg != NULL && strcmp(*arg, "--") != 0; arg++) {
    const char *name = *arg;
    if (strcmp(name, "--free") == 0)
      o->pinned = false;
    else if (strcmp(name, "--trace") == 0)
      o->traced = true;
    else if (strcmp(name, "--connections") == 0)
      o->connections = (int)number(name, *++arg);
    else if (strcmp(name, "--more") == 0)
      o->more = (int)number(name, *++arg);
    else if (strcmp(name, "--size") == 0)
      o->size = (size_t)number(name, *++arg);
    else if (strcmp(name, "--seconds") == 0)
      o->seconds = number(name, *++arg);
    else
      load_fail("unknown option %s", name);
  }
  if (*arg == NULL || arg[1] == NULL) load_fail("no server: -- SERVER ...");
  if (o->connections < 1) load_fail("--connections: at least one");
  if (o->size < 1 || o->size > LOAD_MESSAGE_MOST)
    load_fail("--size: from 1 to %u", LOAD_MESSAGE_MOST);
  return arg + 1;
}

/* -- what is to be done --------------------------------------------------- */

static const struct {
  const char *name;
  void (*run)(void);
} what[] = {{"echo", load_echo}, {"churn", load_churn}, {"burst", load_burst},
  {"idle", load_idle}, {"dial", load_dial}};

static size_t find_what(const char *name) {
  size_t n = sizeof what / sizeof *what;
  for (size_t i = 0; i < n; i++)
    if (strcmp(what[i].name, name) == 0) return i;
  load_fail("%s: echo, churn, burst, idle or dial expected", name);
}

/* The client's command, which has the port behind it. */
static char **with_port(int argc, char **command, int port) {
  char **longer = calloc((size_t)argc + 2, sizeof *longer), *text = malloc(16);
  size_t n = 0;
  if (longer == NULL || text == NULL) load_fail("no memory");
  for (; command[n] != NULL; n++) longer[n] = command[n];
  (void)snprintf(text, 16, "%d", port);
  longer[n] = text;
  return longer;
}

int main(int argc, char **argv) {
  struct rlimit files;
  char **command;
  size_t i;
  if (argc < 2) load_fail("load WHAT [OPTIONS] -- SERVER ...");
  i = find_what(argv[1]);
  command = parse_options(argv + 2);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max; /* the server inherits it */
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  make_pattern();
  if (what[i].run == load_dial)
    load_server_start(with_port(argc, command, load_dial_listen()));
  else {
    load_server_start(command);
    load_server_await_port();
  }
  what[i].run();
  load_server_stop();
  return 0;
}
