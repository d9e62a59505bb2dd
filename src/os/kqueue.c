/* kqueue.c - readiness of descriptors on macOS and the BSDs.
   SPDX-License-Identifier: MIT

   A descriptor has two filters, both edge-triggered (EV_CLEAR); they go when it
   is closed. The breaker is a user event in the set itself. kevent knows no
   signal mask, so a wait that a signal may end is a pselect on the set's own
   descriptor, which is readable while something is to be told, and then a
   kevent that does not sleep. */
#include "socket.h"

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || \
  defined(__NetBSD__) || defined(__DragonFly__)

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>
/* after sys/types.h */
#include <sys/event.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128 /* events that one call takes */
#define BREAK_IDENT 1

/* 0 and 1 and 2 stay those of the program, if it has closed them; and a
   descriptor for pselect has to have a small number. */
static int above_standard(int fd) {
  int moved;
  if (fd < 0 || fd > 2) return fd;
  moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  (void)close(fd);
  return moved;
}

/* On each system with kqueue for which casting is built a pointer can hold a
   key. */
_Static_assert(UINTPTR_MAX >= UINT64_MAX, "a key fits into udata");
static void *packed(uint64_t key) { return (void *)(uintptr_t)key; }

int os_poller_init(os_poller *p) {
  struct kevent k;
  int why;
  p->breaker = -1;
  p->fd = above_standard(kqueue());
  if (p->fd >= FD_SETSIZE) errno = EMFILE;
  if (p->fd < 0 || p->fd >= FD_SETSIZE) goto failed;
  (void)fcntl(p->fd, F_SETFD, FD_CLOEXEC);
  EV_SET(&k, BREAK_IDENT, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
  if (kevent(p->fd, &k, 1, NULL, 0, NULL) == 0) return 0;
failed:
  why = errno;
  os_poller_fini(p);
  return why == EMFILE || why == ENFILE ? OS_SYSTEM - why : OS_ENOMEM;
}

void os_poller_fini(os_poller *p) {
  if (p->fd >= 0) (void)close(p->fd);
  p->fd = -1;
}

/* A child does not inherit the descriptor of a kqueue at all. */
void os_poller_forked(os_poller *p) { p->fd = -1; }

int os_poller_add(os_poller *p, int fd, uint64_t key) {
  struct kevent k[2];
  EV_SET(
    &k[0], (uintptr_t)fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, packed(key));
  EV_SET(
    &k[1], (uintptr_t)fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, packed(key));
  if (kevent(p->fd, k, 2, NULL, 0, NULL) == 0) return 0;
  switch (errno) {
  case EINVAL:
  case ENODEV:
  case EPERM: return OS_EPERM;
  case EBADF: return OS_EBADF;
  /* The other end of a pipe has gone: what is there is ready. */
  case EPIPE: return OS_EPERM;
  default: return OS_ENOMEM;
  }
}

void os_poller_remove(os_poller *p, int fd) {
  struct kevent k;
  EV_SET(&k, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
  (void)kevent(p->fd, &k, 1, NULL, 0, NULL);
  EV_SET(&k, (uintptr_t)fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
  (void)kevent(p->fd, &k, 1, NULL, 0, NULL);
}

void os_poller_arm(os_poller *p, int fd, uint64_t key, uint32_t what) {
  (void)p;
  (void)fd;
  (void)key;
  (void)what;
}

static struct timespec left_to(uint64_t deadline) {
  uint64_t now = os_now(), left = deadline > now ? deadline - now : 0;
  struct timespec t;
  t.tv_sec = (time_t)(left / 1000000000u);
  t.tv_nsec = (long)(left % 1000000000u);
  return t;
}

/* Sleeps with the mask `mask` until the set has something to tell. False: a
   signal handler has run. */
static bool sleep_masked(int fd, uint64_t deadline, const sigset_t *mask) {
  struct timespec t = left_to(deadline);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  return pselect(fd + 1, &set, NULL, NULL, deadline != OS_FOREVER ? &t : NULL,
           mask) >= 0 ||
         errno != EINTR;
}

bool os_poller_yields(void *arg) {
  (void)arg;
  return false;
}

int os_poller_wait(os_poller *p, os_ready *ready, int room, uint64_t deadline,
  bool (*stop)(void *), void *arg) {
  struct kevent k[BATCH];
  struct timespec t = {0, 0};
  int n;
  if (room > BATCH) room = BATCH;
  if (stop != NULL && stop != os_poller_yields) {
    sigset_t all, old;
    bool woken;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    woken = !stop(arg) && sleep_masked(p->fd, deadline, &old);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!woken) return OS_EINTR;
    deadline = 0;
  }
  for (;;) {
    if (deadline != 0 && deadline != OS_FOREVER) t = left_to(deadline);
    n = kevent(p->fd, NULL, 0, k, room, deadline != OS_FOREVER ? &t : NULL);
    if (n >= 0 || errno != EINTR || deadline == 0) break;
    if (stop == os_poller_yields) return OS_EINTR;
  }
  if (n < 0) return errno == EINTR ? 0 : OS_EBADF;
  for (int i = 0; i < n; i++) {
    ready[i].key = (uint64_t)(uintptr_t)k[i].udata;
    ready[i].what = k[i].filter == EVFILT_READ    ? OS_READABLE
                    : k[i].filter == EVFILT_WRITE ? OS_WRITABLE
                                                  : 0;
    if (k[i].flags & EV_EOF)
      ready[i].what |= OS_READABLE | OS_WRITABLE | OS_ENDED;
    if (k[i].filter == EVFILT_USER) ready[i].what = 0;
  }
  return n;
}

int os_poller_break(os_poller *p) {
  struct kevent k;
  EV_SET(&k, BREAK_IDENT, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
  while (kevent(p->fd, &k, 1, NULL, 0, NULL) < 0)
    if (errno != EINTR) return OS_EBADF;
  return 0;
}

#endif
