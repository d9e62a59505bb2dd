/* socket.c - sockets and other descriptors on POSIX systems.
   SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* accept4, memmem, SOCK_CLOEXEC, POLLRDHUP */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE is set instead */
#endif

/* A result of the system's, as this contract has it. */
static int failed(void) {
  switch (errno) {
  case EAGAIN:
#if EWOULDBLOCK != EAGAIN
  case EWOULDBLOCK:
#endif
  case EINPROGRESS: return OS_EAGAIN;
  case ENOMEM: return OS_ENOMEM;
  default: return OS_SYSTEM - errno;
  }
}

bool os_is_gone(intptr_t rc) {
  int e = os_failure_code(rc);
  return e == EPIPE || e == ECONNRESET || e == ENOTCONN || e == ESHUTDOWN;
}
bool os_is_shortage(intptr_t rc) {
  int e = os_failure_code(rc);
  return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}
/* Linux passes on errors of the network that are pending on the new socket, and
   tells that a firewall forbids it (EPERM). See accept(2). */
bool os_is_aborted(intptr_t rc) {
  switch (os_failure_code(rc)) {
  case ECONNABORTED:
  case EOPNOTSUPP:
  case EPERM:
  case ETIMEDOUT:
#if defined(ENONET)
  case ENONET:
#endif
  case ENETDOWN:
  case EPROTO:
  case ENOPROTOOPT:
  case EHOSTDOWN:
  case EHOSTUNREACH:
  case ENETUNREACH: return true;
  default: return false;
  }
}
bool os_is_undone(intptr_t rc) { return os_failure_code(rc) == ECONNABORTED; }
bool os_is_refused(intptr_t rc) { return os_failure_code(rc) == ECONNREFUSED; }
bool os_is_in_use(intptr_t rc) { return os_failure_code(rc) == EADDRINUSE; }
bool os_is_full(intptr_t rc) { return rc == OS_SYSTEM - EAGAIN; }

/* -- descriptors */

/* 0, 1 and 2 stay those of the program, if it has closed them. */
static int above_standard(int fd) {
  int moved, e;
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  e = errno;
  (void)close(fd);
  errno = e;
  return moved;
}

void os_close(int fd) { (void)close(fd); /* EINTR: it is closed on Linux */ }

void os_unlink(const char *path) { (void)unlink(path); }

static int told_of(short revents, uint32_t what) {
  uint32_t ready = 0;
  if (revents & POLLNVAL) return OS_EBADF;
  if (revents & (POLLIN | POLLPRI)) ready |= OS_READABLE;
  if (revents & POLLOUT) ready |= OS_WRITABLE;
  if (revents & (POLLERR | POLLHUP)) ready |= what;
  return (int)(ready & what);
}

void os_poll_all(os_look *looks, uint32_t n) {
  struct pollfd all[OS_LOOKS_MOST];
  int told;
  for (uint32_t i = 0; i < n; i++) {
    all[i] = (struct pollfd){looks[i].fd, 0, 0};
    if (looks[i].what & OS_READABLE) all[i].events |= POLLIN | POLLPRI;
    if (looks[i].what & OS_WRITABLE) all[i].events |= POLLOUT;
  }
  while ((told = poll(all, n, 0)) < 0 && errno == EINTR) continue;
  if (told < 0 && n > 1) {
    /* It refuses more than the process may have descriptors (RLIMIT_NOFILE). */
    for (uint32_t i = 0; i < n; i++) os_poll_all(&looks[i], 1);
    return;
  }
  for (uint32_t i = 0; i < n; i++)
    looks[i].ready = told > 0 ? told_of(all[i].revents, looks[i].what) : 0;
}

int os_poll_now(int fd, uint32_t what) {
  os_look look = {fd, what, 0};
  os_poll_all(&look, 1);
  return look.ready;
}

void os_close_on_exec(int fd) { (void)fcntl(fd, F_SETFD, FD_CLOEXEC); }

int os_nonblocking(int fd, bool on) {
  int flags = fcntl(fd, F_GETFL), want;
  if (flags < 0) return failed();
  want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  return want == flags || fcntl(fd, F_SETFL, want) == 0 ? 0 : failed();
}

/* An enumerator where it is there, so that its value says nothing to #if. */
#if defined(SOCK_CLOEXEC)
#define HAS_FLAGS 1
#define PREPARE(fd) (fd)
#else
#define HAS_FLAGS 0
#define SOCK_CLOEXEC 0
#define SOCK_NONBLOCK 0
#define PREPARE(fd) prepare(fd)
static int prepare(int fd) {
  int yes = 1;
  if (fd < 0) return fd;
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
#if defined(SO_NOSIGPIPE)
  (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#else
  (void)yes;
#endif
  return fd;
}
#endif

static int domain_of(int family) {
  return family == OS_INET ? AF_INET : family == OS_INET6 ? AF_INET6 : AF_UNIX;
}

int os_socket(int family, bool datagram) {
  int type = datagram ? SOCK_DGRAM : SOCK_STREAM;
  int fd = above_standard(
    PREPARE(socket(domain_of(family), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  return fd >= 0 ? fd : failed();
}

int os_socket_pair(int fds[2]) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) !=
      0)
    return failed();
  for (int i = 0; i < 2; i++) {
    fds[i] = above_standard(PREPARE(fds[i]));
    if (fds[i] < 0) {
      int rc = failed();
      if (i == 1) (void)close(fds[0]);
      return rc;
    }
  }
  return 0;
}

static const struct sockaddr *raw(const os_address *a) {
  return (const struct sockaddr *)(const void *)a->bytes;
}

int os_bind(int fd, const os_address *a) {
  return bind(fd, raw(a), (socklen_t)a->size) == 0 ? 0 : failed();
}

int os_listen(int fd, int backlog) {
  return listen(fd, backlog > 0 ? backlog : INT_MAX) == 0 ? 0 : failed();
}

/* A call that a signal has interrupted goes on by itself. A Unix socket whose
   backlog is full says EAGAIN, and nothing is under way: that is an error. */
int os_connect(int fd, const os_address *a) {
  if (connect(fd, raw(a), (socklen_t)a->size) == 0) return 0;
  if (errno == EINTR || errno == EINPROGRESS) return OS_EAGAIN;
  return OS_SYSTEM - errno;
}

/* Systems of the BSD family complain after they have done it. */
int os_disconnect(int fd) {
  struct sockaddr none;
  memset(&none, 0, sizeof none);
  none.sa_family = AF_UNSPEC;
  if (connect(fd, &none, sizeof none) == 0 || errno == EAFNOSUPPORT ||
      errno == EINVAL)
    return 0;
  return failed();
}

int os_socket_error(int fd) {
  int e = 0;
  socklen_t size = sizeof e;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size) != 0) return failed();
  return e == 0 ? 0 : OS_SYSTEM - e;
}

int os_accept(int fd, os_address *peer) {
  socklen_t size = sizeof peer->bytes;
  struct sockaddr *to = (struct sockaddr *)(void *)peer->bytes;
  int got;
  do {
#if HAS_FLAGS
    got = accept4(fd, to, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    got = PREPARE(accept(fd, to, &size));
#endif
  } while (got < 0 && errno == EINTR);
  got = above_standard(got);
  if (got < 0) return failed();
  peer->size = size <= sizeof peer->bytes ? (uint32_t)size : 0;
  return got;
}

int os_local_address(int fd, os_address *a) {
  socklen_t size = sizeof a->bytes;
  if (getsockname(fd, (struct sockaddr *)(void *)a->bytes, &size) != 0)
    return failed();
  a->size = size <= sizeof a->bytes ? (uint32_t)size : 0;
  return 0;
}

int os_peer_address(int fd, os_address *a) {
  socklen_t size = sizeof a->bytes;
  if (getpeername(fd, (struct sockaddr *)(void *)a->bytes, &size) != 0)
    return failed();
  a->size = size <= sizeof a->bytes ? (uint32_t)size : 0;
  return 0;
}

int os_check_peer(int fd, const os_address *peer) {
  os_address own = {.size = 0};
  int family = os_address_family(peer);
  if ((family != OS_INET && family != OS_INET6) ||
      os_local_address(fd, &own) != 0 || own.size != peer->size ||
      memcmp(own.bytes, peer->bytes, own.size) != 0)
    return 0;
  os_abort(fd);
  return OS_SYSTEM - ECONNREFUSED;
}

int os_shutdown_write(int fd) {
  return shutdown(fd, SHUT_WR) == 0 ? 0 : failed();
}

int os_shutdown_read(int fd) {
  return shutdown(fd, SHUT_RD) == 0 ? 0 : failed();
}

int os_shutdown_both(int fd) {
  return shutdown(fd, SHUT_RDWR) == 0 ? 0 : failed();
}

void os_abort(int fd) {
  struct linger l = {1, 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

int os_describe(int fd, os_kind *kind) {
  struct stat info;
  int flags = fcntl(fd, F_GETFL), type = 0, accepts = 0;
  socklen_t size = sizeof type;
  os_address a;
  memset(kind, 0, sizeof *kind);
  kind->family = OS_OTHER;
  if (flags < 0 || fstat(fd, &info) != 0) return failed();
  kind->is_blocking = (flags & O_NONBLOCK) == 0;
  kind->is_socket = S_ISSOCK(info.st_mode);
  kind->is_pipe = S_ISFIFO(info.st_mode);
  kind->is_terminal = S_ISCHR(info.st_mode) && isatty(fd);
  kind->is_file =
    S_ISREG(info.st_mode) || S_ISBLK(info.st_mode) || S_ISDIR(info.st_mode);
  kind->is_stream = true;
  if (!kind->is_socket) return 0;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
    kind->is_stream = type == SOCK_STREAM;
    kind->is_datagram = type == SOCK_DGRAM;
  }
  size = sizeof accepts;
#if defined(SO_ACCEPTCONN)
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0)
    kind->is_listening = accepts != 0;
#endif
  if (os_local_address(fd, &a) == 0) kind->family = os_address_family(&a);
  return 0;
}

bool os_is_standard(int fd) {
  struct stat mine, other;
  if (fd <= 2) return true;
  if (fstat(fd, &mine) != 0) return false;
  for (int i = 0; i <= 2; i++)
    if (fstat(i, &other) == 0 && other.st_dev == mine.st_dev &&
        other.st_ino == mine.st_ino)
      return true;
  return false;
}

size_t os_pipe_fits(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode)) return 0;
#if defined(PIPE_BUF)
  return PIPE_BUF;
#else
  return _POSIX_PIPE_BUF;
#endif
}

bool os_is_plain(int fd) {
#if defined(__linux__) && defined(SO_PROTOCOL)
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
         protocol == IPPROTO_TCP;
#else
  (void)fd;
  return false;
#endif
}

/* -- bytes */

/* glibc, musl and FreeBSD have two-way matching for it. Its preparation costs
   more than most lines are long. */
const void *os_find(os_bytes in, os_bytes part) {
  if (part.size == 1)
    return memchr(in.at, *(const unsigned char *)part.at, in.size);
  return memmem(in.at, in.size, part.at, part.size);
}

intptr_t os_read(int fd, void *to, size_t size) {
  ssize_t n;
  while ((n = read(fd, to, size)) < 0 && errno == EINTR) continue;
  return n >= 0 ? (intptr_t)n : failed();
}

intptr_t os_peek(int fd, void *to, size_t size) {
  ssize_t n;
  while ((n = recv(fd, to, size, MSG_PEEK)) < 0 && errno == EINTR) continue;
  return n >= 0 ? (intptr_t)n : failed();
}

/* Writes what is no socket, so that the signal of a broken pipe, should there
   be one, is neither delivered nor left behind: it is blocked in this thread,
   taken out of what is pending if it was not before, and unblocked. */
static ssize_t write_quietly(int fd, const struct iovec *v, int n) {
  sigset_t pipe, before, pending;
  ssize_t written;
  bool was;
  int e;
  (void)sigemptyset(&pipe);
  (void)sigaddset(&pipe, SIGPIPE);
  (void)sigpending(&pending);
  was = sigismember(&pending, SIGPIPE) == 1;
  (void)pthread_sigmask(SIG_BLOCK, &pipe, &before);
  while ((written = writev(fd, v, n)) < 0 && errno == EINTR) continue;
  e = errno;
  if (written < 0 && e == EPIPE && !was) {
    int got;
    (void)sigpending(&pending);
    if (sigismember(&pending, SIGPIPE) == 1) (void)sigwait(&pipe, &got);
  }
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = e;
  return written;
}

#define NOW (MSG_NOSIGNAL | MSG_DONTWAIT)
intptr_t os_write(int fd, const os_bytes *from, int n, bool is_socket) {
  struct iovec v[OS_BYTES_MOST];
  struct msghdr m;
  ssize_t written;
  for (int i = 0; i < n; i++) {
    v[i].iov_base = (void *)(uintptr_t)from[i].at;
    v[i].iov_len = from[i].size;
  }
  if (!is_socket) {
    written = write_quietly(fd, v, n);
  } else if (n == 1) {
    while (
      (written = send(fd, from->at, from->size, NOW)) < 0 && errno == EINTR)
      continue;
  } else {
    memset(&m, 0, sizeof m);
    m.msg_iov = v;
    m.msg_iovlen = (size_t)n;
    while ((written = sendmsg(fd, &m, NOW)) < 0 && errno == EINTR) continue;
  }
  return written >= 0 ? (intptr_t)written : failed();
}

static intptr_t receive(
  int fd, void *to, size_t size, os_address *from, bool whole) {
  struct iovec v = {to, size};
  struct msghdr m;
  ssize_t n;
  do {
    memset(&m, 0, sizeof m);
    m.msg_name = from->bytes;
    m.msg_namelen = sizeof from->bytes;
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    n = recvmsg(fd, &m, 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return failed();
  if (whole && m.msg_flags & MSG_TRUNC) return OS_SYSTEM - EMSGSIZE;
  from->size =
    m.msg_namelen <= sizeof from->bytes ? (uint32_t)m.msg_namelen : 0;
  return (intptr_t)n;
}

intptr_t os_receive(int fd, void *to, size_t size, os_address *from) {
  return receive(fd, to, size, from, true);
}

intptr_t os_receive_some(int fd, void *to, size_t size, os_address *from) {
  return receive(fd, to, size, from, false);
}

intptr_t os_send(int fd, const void *from, size_t size, const os_address *to) {
  ssize_t n;
  while ((n = sendto(fd, from, size, MSG_NOSIGNAL, to != NULL ? raw(to) : NULL,
            to != NULL ? (socklen_t)to->size : 0)) < 0 &&
         errno == EINTR)
    continue;
  return n >= 0 ? (intptr_t)n : failed();
}

/* -- options */

static int set_int(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : failed();
}

static int set_keepalive(int fd, int seconds) {
  int rc = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
  if (rc != 0 || seconds <= 0) return rc;
#if defined(TCP_KEEPIDLE)
  rc = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
#elif defined(TCP_KEEPALIVE)
  rc = set_int(fd, IPPROTO_TCP, TCP_KEEPALIVE, seconds);
#endif
#if defined(TCP_KEEPINTVL)
  if (rc == 0) rc = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
#endif
  return rc;
}

static int set_linger(int fd, int seconds) {
  struct linger l = {seconds >= 0, seconds >= 0 ? seconds : 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0 ? 0
                                                                  : failed();
}

/* Level and name of an option that is one integer; false: it is none. */
static bool named(int family, os_option option, int *level, int *name) {
  bool six = family == OS_INET6;
  *level = SOL_SOCKET;
  switch (option) {
  case OS_REUSEADDR: *name = SO_REUSEADDR; return true;
  case OS_BROADCAST: *name = SO_BROADCAST; return true;
  case OS_SEND_BUFFER: *name = SO_SNDBUF; return true;
  case OS_RECEIVE_BUFFER: *name = SO_RCVBUF; return true;
  case OS_REUSEPORT: *name = SO_REUSEPORT; return true;
  case OS_KEEPALIVE: *name = SO_KEEPALIVE; return true;
  case OS_NODELAY:
    *level = IPPROTO_TCP;
    *name = TCP_NODELAY;
    return true;
  default: break;
  }
  *level = six ? IPPROTO_IPV6 : IPPROTO_IP;
  switch (option) {
  case OS_V6ONLY:
    *level = IPPROTO_IPV6;
    *name = IPV6_V6ONLY;
    return true;
  case OS_TTL: *name = six ? IPV6_UNICAST_HOPS : IP_TTL; return true;
  case OS_MULTICAST_TTL:
    *name = six ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL;
    return true;
  case OS_MULTICAST_LOOP:
    *name = six ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP;
    return true;
  default: return false;
  }
}

int os_set_option(int fd, int family, os_option option, int value) {
  int level, name;
  if (option == OS_KEEPALIVE) return set_keepalive(fd, value);
  if (option == OS_LINGER) return set_linger(fd, value);
  if (!named(family, option, &level, &name)) return OS_EPERM;
  return set_int(fd, level, name, value);
}

int os_get_option(int fd, int family, os_option option, int *value) {
  int level, name;
  socklen_t size = sizeof *value;
  *value = 0;
  if (option == OS_LINGER) {
    struct linger l = {0, 0};
    size = sizeof l;
    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &size) != 0) return failed();
    *value = l.l_onoff ? l.l_linger : -1;
    return 0;
  }
  if (!named(family, option, &level, &name)) return OS_EPERM;
  if (getsockopt(fd, level, name, value, &size) != 0) return failed();
#if defined(TCP_KEEPIDLE)
  if (option == OS_KEEPALIVE && *value != 0) {
    size = sizeof *value;
    (void)getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, value, &size);
  }
#endif
  return 0;
}

int os_multicast(
  int fd, const os_address *group, const char *device, bool join) {
  unsigned index = device != NULL ? if_nametoindex(device) : 0;
  if (device != NULL && index == 0) return failed();
  if (os_address_family(group) == OS_INET6) {
    struct ipv6_mreq m;
    struct sockaddr_in6 six;
    memcpy(&six, group->bytes, sizeof six);
    m.ipv6mr_multiaddr = six.sin6_addr;
    m.ipv6mr_interface = index;
    return setsockopt(fd, IPPROTO_IPV6,
             join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &m, sizeof m) == 0
             ? 0
             : failed();
  } else {
    struct ip_mreqn m;
    struct sockaddr_in four;
    memset(&m, 0, sizeof m);
    memcpy(&four, group->bytes, sizeof four);
    m.imr_multiaddr = four.sin_addr;
    m.imr_ifindex = (int)index;
    return setsockopt(fd, IPPROTO_IP,
             join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &m, sizeof m) == 0
             ? 0
             : failed();
  }
}

int os_multicast_device(int fd, int family, const char *device) {
  unsigned index = if_nametoindex(device);
  struct ip_mreqn m;
  if (index == 0) return failed();
  if (family == OS_INET6)
    return set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)index);
  memset(&m, 0, sizeof m);
  m.imr_ifindex = (int)index;
  return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m) == 0
           ? 0
           : failed();
}
