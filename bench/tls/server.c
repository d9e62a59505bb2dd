/* server.c - a server of TLS as plain as `openssl s_server`: the limit of what
   can be had.
   SPDX-License-Identifier: MIT

     server CERTIFICATE KEY

   One connection at a time, with OpenSSL's own sockets, which block. A line
   "get N" asks for so many bytes, which are written in pieces of 16 KiB;
   "put N" announces them, and is answered by "ok" when they are all there. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 16384

static char piece[PIECE];

_Noreturn static void die(const char *what) {
  perror(what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static int start_listening(void) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t n = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
      listen(fd, 128) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
    die("listen");
  (void)printf("%d\n", ntohs(a.sin_port));
  (void)fflush(stdout);
  return fd;
}

/* A line; returns how many bytes have come behind it, or -1: the end. */
static int read_line(SSL *ssl, char *line, int room) {
  int n = 0, rc;
  char *end;
  do {
    rc = SSL_read(ssl, line + n, room - 1 - n);
    if (rc <= 0) return -1;
    n += rc;
    line[n] = '\0';
    end = strchr(line, '\n');
  } while (end == NULL && n < room - 1);
  if (end == NULL) return -1;
  return n - (int)(end + 1 - line);
}

static int give(SSL *ssl, double left) {
  while (left > 0) {
    int n = left < PIECE ? (int)left : PIECE;
    if (SSL_write(ssl, piece, n) != n) return -1;
    left -= n;
  }
  return 0;
}

static int take(SSL *ssl, double left) {
  while (left > 0) {
    int n = SSL_read(ssl, piece, PIECE);
    if (n <= 0) return -1;
    left -= n;
  }
  return SSL_write(ssl, "ok\n", 3) == 3 ? 0 : -1;
}

static void serve(SSL *ssl) {
  char line[64];
  double n;
  int early;
  if (SSL_accept(ssl) != 1) return;
  while ((early = read_line(ssl, line, sizeof line)) >= 0) {
    n = strtod(line + 4, NULL);
    if (line[0] == 'g' ? give(ssl, n) : take(ssl, n - early)) return;
  }
  (void)SSL_shutdown(ssl);
}

int main(int argc, char **argv) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  int listener, fd, yes = 1;
  (void)signal(SIGPIPE, SIG_IGN);
  if (argc != 3 || ctx == NULL ||
      SSL_CTX_use_certificate_chain_file(ctx, argv[1]) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1)
    die("server CERTIFICATE KEY");
  listener = start_listening();
  while ((fd = accept(listener, NULL, NULL)) >= 0) {
    SSL *ssl = SSL_new(ctx);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) die("SSL_new");
    serve(ssl);
    SSL_free(ssl);
    (void)close(fd);
    ERR_clear_error();
  }
  die("accept");
}
