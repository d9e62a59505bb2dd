/* badaccept.c - connections that cannot be accepted; net_accept_spec.lua
   compiles it and has the loader put it before the C library.
   SPDX-License-Identifier: MIT

   $BAD_ACCEPT is a list of errors, such as "EPROTO,ENOBUFS". Each call of
   accept4 for which a connection is there fails with the next one of them, and
   leaves the connection; when there are no more it is the system's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct {
  const char *name;
  int code;
} errors[] = {
  {"ECONNABORTED", ECONNABORTED},
  {"EHOSTUNREACH", EHOSTUNREACH},
  {"EINTR", EINTR},
  {"EINVAL", EINVAL},
  {"EMFILE", EMFILE},
  {"ENFILE", ENFILE},
  {"ENOBUFS", ENOBUFS},
  {"ENOMEM", ENOMEM},
  {"EPERM", EPERM},
  {"EPROTO", EPROTO},
};

/* The i-th error of the list; 0: there is none. */
static int error_at(unsigned i) {
  const char *p = getenv("BAD_ACCEPT");
  size_t n;
  while (p != NULL && i-- > 0) {
    p = strchr(p, ',');
    if (p != NULL) p++;
  }
  if (p == NULL) return 0;
  n = strcspn(p, ",");
  for (size_t k = 0; k < sizeof errors / sizeof *errors; k++)
    if (strlen(errors[k].name) == n && memcmp(errors[k].name, p, n) == 0)
      return errors[k].code;
  abort();
}

int accept4(int fd, struct sockaddr *to, socklen_t *size, int flags) {
  static _Atomic unsigned ncalls;
  static int (*real)(int, struct sockaddr *, socklen_t *, int);
  struct pollfd look = {fd, POLLIN, 0};
  int e;
  if (real == NULL) *(void **)(void *)&real = dlsym(RTLD_NEXT, "accept4");
  if (poll(&look, 1, 0) == 1 && (e = error_at(atomic_load(&ncalls))) != 0) {
    atomic_fetch_add(&ncalls, 1);
    errno = e;
    return -1;
  }
  return real(fd, to, size, flags);
}
