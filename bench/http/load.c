/* load.c - the load of `./dev bench http`: wrk, and what wrk has not.
   SPDX-License-Identifier: MIT

     load WHAT [OPTIONS] -- SERVER ARGUMENTS

   WHAT:
     wrk         the program wrk asks over so many connections: first for a
                 second in which it looks at each answer, then for as long as it
                 is measured
     ask         so many requests over one connection, and looks at the answers
     idle        opens connections that ask once and then wait: how much memory
                 the server needs for each beyond the first ones
     websocket   texts that come back, over so many connections at once, one
                 under way on each; every byte is compared
   OPTIONS:
     --connections N   64; idle: those beyond the first ones
     --requests N      ask: 100
     --seconds S       2; wrk has whole ones
     --path P          "/"
     --like FILE       what each body must be; "Hello, World!" unless told
     --tls             wrk speaks TLS
     --free            server and load may run on any processor
   The server prints its port. It is started, pinned and ended as those of
   `./dev bench net`, and asked for "/collect" when it should collect its
   garbage.

   Prints a line of fields with tabs between them: what, value, unit, key=number
   for the rest. `cpu` is the server's processor time for a request, in
   nanoseconds; `busy` how many processors it has used, and `load` the same of
   the load. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 19.0 /* seconds until a server listens */

load_options load_given = {
  .connections = 64, .more = 100, .seconds = 2, .pinned = true};
const char *load_path = "/", *load_like;
bool load_tls;

uint64_t load_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Some print the port before they listen. */
static void await_server(void) {
  uint64_t until = load_now() + (uint64_t)(PATIENCE * 1e9);
  struct timespec nap = {0, 10000000};
  int fd;
  load_server_await_port();
  while ((fd = load_dial_server()) < 0) {
    if (load_now() > until) load_fail("the server does not listen");
    (void)nanosleep(&nap, NULL);
  }
  (void)close(fd);
}

/* -- wrk ------------------------------------------------------------------ */

typedef struct wrk_result {
  double requests, rate, errors;
} wrk_result;

/* What wrk prints says how many there were, how many in a second, and which
   were no good. */
static void read_result(FILE *from, wrk_result *r) {
  char line[256];
  double n[4];
  while (fgets(line, sizeof line, from) != NULL) {
    if (sscanf(line, " %lf requests in", n) == 1)
      r->requests = n[0];
    else if (sscanf(line, "Requests/sec: %lf", n) == 1)
      r->rate = n[0];
    else if (sscanf(line,
               " Socket errors: connect %lf, read %lf, write %lf, "
               "timeout %lf",
               n, n + 1, n + 2, n + 3) == 4)
      r->errors += n[0] + n[1] + n[2] + n[3];
    else if (sscanf(line, " Non-2xx or 3xx responses: %lf", n) == 1)
      r->errors += n[0];
    else if (sscanf(line, "wrong: %lf", n) == 1)
      r->errors += n[0];
  }
}

static void run_wrk(double seconds, bool checks, wrk_result *r) {
  char command[512];
  FILE *pipe;
  (void)snprintf(command, sizeof command,
    "exec wrk -t 1 -c %d -d %d%s http%s://127.0.0.1:%d%s%s%s",
    load_given.connections, seconds < 1 ? 1 : (int)seconds,
    checks ? " -s bench/http/check.lua" : "", load_tls ? "s" : "", load_port,
    load_path, checks ? " -- " : "", checks ? load_like : "");
  pipe = popen(command, "r");
  if (pipe == NULL) load_fail("popen: %s", strerror(errno));
  read_result(pipe, r);
  if (pclose(pipe) != 0 || r->requests <= 0) load_fail("failed: %s", command);
}

static double children_cpu(void) {
  struct rusage u;
  (void)getrusage(RUSAGE_CHILDREN, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void load_wrk(void) {
  wrk_result first = {0, 0, 0}, r = {0, 0, 0};
  double cpu, load, elapsed;
  if (load_like != NULL) run_wrk(1, true, &first);
  load = children_cpu();
  elapsed = (double)load_now();
  cpu = (double)load_server_cpu();
  run_wrk(load_given.seconds, false, &r);
  cpu = (double)load_server_cpu() - cpu;
  elapsed = (double)load_now() - elapsed;
  load = children_cpu() - load;
  (void)printf("wrk\t%.1f\trequests/s\tcpu=%.1f\tbusy=%.3f\tload=%.3f\t"
               "errors=%.0f\n",
    r.rate, cpu / r.requests, cpu / elapsed, load / elapsed * 1e9,
    first.errors + r.errors);
}

/* -- what is to be done --------------------------------------------------- */

static double number(const char *name, const char *text) {
  char *rest;
  double x;
  if (text == NULL) load_fail("%s needs a number", name);
  x = strtod(text, &rest);
  if (*rest != '\0' || !(x > 0)) load_fail("%s: not a number", text);
  return x;
}

static const char *word(const char *name, const char *text) {
  if (text == NULL) load_fail("%s needs a word", name);
  return text;
}

/* Returns the server's command. */
static char **parse_options(char **arg) {
  load_options *o = &load_given;
  for (; *arg != NULL && strcmp(*arg, "--") != 0; arg++) {
    const char *name = *arg;
    if (strcmp(name, "--free") == 0)
      o->pinned = false;
    else if (strcmp(name, "--tls") == 0)
      load_tls = true;
    else if (strcmp(name, "--path") == 0)
      load_path = word(name, *++arg);
    else if (strcmp(name, "--like") == 0)
      load_like = word(name, *++arg);
    else if (strcmp(name, "--connections") == 0)
      o->connections = (int)number(name, *++arg);
    else if (strcmp(name, "--requests") == 0)
      o->more = (int)number(name, *++arg);
    else if (strcmp(name, "--seconds") == 0)
      o->seconds = number(name, *++arg);
    else
      load_fail("unknown option %s", name);
  }
  if (*arg == NULL || arg[1] == NULL) load_fail("no server: -- SERVER ...");
  if (o->connections < 1) load_fail("--connections: at least one");
  return arg + 1;
}

static const struct {
  const char *name;
  void (*run)(void);
} what[] = {{"wrk", load_wrk}, {"ask", load_ask}, {"idle", load_kept},
  {"websocket", load_websocket}};

int main(int argc, char **argv) {
  size_t i = 0, n = sizeof what / sizeof *what;
  struct rlimit files;
  char **command;
  if (argc < 2) load_fail("load WHAT [OPTIONS] -- SERVER ...");
  while (i < n && strcmp(what[i].name, argv[1]) != 0) i++;
  if (i == n) load_fail("%s: wrk, ask, idle or websocket expected", argv[1]);
  command = parse_options(argv + 2);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max; /* the server inherits it */
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  load_server_start(command);
  await_server();
  what[i].run();
  (void)fflush(stdout);
  load_server_stop();
  return 0;
}
