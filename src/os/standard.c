/* standard.c - terminals, files and the standard streams of a program.
   SPDX-License-Identifier: MIT

   Linux opens a pipe or terminal anew through /proc/self/fd: that makes an open
   file of our own, with flags of its own. Elsewhere such a path leads to the
   same open file, so there nothing is opened anew. */
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC, POLLRDHUP */
#include "standard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

static intptr_t failed(void) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return OS_EAGAIN;
  return errno == ENOMEM ? OS_ENOMEM : OS_SYSTEM - errno;
}

bool os_is_not_open(intptr_t rc) { return os_failure_code(rc) == EBADF; }

/* -- standard streams ----------------------------------------------------- */

#if defined(__linux__)

/* To open the other end of a pseudo-terminal would make a new one. */
static bool is_master(int fd) {
#if defined(TIOCGPTN)
  unsigned number;
  return ioctl(fd, TIOCGPTN, &number) == 0;
#else
  return false;
#endif
}

static bool is_same_file(int a, int b) {
  struct stat one, other;
  return fstat(a, &one) == 0 && fstat(b, &other) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Does the pipe have no writer any more? Of a FIFO that is opened after the
   last one has gone the system tells by a read only, and not as an event: in
   case another writer comes (fifo(7)). */
static bool has_no_writer(int fd) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0;
}

/* Opens it once more, for what its number is for. -1: that cannot be. */
static int open_anew(int number, const os_kind *kind) {
  int wanted = number == 0 ? O_RDONLY : O_WRONLY;
  int access = fcntl(number, F_GETFL) & O_ACCMODE, fd;
  char path[32];
  if (!kind->is_pipe && (!kind->is_terminal || is_master(number))) return -1;
  if (access != wanted && access != O_RDWR) return -1;
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", number);
  fd = open(path, wanted | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return -1;
  if (fd <= STDERR_FILENO) {
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    (void)close(fd);
    fd = moved;
  }
  if (fd >= 0 && (!is_same_file(number, fd) ||
                   (kind->is_pipe && number == 0 && has_no_writer(number)))) {
    (void)close(fd);
    return -1;
  }
  return fd;
}

#else

static int open_anew(int number, const os_kind *kind) {
  (void)number;
  (void)kind;
  return -1;
}

#endif

int os_open_standard(int number, os_kind *kind, bool *anew) {
  int fd, rc = os_describe(number, kind);
  if (rc != 0) return rc;
  fd = open_anew(number, kind);
  *anew = fd >= 0;
  if (fd < 0) fd = fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  return fd >= 0 ? fd : (int)failed();
}

/* -- terminals ------------------------------------------------------------ */

/* The threads of the pool block all signals. One that blocks the signal which
   stops a program in the background would be told of an error instead. So it is
   not blocked during the call, unless the program has a handler for it, which
   is for the program's own threads. */
static void admit_stops(int number, sigset_t *before) {
  struct sigaction action;
  sigset_t set;
  (void)sigemptyset(&set);
  if (sigaction(number, NULL, &action) == 0 &&
      (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL)
    (void)sigaddset(&set, number);
  (void)pthread_sigmask(SIG_UNBLOCK, &set, before);
}

/* The call was interrupted: shall it be made again? Not if the program reacts
   to the signal and stays in the background: that would go on for ever. */
static bool retries(int fd) {
  pid_t foreground;
  if (errno != EINTR) return false;
  foreground = tcgetpgrp(fd);
  errno = EINTR;
  return foreground < 0 || foreground == getpgrp();
}

intptr_t os_read_terminal(int fd, void *to, size_t size) {
  sigset_t before;
  intptr_t n;
  admit_stops(SIGTTIN, &before);
  while ((n = read(fd, to, size)) < 0 && retries(fd)) continue;
  if (n < 0) n = failed();
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return n;
}

/* A terminal sends no SIGPIPE. */
intptr_t os_write_terminal(int fd, const os_bytes *from, int n) {
  struct iovec v[OS_BYTES_MOST];
  sigset_t before;
  intptr_t written;
  for (int i = 0; i < n; i++) {
    v[i].iov_base = (void *)(uintptr_t)from[i].at;
    v[i].iov_len = from[i].size;
  }
  admit_stops(SIGTTOU, &before);
  while ((written = writev(fd, v, n)) < 0 && retries(fd)) continue;
  if (written < 0) written = failed();
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return written;
}

/* -- files ---------------------------------------------------------------- */

#if defined(SYS_preadv2)
#define DO_NOT_WAIT 8L /* its flag since Linux 4.14 */
intptr_t os_read_cached(int fd, void *to, size_t size) {
  struct iovec v = {to, size};
  long n;
  /* At the place of the open file, as read(2) does; the two numbers are one
     that is -1. */
  while ((n = syscall(SYS_preadv2, fd, &v, 1L, -1L, -1L, DO_NOT_WAIT)) < 0 &&
         errno == EINTR)
    continue;
  if (n >= 0) return (intptr_t)n;
  switch (errno) {
  case ENOSYS:
  case EOPNOTSUPP:
  case EINVAL:
  case ESPIPE:
  case EPERM: return OS_EAGAIN;
  default: return failed();
  }
}
#else
intptr_t os_read_cached(int fd, void *to, size_t size) {
  (void)fd;
  (void)to;
  (void)size;
  return OS_EAGAIN;
}
#endif

/* -- sockets -------------------------------------------------------------- */

intptr_t os_receive_now(int fd, void *to, size_t size) {
  ssize_t n;
  while ((n = recv(fd, to, size, MSG_DONTWAIT)) < 0 && errno == EINTR) continue;
  return n >= 0 ? (intptr_t)n : failed();
}
