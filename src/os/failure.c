/* failure.c - what the system's failures are called, on POSIX systems.
   SPDX-License-Identifier: MIT

   C libraries have words of their own: musl says "address in use", macOS "can't
   assign requested address". Programs compare such texts, so those that
   sockets, names and files bring up are the same everywhere: those of glibc. */
#define _GNU_SOURCE
#include "socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int os_failure_code(intptr_t rc) {
  if (rc == OS_ENOMEM) return ENOMEM;
  if (rc == OS_EAGAIN) return EAGAIN;
  return rc <= OS_SYSTEM ? (int)(OS_SYSTEM - rc) : 0;
}

static const char *common_text(int code) {
  switch (code) {
  case EACCES: return "permission denied";
  case EADDRINUSE: return "address already in use";
  case EADDRNOTAVAIL: return "cannot assign requested address";
  case EAFNOSUPPORT: return "address family not supported by protocol";
  case EAGAIN: return "resource temporarily unavailable";
  case EBADF: return "bad file descriptor";
  case EBUSY: return "device or resource busy";
  case ECONNABORTED: return "software caused connection abort";
  case ECONNREFUSED: return "connection refused";
  case ECONNRESET: return "connection reset by peer";
  case EDESTADDRREQ: return "destination address required";
  case EDQUOT: return "disk quota exceeded";
  case EEXIST: return "file exists";
  case EFBIG: return "file too large";
  case EHOSTDOWN: return "host is down";
  case EHOSTUNREACH: return "no route to host";
  case EINTR: return "interrupted system call";
  case EINVAL: return "invalid argument";
  case EIO: return "input/output error";
  case EISCONN: return "transport endpoint is already connected";
  case EISDIR: return "is a directory";
  case ELOOP: return "too many levels of symbolic links";
  case EMFILE: return "too many open files";
  case EMSGSIZE: return "message too long";
  case ENAMETOOLONG: return "file name too long";
  case ENETDOWN: return "network is down";
  case ENETUNREACH: return "network is unreachable";
  case ENFILE: return "too many open files in system";
  case ENOBUFS: return "no buffer space available";
  case ENODEV: return "no such device";
  case ENOENT: return "no such file or directory";
  case ENOMEM: return "cannot allocate memory";
  case ENOPROTOOPT: return "protocol not available";
  case ENOSPC: return "no space left on device";
  case ENOTCONN: return "transport endpoint is not connected";
  case ENOTDIR: return "not a directory";
  case ENOTEMPTY: return "directory not empty";
  case ENOTSOCK: return "socket operation on non-socket";
  case ENXIO: return "no such device or address";
  case EOPNOTSUPP: return "operation not supported";
  case EPERM: return "operation not permitted";
  case EPIPE: return "broken pipe";
  case EPROTONOSUPPORT: return "protocol not supported";
  case EROFS: return "read-only file system";
  case ESTALE: return "stale file handle";
  case ETIMEDOUT: return "connection timed out";
  case EXDEV: return "invalid cross-device link";
  default: return NULL;
  }
}

const char *os_socket_text(intptr_t rc) {
  switch (os_failure_code(rc)) {
  case EACCES: return "permission denied";
  case EADDRINUSE: return "address already in use";
  case ECONNABORTED:
  case ECONNRESET:
  case EPIPE: return "closed";
  case ECONNREFUSED: return "connection refused";
  case EISCONN: return "already connected";
  case ETIMEDOUT: return "timeout";
  default: return NULL;
  }
}

/* strerror's text may be another thread's; the two kinds of strerror_r differ
   in what they return. */
static void pick(const char *text, char *to, size_t size) {
  if (text != to) (void)snprintf(to, size, "%s", text);
}
static void pick_int(int rc, char *to, size_t size) {
  if (rc != 0) (void)snprintf(to, size, "system error");
}
#define PICK(r, to, size) \
  _Generic((r), char * : pick, int : pick_int)(r, to, size)

void os_system_text(intptr_t rc, char *text, size_t size) {
  int code = os_failure_code(rc);
  const char *common = common_text(code);
  text[0] = '\0';
  if (common != NULL)
    (void)snprintf(text, size, "%s", common);
  else
    PICK(strerror_r(code, text, size), text, size);
  /* Not of "RPC ...". */
  if (text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
    text[0] = (char)(text[0] - 'A' + 'a');
}
