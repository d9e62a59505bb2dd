/* epoll.c - readiness of descriptors on Linux.
   SPDX-License-Identifier: MIT

   All descriptors are added edge-triggered for both directions, once, and are
   never modified. The breaker is an eventfd in the same set, which nobody
   reads: each write to it is an edge of its own, and its counter lasts longer
   than the process (2^64 - 2 writes). */
#define _GNU_SOURCE /* epoll_pwait2 by number, EPOLLRDHUP */
#include "socket.h"

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BREAK_KEY UINT64_MAX
#define BATCH 128 /* events that one call takes */

/* 0 and 1 and 2 stay those of the program, if it has closed them. */
static int above_standard(int fd) {
  int moved;
  if (fd < 0 || fd > 2) return fd;
  moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  (void)close(fd);
  return moved;
}

static int add(int set, int fd, uint64_t key, uint32_t events) {
  struct epoll_event e;
  memset(&e, 0, sizeof e);
  e.events = events;
  e.data.u64 = key;
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}

int os_poller_init(os_poller *p) {
  int why;
  p->fd = above_standard(epoll_create1(EPOLL_CLOEXEC));
  p->breaker = above_standard(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (p->fd >= 0 && p->breaker >= 0 &&
      add(p->fd, p->breaker, BREAK_KEY, EPOLLIN | EPOLLET) == 0)
    return 0;
  why = errno;
  os_poller_fini(p);
  return why == EMFILE || why == ENFILE ? OS_SYSTEM - why : OS_ENOMEM;
}

void os_poller_fini(os_poller *p) {
  if (p->fd >= 0) (void)close(p->fd);
  if (p->breaker >= 0) (void)close(p->breaker);
  p->fd = p->breaker = -1;
}

void os_poller_forked(os_poller *p) { os_poller_fini(p); }

int os_poller_add(os_poller *p, int fd, uint64_t key) {
  uint32_t events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  if (add(p->fd, fd, key, events) == 0) return 0;
  switch (errno) {
  case EPERM:
  case EINVAL: return OS_EPERM; /* the set itself */
  case EEXIST: return OS_EEXIST;
  case EBADF: return OS_EBADF;
  default: return OS_ENOMEM; /* ENOSPC: max_user_watches; ELOOP */
  }
}

void os_poller_remove(os_poller *p, int fd) {
  struct epoll_event none; /* kernels before 2.6.9 look whether it is there */
  memset(&none, 0, sizeof none);
  (void)epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &none);
}

void os_poller_arm(os_poller *p, int fd, uint64_t key, uint32_t what) {
  (void)p;
  (void)fd;
  (void)key;
  (void)what;
}

static uint32_t told(uint32_t events) {
  uint32_t what = 0;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
    what |= OS_READABLE;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) what |= OS_WRITABLE;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) what |= OS_ENDED;
  return what;
}

/* The kernel's timespec of epoll_pwait2, on all processors. */
typedef struct kernel_time {
  int64_t s, ns;
} kernel_time;

/* Waits to the nanosecond where the kernel can (5.11), else rounds up to a
   millisecond: never early, which would make the caller compute until then. */
static int wait_until(
  int set, struct epoll_event *e, int room, uint64_t deadline, sigset_t *mask) {
#if defined(SYS_epoll_pwait2)
  static _Atomic bool missing;
#endif
  uint64_t now = os_now(), left = deadline > now ? deadline - now : 0, ms;
#if defined(SYS_epoll_pwait2)
  /* Relaxed: should two threads find out, both are right. */
  if (left > 0 && !atomic_load_explicit(&missing, memory_order_relaxed)) {
    kernel_time t = {
      (int64_t)(left / 1000000000u), (int64_t)(left % 1000000000u)};
    int n = (int)syscall(SYS_epoll_pwait2, set, e, room, &t, mask, _NSIG / 8);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
    atomic_store_explicit(&missing, true, memory_order_relaxed);
  }
#endif
  ms = (left + 999999u) / 1000000u;
  return epoll_pwait(set, e, room, ms > INT_MAX ? INT_MAX : (int)ms, mask);
}

static int wait_once(
  int set, struct epoll_event *e, int room, uint64_t deadline, sigset_t *mask) {
  if (deadline == 0) return epoll_wait(set, e, room, 0);
  if (deadline == OS_FOREVER) return epoll_pwait(set, e, room, -1, mask);
  return wait_until(set, e, room, deadline, mask);
}

bool os_poller_yields(void *arg) {
  (void)arg;
  return false;
}

int os_poller_wait(os_poller *p, os_ready *ready, int room, uint64_t deadline,
  bool (*stop)(void *), void *arg) {
  struct epoll_event e[BATCH];
  sigset_t all, old;
  int n;
  if (room > BATCH) room = BATCH;
  if (stop == NULL || stop == os_poller_yields) {
    do {
      n = wait_once(p->fd, e, room, deadline, NULL);
    } while (n < 0 && errno == EINTR && deadline != 0 && stop == NULL);
  } else {
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    n = -1;
    errno = EINTR;
    if (!stop(arg)) n = wait_once(p->fd, e, room, deadline, &old);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* leaves errno alone */
  }
  if (n < 0 && errno != EINTR) return OS_EBADF;
  if (n < 0) return stop != NULL ? OS_EINTR : 0;
  for (int i = 0; i < n; i++) {
    ready[i].key = e[i].data.u64;
    ready[i].what = e[i].data.u64 != BREAK_KEY ? told(e[i].events) : 0;
  }
  return n;
}

int os_poller_break(os_poller *p) {
  uint64_t one = 1;
  while (write(p->breaker, &one, sizeof one) < 0)
    if (errno != EINTR) return OS_EBADF;
  return 0;
}

#endif
