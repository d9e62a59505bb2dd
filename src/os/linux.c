/* linux.c - futex, eventfd, processors and random bits of Linux.
   SPDX-License-Identifier: MIT

   The contract is os.h. The constants of <linux/futex.h> are repeated here,
   because C libraries for embedded use come without the kernel's headers. */
#define _GNU_SOURCE /* ppoll, sched_getaffinity, syscall */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

/* -- clock and processors ------------------------------------------------- */

/* Counts the processors in the affinity mask, whose size is not known in
   advance; if that fails, those that are on line. */
unsigned os_cpu_count(void) {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t *set = CPU_ALLOC((size_t)cpus);
    if (set == NULL) break;
    size_t size = CPU_ALLOC_SIZE((size_t)cpus);
    int rc = sched_getaffinity(0, size, set);
    int error = errno;
    int count = rc == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return (unsigned)count;
    if (rc == 0 || error != EINVAL) break;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (unsigned)online : 1;
}

/* For a kernel that has no entropy yet: clocks and randomised addresses, mixed
   with splitmix64. Good enough for a seed. */
static uint64_t poor_entropy(void) {
  struct timespec now = {0, 0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  uint64_t x = os_now() ^ ((uint64_t)now.tv_nsec << 32) ^
               (uint64_t)(uintptr_t)&now ^ ((uint64_t)getpid() << 48);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

uint64_t os_entropy(void) {
  enum { NONBLOCK = 1 }; /* GRND_NONBLOCK */
  uint64_t bits = 0;
  if (syscall(SYS_getrandom, &bits, sizeof bits, NONBLOCK) != (long)sizeof bits)
    bits = poor_entropy();
  return bits;
}

/* -- threads -------------------------------------------------------------- */

/* Reads the state in /proc: the letter behind the name, which is in brackets
   and may contain anything. The kernel's number of the thread is taken from the
   id of its clock, which has the complement of that number above three bits. */
bool os_thread_is_asleep(const os_thread *t) {
  char path[64], text[256];
  const char *at;
  clockid_t clock;
  ssize_t n = -1;
  int fd;
  if (pthread_getcpuclockid((pthread_t)t->handle, &clock) != 0) return true;
  (void)snprintf(
    path, sizeof path, "/proc/self/task/%d/stat", (int)~(clock >> 3));
  fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  while ((n = read(fd, text, sizeof text - 1)) < 0 && errno == EINTR) continue;
  (void)close(fd);
  text[n > 0 ? n : 0] = '\0';
  at = strrchr(text, ')');
  return at == NULL || at[1] != ' ' || at[2] != 'R';
}

/* -- sleeping on a word --------------------------------------------------- */

enum {
  FUTEX_PRIVATE = 128,
  FUTEX_WAKE = 1 | FUTEX_PRIVATE,
  FUTEX_WAIT_BITSET = 9 | FUTEX_PRIVATE /* its timeout is absolute */
};

/* The kernel's timespec has two longs, except on newer 32-bit ports. */
#if defined(SYS_futex) && !(defined(__x86_64__) && defined(__ILP32__))
#define FUTEX_CALL SYS_futex
typedef long futex_number;
#define FUTEX_SECONDS_MAX LONG_MAX
#elif defined(SYS_futex)
#define FUTEX_CALL SYS_futex
typedef int64_t futex_number;
#define FUTEX_SECONDS_MAX INT64_MAX
#else
#define FUTEX_CALL SYS_futex_time64
typedef int64_t futex_number;
#define FUTEX_SECONDS_MAX INT64_MAX
#endif

typedef struct futex_time {
  futex_number s;
  futex_number ns;
} futex_time;

int os_wait(_Atomic uint32_t *word, uint32_t expect, uint64_t deadline) {
  futex_time until, *limit = NULL;
  if (deadline != OS_FOREVER) {
    uint64_t s = deadline / NS_PER_S;
    if (s > (uint64_t)FUTEX_SECONDS_MAX) s = (uint64_t)FUTEX_SECONDS_MAX;
    until.s = (futex_number)s;
    until.ns = (futex_number)(deadline % NS_PER_S);
    limit = &until;
  }
  long rc = syscall(FUTEX_CALL, (void *)word, FUTEX_WAIT_BITSET, expect, limit,
    NULL, 0xffffffffu);
  if (rc == 0) return 0;
  switch (errno) {
  case EAGAIN: return OS_EAGAIN;
  case ETIMEDOUT: return OS_ETIMEOUT;
  case EINTR: return OS_EINTR;
  default: return 0; /* as if woken: the caller looks at the word again */
  }
}

void os_wake(_Atomic uint32_t *word, int n) {
  (void)syscall(FUTEX_CALL, (void *)word, FUTEX_WAKE, n, NULL, NULL, 0);
}

/* -- an event -------------------------------------------------------------

   The descriptor is a semaphore of tokens. Each change of `set` from 0 to 1 is
   followed by one write, and each change from 1 to 0 by taking one token. So
   the descriptor is readable exactly while `set` is 1, except between the two
   steps of a thread. Taking a token waits until a thread that is between its
   steps has written. So does os_event_fini, which therefore never closes a
   descriptor to which a late setter still writes. */

#define EVENT_FLAGS (EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)

/* Moves a descriptor above those of the standard streams. If a process has
   closed these, the next descriptor would become one of them, and the program
   would write to it. */
static int above_standard(int fd) {
  int moved;
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  (void)close(fd);
  return moved;
}

int os_event_init(os_event *e) {
  atomic_init(&e->set, 0);
  e->fd = above_standard(eventfd(0, EVENT_FLAGS));
  return e->fd >= 0 ? 0 : OS_ENOMEM;
}

void os_event_set(os_event *e) {
  int fd = e->fd; /* *e may be freed once the token is written */
  uint64_t one = 1;
  /* PAIR event: release what led to the event, to the thread that sees or
     clears it. */
  if (atomic_exchange_explicit(&e->set, 1, memory_order_acq_rel) != 0) return;
  while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

/* Waits for a token and takes it; but not from a descriptor that has been
   closed, by code that closes what it finds. */
static void take_token(int fd) {
  uint64_t one;
  while (
    read(fd, &one, sizeof one) < 0 && (errno == EAGAIN || errno == EINTR)) {
    struct pollfd p = {fd, POLLIN, 0};
    (void)poll(&p, 1, -1);
  }
}

void os_event_clear(os_event *e) {
  /* PAIR event: acquire what the setter did, so that a condition checked
     after this is seen if its event was cleared here. */
  if (atomic_exchange_explicit(&e->set, 0, memory_order_acq_rel) != 0)
    take_token(e->fd);
}

void os_event_fini(os_event *e) {
  os_event_clear(e);
  (void)close(e->fd);
  e->fd = -1;
}

/* The old descriptor is closed first: the process may have no other one left.
   */
int os_event_renew(os_event *e) {
  int fd = e->fd, fresh;
  (void)close(fd);
  fresh = eventfd(0, EVENT_FLAGS);
  if (fresh >= 0 && fresh != fd) {
    int moved = dup3(fresh, fd, O_CLOEXEC);
    (void)close(fresh);
    fresh = moved;
  }
  atomic_store_explicit(&e->set, 0, memory_order_relaxed);
  e->fd = fresh;
  return fresh >= 0 ? 0 : OS_ENOMEM;
}

static bool is_set(os_event *e) {
  /* PAIR event: acquire what the setter did. */
  return atomic_load_explicit(&e->set, memory_order_acquire) != 0;
}

/* Stores the time left until the deadline; false if it has passed. */
static bool remaining(uint64_t deadline, struct timespec *left) {
  uint64_t now = os_now();
  uint64_t ns = deadline > now ? deadline - now : 0;
  uint64_t s = ns / NS_PER_S;
  if (s > INT_MAX) s = INT_MAX;
  left->tv_sec = (time_t)s;
  left->tv_nsec = (long)(ns % NS_PER_S);
  return ns > 0;
}

/* Sleeps with the signal mask `mask` until the event is set: 0, OS_EINTR or
   OS_ETIMEOUT. Whatever else wakes it would do so again, at once: OS_EBADF. */
static int sleep_on(os_event *e, uint64_t deadline, const sigset_t *mask) {
  struct timespec left, *limit = NULL;
  const struct timespec nap = {0, 1000000};
  for (;;) {
    struct pollfd p = {e->fd, POLLIN, 0};
    bool expired = false;
    if (deadline != OS_FOREVER) {
      expired = !remaining(deadline, &left);
      limit = &left;
    }
    int n = ppoll(&p, 1, limit, mask);
    if (n < 0 && errno == EINTR) return OS_EINTR;
    if (is_set(e)) return 0;
    if (n > 0) return OS_EBADF;
    if (expired) return OS_ETIMEOUT;
    /* A process that may have no descriptors any more (RLIMIT_NOFILE is 0) can
       ask for none, and looks now and then. */
    if (n < 0 && ppoll(NULL, 0, &nap, mask) < 0) return OS_EINTR;
  }
}

int os_event_wait(
  os_event *e, uint64_t deadline, bool (*stop)(void *), void *arg) {
  sigset_t all, old;
  int rc = 0;
  if (is_set(e)) return 0;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &old);
  if (!is_set(e)) {
    if (stop != NULL && stop(arg))
      rc = OS_EINTR;
    else
      rc = sleep_on(e, deadline, &old);
  }
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  return rc;
}
