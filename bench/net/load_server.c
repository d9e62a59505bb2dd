/* load_server.c - the server under test: its start, its end, what it costs.
   SPDX-License-Identifier: MIT

   The server is a child, in a process group of its own: it may be a profiler
   that has the server as its child. It dies with this process
   (PR_SET_PDEATHSIG), and an alarm ends both, so nothing is ever left behind. */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE 90      /* seconds that a run may take beyond those measured */
#define PATIENCE 1000 /* naps until a server has ended that was asked to */
#define START 20      /* seconds in which a server must have printed its port */

int load_port;

static pid_t server, tracer;
static int output; /* what the server prints */
static char trace_file[64];

/* -- the end -------------------------------------------------------------- */

static void end_all(void) {
  if (tracer > 0) (void)kill(tracer, SIGKILL);
  if (server > 0) (void)kill(-server, SIGKILL);
  if (trace_file[0] != '\0') (void)unlink(trace_file);
}

static void on_alarm(int sig) {
  static const char text[] = "load: it takes too long\n";
  (void)sig;
  (void)!write(STDERR_FILENO, text, sizeof text - 1);
  end_all();
  _exit(3);
}

_Noreturn void load_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)fputs("load: ", stderr);
  (void)vfprintf(stderr, format, args);
  (void)fputc('\n', stderr);
  va_end(args);
  end_all();
  exit(2);
}

/* -- the start ------------------------------------------------------------ */

/* Processors may be fewer than two: then it stays where it is. */
static void pin(size_t processor) {
  cpu_set_t set;
  if (!load_given.pinned) return;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}

static void run(char **command, int out) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)setpgid(0, 0);
  (void)dup2(out, STDOUT_FILENO);
  pin(0);
  (void)execvp(command[0], command);
  (void)fprintf(stderr, "load: %s: %s\n", command[0], strerror(errno));
  _exit(127);
}

/* The first line of the server: its port. */
static int read_port(int in) {
  struct pollfd p = {in, POLLIN, 0};
  uint64_t until = load_now() + START * 1000000000ull;
  char line[32];
  size_t n = 0;
  while (n < sizeof line - 1) {
    if (load_now() > until) load_fail("the server does not start");
    if (poll(&p, 1, 100) <= 0) continue;
    if (read(in, line + n, 1) != 1) load_fail("the server has ended");
    if (line[n] == '\n') break;
    n++;
  }
  line[n] = '\0';
  return atoi(line);
}

void load_server_start(char **command) {
  int pipes[2];
  if (pipe(pipes) != 0) load_fail("pipe: %s", strerror(errno));
  (void)signal(SIGALRM, on_alarm);
  (void)signal(SIGPIPE, SIG_IGN);
  (void)alarm((unsigned)load_given.seconds + GRACE);
  server = fork();
  if (server < 0) load_fail("fork: %s", strerror(errno));
  if (server == 0) {
    (void)signal(SIGPIPE, SIG_DFL);
    (void)alarm(0);
    run(command, pipes[1]);
  }
  (void)setpgid(server, server); /* whichever of the two is first */
  (void)close(pipes[1]);
  output = pipes[0]; /* it stays open: more may be printed */
  pin(1);
}

void load_server_await_port(void) {
  load_port = read_port(output);
  if (load_port <= 0 || load_port > 65535)
    load_fail("the server has printed no port");
}

static void nap(void) {
  struct timespec t = {0, 10000000};
  (void)nanosleep(&t, NULL);
}

void load_server_stop(void) {
  int status;
  pid_t ended = waitpid(server, &status, WNOHANG);
  if (ended == server) load_fail("the server has ended before");
  /* Asked first, so that a profiler around it can write what it has seen. */
  (void)kill(-server, SIGTERM);
  for (int i = 0; ended == 0 && i < PATIENCE; i++) {
    nap();
    ended = waitpid(server, &status, WNOHANG);
  }
  (void)kill(-server, SIGKILL); /* also what it has left behind */
  if (ended == 0) (void)waitpid(server, &status, 0);
  server = 0;
}

/* -- stopping it for a while ---------------------------------------------- */

void load_server_halt(void) {
  int status;
  (void)kill(-server, SIGSTOP);
  if (waitpid(server, &status, WUNTRACED) != server || !WIFSTOPPED(status))
    load_fail("the server has ended before");
}

void load_server_go_on(void) { (void)kill(-server, SIGCONT); }

/* -- what it costs -------------------------------------------------------- */

static uint64_t read_clock(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) return 0;
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t load_server_cpu(void) {
  clockid_t clock;
  return clock_getcpuclockid(server, &clock) == 0 ? read_clock(clock) : 0;
}

uint64_t load_own_cpu(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

/* The number behind a key in a file of /proc. */
static uint64_t proc_number(pid_t pid, const char *file, const char *key) {
  char path[64], line[256];
  uint64_t value = 0;
  FILE *f;
  (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  f = fopen(path, "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL)
    if (strncmp(line, key, strlen(key)) == 0)
      value = strtoull(line + strlen(key), NULL, 10);
  (void)fclose(f);
  return value;
}

uint64_t load_server_memory(void) {
  return proc_number(server, "smaps_rollup", "Rss:") * 1024u;
}

uint64_t load_server_rests(void) {
  char path[64];
  uint64_t n = 0;
  struct dirent *e;
  DIR *tasks;
  (void)snprintf(path, sizeof path, "/proc/%d/task", (int)server);
  tasks = opendir(path);
  if (tasks == NULL) return 0;
  while ((e = readdir(tasks)) != NULL) {
    pid_t task = (pid_t)atoi(e->d_name);
    if (task > 0) n += proc_number(task, "status", "voluntary_ctxt_switches:");
  }
  (void)closedir(tasks);
  return n;
}

/* -- counting its calls --------------------------------------------------- */

/* Seconds since 1970. Calls before that do not count; 0: strace has counted
   all of them, and has written down none. */
static double traced_from;

static void run_strace(bool each) {
  char pid[16];
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)alarm(0);
  (void)snprintf(pid, sizeof pid, "%d", (int)server);
  if (each)
    (void)execlp("strace", "strace", "-q", "-q", "-q", "-f", "-ttt", "-e",
      "signal=none", "-o", trace_file, "-p", pid, (char *)NULL);
  else
    (void)execlp("strace", "strace", "-q", "-q", "-q", "-f", "-c", "-U",
      "name,calls", "-o", trace_file, "-p", pid, (char *)NULL);
  _exit(127);
}

static void start_trace(bool each) {
  uint64_t until = load_now() + START * 1000000000ull;
  (void)snprintf(
    trace_file, sizeof trace_file, "/tmp/load.%d.trace", (int)getpid());
  tracer = fork();
  if (tracer < 0) load_fail("fork: %s", strerror(errno));
  if (tracer == 0) run_strace(each);
  while (proc_number(server, "status", "TracerPid:") == 0) {
    if (load_now() > until || waitpid(tracer, NULL, WNOHANG) != 0) {
      tracer = 0;
      load_fail("strace does not start");
    }
    nap();
  }
}

void load_trace_start(void) { start_trace(false); }

void load_trace_each(void) { start_trace(true); }

void load_trace_from_now(void) {
  traced_from = (double)read_clock(CLOCK_REALTIME) / 1e9;
}

/* Lines "name calls", of which the last one is "total"; or a line for each
   call: "thread time name(...". The rest of a call that others have interrupted
   is a line "thread time <... name resumed>". */
static double sum_calls(void) {
  char line[256], name[64];
  double calls = 0, n;
  FILE *f = fopen(trace_file, "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL) {
    if (traced_from > 0) {
      if (sscanf(line, "%*d %lf %63[a-z0-9_](", &n, name) != 2 ||
          n < traced_from)
        continue;
      calls++;
    } else {
      if (sscanf(line, "%63s %lf", name, &n) != 2) continue;
      if (strcmp(name, "total") == 0) calls = n;
    }
    if (getenv("LOAD_CALLS") != NULL) (void)fputs(line, stderr);
  }
  (void)fclose(f);
  return calls;
}

double load_trace_stop(void) {
  int status;
  double calls;
  (void)kill(tracer, SIGINT);
  (void)waitpid(tracer, &status, 0);
  tracer = 0;
  calls = sum_calls();
  (void)unlink(trace_file);
  trace_file[0] = '\0';
  return calls;
}
