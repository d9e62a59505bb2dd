/* load.c - the load of `./dev bench tls`: a client of TLS 1.3, on OpenSSL.
   SPDX-License-Identifier: MIT

     load WHAT [OPTIONS] -- SERVER ARGUMENTS

   WHAT:
     handshakes  full ones, so many at once: connect, handshake, await a ticket
                 for a session, which the server sends when it has seen the end
                 of the handshake, end TCP's half of this side, await the
                 other's, close
     get, put    so many bytes over one connection, from or to the server, which
                 is asked for them by a line: "get N" or "put N"; it answers
                 "put N" with "ok" when it has them all
     idle        opens connections that do nothing: how much memory the server
                 needs for each beyond the first ones
   OPTIONS:
     --connections N   16; idle: those beyond the first ones
     --bytes N         get, put: 1e9
     --seconds S       handshakes: 2
     --free            server and load may run on any processor
     --polite          handshakes: says goodbye, as TLS has it, before the end;
                       servers differ in whether they answer that
     --talk            idle: each connection has said "put 1", and that byte
   The server prints its port. It is started, pinned and ended as those of
   `./dev bench net`. Certificates are not looked at, but each signature is.

   Prints a line of fields with tabs between them: what, value, unit, key=number
   for the rest. `cpu` is the server's processor time, in nanoseconds for a
   handshake or a byte; `load` the share of one that this program has used. */
#define _GNU_SOURCE
#include "../net/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FIRST 200     /* idle: connections that do not count */
#define PIECE 16384u  /* bytes of a read or write */
#define RAMP 0.2      /* seconds before the measured ones */
#define PATIENCE 19.0 /* seconds until a server listens */
#define EVENTS_MOST 64

load_options load_given = {.connections = 16, .seconds = 2, .pinned = true};
static double bytes_wanted = 1e9;
static bool polite, talks;
static SSL_CTX *ctx;

/* A connection of `handshakes`. */
typedef struct client {
  SSL *ssl;
  int fd;
  bool greeted;  /* its side of the handshake is over */
  bool ticketed; /* the server's, too */
  bool ended;    /* it has sent its end */
} client;

uint64_t load_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void nap(double seconds) {
  struct timespec t = {(time_t)seconds, 0};
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}

_Noreturn static void fail_tls(const char *what) {
  load_fail("%s: %s", what, ERR_reason_error_string(ERR_peek_last_error()));
}

/* -- connections ---------------------------------------------------------- */

/* -1: nobody listens. */
static int try_connect(bool blocks) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd < 0) load_fail("socket: %s", strerror(errno));
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (!blocks) (void)fcntl(fd, F_SETFL, O_NONBLOCK);
  to.sin_port = htons((uint16_t)load_port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ||
      (!blocks && errno == EINPROGRESS))
    return fd;
  if (errno != ECONNREFUSED) load_fail("connect: %s", strerror(errno));
  (void)close(fd);
  return -1;
}

/* Some print the port before they listen. */
static void await_server(void) {
  uint64_t until = load_now() + (uint64_t)(PATIENCE * 1e9);
  int fd;
  load_server_await_port();
  while ((fd = try_connect(true)) < 0) {
    if (load_now() > until) load_fail("the server does not listen");
    nap(0.01);
  }
  (void)close(fd);
}

static SSL *new_ssl(int fd) {
  SSL *ssl = SSL_new(ctx);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) fail_tls("SSL_new");
  SSL_set_connect_state(ssl);
  return ssl;
}

/* A connection that blocks, after the handshake. */
static SSL *open_tls(void) {
  int fd = try_connect(true);
  SSL *ssl;
  if (fd < 0) load_fail("the server has stopped listening");
  ssl = new_ssl(fd);
  if (SSL_connect(ssl) != 1) fail_tls("SSL_connect");
  return ssl;
}

static void write_all(SSL *ssl, const void *from, size_t size) {
  if (SSL_write(ssl, from, (int)size) != (int)size) fail_tls("SSL_write");
}

static void expect_ok(SSL *ssl) {
  char answer[4];
  int n = 0, rc;
  while (n < 3) {
    rc = SSL_read(ssl, answer + n, 3 - n);
    if (rc <= 0) fail_tls("SSL_read");
    n += rc;
  }
  if (memcmp(answer, "ok\n", 3) != 0) load_fail("\"ok\" expected");
}

/* -- handshakes ----------------------------------------------------------- */

static uint64_t ndone, nbad;

static int note_ticket(SSL *ssl, SSL_SESSION *session) {
  client *c = SSL_get_app_data(ssl);
  (void)session;
  if (c != NULL) c->ticketed = true;
  return 0;
}

static void begin(client *c, int poller) {
  struct epoll_event e = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = c}};
  c->fd = try_connect(false);
  if (c->fd < 0) load_fail("the server has stopped listening");
  c->ssl = new_ssl(c->fd);
  SSL_set_app_data(c->ssl, c);
  c->greeted = c->ticketed = c->ended = false;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) != 0)
    load_fail("epoll_ctl: %s", strerror(errno));
}

static bool waits(const client *c, int rc) {
  int kind = SSL_get_error(c->ssl, rc);
  return kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE;
}

/* False: it is over. */
static bool go_on(client *c) {
  char byte[64];
  int rc;
  ERR_clear_error();
  if (!c->greeted) {
    rc = SSL_do_handshake(c->ssl);
    if (rc != 1) return waits(c, rc);
    c->greeted = true;
  }
  while ((rc = SSL_read(c->ssl, byte, sizeof byte)) > 0) continue;
  if (c->ticketed && !c->ended) {
    if (polite) (void)SSL_shutdown(c->ssl);
    (void)shutdown(c->fd, SHUT_WR);
    c->ended = true;
    return true;
  }
  return waits(c, rc);
}

static void end(client *c) {
  if (c->ended && !SSL_session_reused(c->ssl))
    ndone++;
  else
    nbad++;
  SSL_free(c->ssl);
  (void)close(c->fd);
}

static void turn(int poller) {
  struct epoll_event events[EVENTS_MOST];
  int n = epoll_wait(poller, events, EVENTS_MOST, 100);
  for (int i = 0; i < n; i++) {
    client *c = events[i].data.ptr;
    if (go_on(c)) continue;
    end(c);
    begin(c, poller);
  }
}

static void run_until(int poller, uint64_t until) {
  while (load_now() < until) turn(poller);
}

static void handshakes(void) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  client *clients = calloc((size_t)load_given.connections, sizeof *clients);
  uint64_t began, cpu, own;
  double seconds;
  if (poller < 0 || clients == NULL) load_fail("no memory");
  for (int i = 0; i < load_given.connections; i++) begin(&clients[i], poller);
  run_until(poller, load_now() + (uint64_t)(RAMP * 1e9));
  ndone = nbad = 0;
  began = load_now();
  cpu = load_server_cpu();
  own = load_own_cpu();
  run_until(poller, began + (uint64_t)(load_given.seconds * 1e9));
  seconds = (double)(load_now() - began) / 1e9;
  cpu = load_server_cpu() - cpu;
  own = load_own_cpu() - own;
  (void)printf("handshakes\t%.1f\t/s\tcpu=%.0f\tload=%.3f\terrors=%llu\n",
    (double)ndone / seconds, (double)cpu / (double)(ndone > 0 ? ndone : 1),
    (double)own / 1e9 / seconds, (unsigned long long)nbad);
}

/* -- many bytes ----------------------------------------------------------- */

static unsigned char piece[PIECE];

static void read_bytes(SSL *ssl, double left) {
  while (left > 0) {
    int n = SSL_read(ssl, piece, sizeof piece);
    if (n <= 0) fail_tls("SSL_read");
    left -= n;
  }
}

static void write_bytes(SSL *ssl, double left) {
  while (left > 0) {
    size_t n = left < PIECE ? (size_t)left : PIECE;
    write_all(ssl, piece, n);
    left -= (double)n;
  }
  expect_ok(ssl);
}

static void bulk(const char *what, void (*move)(SSL *ssl, double left)) {
  SSL *ssl = open_tls();
  char line[64];
  uint64_t began, cpu, own;
  double seconds;
  int n = snprintf(line, sizeof line, "%s %.0f\n", what, bytes_wanted);
  began = load_now();
  cpu = load_server_cpu();
  own = load_own_cpu();
  write_all(ssl, line, (size_t)n);
  move(ssl, bytes_wanted);
  seconds = (double)(load_now() - began) / 1e9;
  cpu = load_server_cpu() - cpu;
  own = load_own_cpu() - own;
  (void)printf("%s\t%.0f\tB/s\tcpu=%.4f\tload=%.3f\n", what,
    bytes_wanted / seconds, (double)cpu / bytes_wanted,
    (double)own / 1e9 / seconds);
  (void)SSL_shutdown(ssl);
}

static void get(void) { bulk("get", read_bytes); }
static void put(void) { bulk("put", write_bytes); }

/* -- idle ----------------------------------------------------------------- */

static void open_idle(void) {
  SSL *ssl = open_tls(); /* it stays open until this process ends */
  if (!talks) return;
  write_all(ssl, "put 1\nx", 7);
  expect_ok(ssl);
}

static void idle(void) {
  double low, high;
  for (int i = 0; i < FIRST; i++) open_idle();
  nap(0.5);
  low = (double)load_server_memory();
  for (int i = 0; i < load_given.connections; i++) open_idle();
  nap(0.5);
  high = (double)load_server_memory();
  (void)printf("idle\t%.0f\tbytes\tlow=%.0f\thigh=%.0f\n",
    (high - low) / load_given.connections, low, high);
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

/* Returns the server's command. */
static char **parse_options(char **arg) {
  for (; *arg != NULL && strcmp(*arg, "--") != 0; arg++) {
    const char *name = *arg;
    if (strcmp(name, "--free") == 0)
      load_given.pinned = false;
    else if (strcmp(name, "--polite") == 0)
      polite = true;
    else if (strcmp(name, "--talk") == 0)
      talks = true;
    else if (strcmp(name, "--connections") == 0)
      load_given.connections = (int)number(name, *++arg);
    else if (strcmp(name, "--bytes") == 0)
      bytes_wanted = number(name, *++arg);
    else if (strcmp(name, "--seconds") == 0)
      load_given.seconds = number(name, *++arg);
    else
      load_fail("unknown option %s", name);
  }
  if (*arg == NULL || arg[1] == NULL) load_fail("no server: -- SERVER ...");
  return arg + 1;
}

static const struct {
  const char *name;
  void (*run)(void);
} what[] = {
  {"handshakes", handshakes}, {"get", get}, {"put", put}, {"idle", idle}};

static void make_ctx(void) {
  ctx = SSL_CTX_new(TLS_client_method());
  if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
    fail_tls("SSL_CTX_new");
  (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  (void)SSL_CTX_set_session_cache_mode(
    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, note_ticket);
}

int main(int argc, char **argv) {
  size_t i = 0, n = sizeof what / sizeof *what;
  struct rlimit files;
  char **command;
  if (argc < 2) load_fail("load WHAT [OPTIONS] -- SERVER ...");
  while (i < n && strcmp(what[i].name, argv[1]) != 0) i++;
  if (i == n) load_fail("%s: handshakes, get, put or idle expected", argv[1]);
  command = parse_options(argv + 2);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max; /* the server inherits it */
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  make_ctx();
  load_server_start(command);
  await_server();
  what[i].run();
  (void)fflush(stdout);
  load_server_stop();
  return 0;
}
