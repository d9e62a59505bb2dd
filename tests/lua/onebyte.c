/* onebyte.c - reads and writes of one byte each; net_stream_spec.lua compiles
   it and has the loader put it before the C library.
   SPDX-License-Identifier: MIT

   Of streams that are no TCP, where a short read or write tells that there is
   no more (os_is_plain), and of pipes: each call moves one byte, as a signal or
   a message may cut it anywhere. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(f) ((__typeof__(f) *)dlsym(RTLD_NEXT, #f))

static bool is_cut(int fd) {
  int why = errno, protocol = 0, type = 0;
  socklen_t size = sizeof type;
  struct stat info;
  bool cut = false;
  if (fstat(fd, &info) == 0) {
    cut = S_ISFIFO(info.st_mode);
    if (S_ISSOCK(info.st_mode) &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
        type == SOCK_STREAM) {
      size = sizeof protocol;
      cut = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
            protocol != IPPROTO_TCP;
    }
  }
  errno = why;
  return cut;
}

/* The first piece that is not empty, of which one byte goes; false: there is
   none. */
static bool first_byte(const struct iovec *all, size_t n, struct iovec *one) {
  for (size_t i = 0; i < n; i++) {
    if (all[i].iov_len == 0) continue;
    one->iov_base = all[i].iov_base;
    one->iov_len = 1;
    return true;
  }
  return false;
}

ssize_t read(int fd, void *to, size_t size) {
  return NEXT(read)(fd, to, size > 1 && is_cut(fd) ? 1 : size);
}

ssize_t send(int fd, const void *from, size_t size, int flags) {
  return NEXT(send)(fd, from, size > 1 && is_cut(fd) ? 1 : size, flags);
}

ssize_t write(int fd, const void *from, size_t size) {
  return NEXT(write)(fd, from, size > 1 && is_cut(fd) ? 1 : size);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
  struct msghdr cut = *m;
  struct iovec one;
  if (is_cut(fd) && first_byte(m->msg_iov, m->msg_iovlen, &one)) {
    cut.msg_iov = &one;
    cut.msg_iovlen = 1;
  }
  return NEXT(sendmsg)(fd, &cut, flags);
}

ssize_t writev(int fd, const struct iovec *all, int n) {
  struct iovec one;
  if (is_cut(fd) && first_byte(all, (size_t)n, &one))
    return NEXT(writev)(fd, &one, 1);
  return NEXT(writev)(fd, all, n);
}
