/* peer.c - the other side of `./dev bench luasocket`: echoes, or sends lines.
   SPDX-License-Identifier: MIT

   It prints its port, and serves one connection after the other. The first byte
   of each says what is wanted: "E", all that follows comes back; "L", lines of
   63 letters, until the connection is closed. It ends with its standard
   input. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE 64
#define LINES 1000

static char bytes[LINE * LINES];

static void send_lines(int fd) {
  for (int i = 0; i < LINES; i++) {
    memset(bytes + i * LINE, 'a' + i % 26, LINE - 1);
    bytes[i * LINE + LINE - 1] = '\n';
  }
  while (write(fd, bytes, sizeof bytes) > 0) continue;
}

static void echo(int fd) {
  ssize_t n;
  while ((n = read(fd, bytes, sizeof bytes)) > 0)
    if (write(fd, bytes, (size_t)n) != n) return;
}

static void serve(int fd) {
  int one = 1;
  char what;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (read(fd, &what, 1) != 1) return;
  if (what == 'L')
    send_lines(fd);
  else
    echo(fd);
}

int main(void) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t size = sizeof a;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  (void)signal(SIGPIPE, SIG_IGN);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&a, size) != 0 ||
      listen(listener, 16) != 0 ||
      getsockname(listener, (struct sockaddr *)&a, &size) != 0) {
    perror("peer");
    return 1;
  }
  (void)printf("%d\n", ntohs(a.sin_port));
  (void)fflush(stdout);
  for (;;) {
    struct pollfd files[] = {{.fd = listener, .events = POLLIN},
      {.fd = STDIN_FILENO, .events = POLLIN}};
    int fd;
    if (poll(files, 2, -1) < 0) return 1;
    if (files[1].revents != 0) return 0;
    fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    serve(fd);
    (void)close(fd);
  }
}
