/* posix.c - clock, threads and signals on POSIX systems.
   SPDX-License-Identifier: MIT

   The contract is os.h. Owner: an os_thread belongs to the thread that has
   started it. Invariants:
   1. In a thread started here all signals are blocked, except the preempt
      signal and those that report its own faults. So handlers of the host run
      in the host's threads, and a crash still reaches a crash handler.
   2. The handler of the preempt signal preserves errno, and calls an earlier
      handler of the same signal. */
#define _GNU_SOURCE /* pthread_setname_np, dladdr, RTLD_NOLOAD */
#include "posix.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <locale.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "../limits.h"

/* The preempt signal. SIGURG is ignored by default, used by almost no program,
   and passed on by debuggers; Go's runtime preempts with it for these reasons.
   */
#define PREEMPT_SIGNAL SIGURG
#define NAME_SIZE 16 /* what Linux keeps of a thread's name */

_Static_assert(
  sizeof(pthread_t) <= sizeof(uintptr_t), "a pthread_t fits os_thread.handle");

/* -- clock and processors ------------------------------------------------- */

uint64_t os_wall_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t os_now(void) {
  struct timespec now = {0, 0};
  (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
  uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  return ns != 0 ? ns : 1;
}

uint64_t os_own_cpu(void) {
  struct timespec used = {0, 0};
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

void os_cede(void) { (void)sched_yield(); }

/* -- date and locale ------------------------------------------------------ */

bool os_calendar(int64_t t, bool utc, struct tm *tm) {
  time_t then = (time_t)t;
  if (then != t) return false;
  if (utc) return gmtime_r(&then, tm) != NULL;
  tzset(); /* as localtime does: the time zone may have changed */
  return localtime_r(&then, tm) != NULL;
}

const char *const os_categories[] = {
  "all", "collate", "ctype", "monetary", "numeric", "time", NULL};

size_t os_locale(int category, const char *name, char *copy, size_t size) {
  static const int categories[] = {
    LC_ALL, LC_COLLATE, LC_CTYPE, LC_MONETARY, LC_NUMERIC, LC_TIME};
  const char *now = setlocale(categories[category], name);
  size_t length = 0;
  if (now == NULL) return 0;
  for (; length < size && now[length] != '\0'; length++)
    copy[length] = now[length];
  return length;
}

/* -- memory --------------------------------------------------------------- */

static void *map(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p != MAP_FAILED ? p : NULL;
}

void os_unmap(void *ptr, size_t size) {
  if (size > 0) (void)munmap(ptr, size);
}

void os_malloc_learn(size_t size) {
  _Atomic(void *) block; /* or a compiler leaves it out */
  atomic_init(&block, malloc(size));
  free(atomic_load_explicit(&block, memory_order_relaxed));
}

/* A mapping mostly lies beside the previous one, and is aligned as that one is.
   Otherwise it is cut out of a larger one. */
void *os_map(size_t align, size_t size) {
  char *p = map(size), *end;
  size_t lead;
  if (p == NULL || ((uintptr_t)p & (align - 1)) == 0) return p;
  os_unmap(p, size);
  p = map(size + align);
  if (p == NULL) return NULL;
  lead = (size_t)(-(uintptr_t)p & (align - 1));
  end = p + lead + size;
  os_unmap(p, lead);
  os_unmap(end, align - lead);
  return p + lead;
}

void os_huge(void *ptr, size_t size) {
#if defined(MADV_HUGEPAGE)
  (void)madvise(ptr, size, MADV_HUGEPAGE);
#else
  (void)ptr;
  (void)size;
#endif
}

/* A block that is a mapping of its own has what malloc writes in front of it,
   and ends where malloc_usable_size says. All of that is meant, and no page
   more: a mapping of two kinds cannot be resized. Where that is not known,
   nothing is asked for. */
void os_huge_block(void *ptr, size_t size) {
#if defined(__GLIBC__)
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t lead = (uintptr_t)ptr & (page - 1);
  size = lead + malloc_usable_size(ptr);
  os_huge((char *)ptr - lead, (size + page - 1) & ~(page - 1));
#else
  (void)ptr;
  (void)size;
#endif
}

/* -- threads -------------------------------------------------------------- */

/* What a new thread needs; it frees this. */
typedef struct start {
  void (*main)(void *); /* the function that it runs, ... */
  void *arg;            /* ... and the argument of that */
  char name[NAME_SIZE]; /* its name, for debuggers */
} start;

static void set_name(const char *name) {
#if defined(__APPLE__)
  (void)pthread_setname_np(name);
#elif defined(__linux__)
  (void)pthread_setname_np(pthread_self(), name);
#else
  (void)name;
#endif
}

static void *run(void *arg) {
  start s = *(start *)arg;
  free(arg);
  set_name(s.name);
  s.main(s.arg);
  return NULL;
}

/* Invariant 1. */
void os_posix_mask(sigset_t *set) {
  static const int open[] = {PREEMPT_SIGNAL, SIGSEGV, SIGBUS, SIGFPE, SIGILL,
    SIGTRAP, SIGABRT, SIGSYS, SIGKILL, SIGSTOP};
  (void)sigfillset(set);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++)
    (void)sigdelset(set, open[i]);
}

/* Creates the thread while this one has the signal mask of invariant 1, which
   the new one inherits. */
static int create(pthread_t *thread, const pthread_attr_t *attr, start *s) {
  sigset_t set, old;
  os_posix_mask(&set);
  (void)pthread_sigmask(SIG_SETMASK, &set, &old);
  int rc = pthread_create(thread, attr, run, s);
  (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
  return rc;
}

int os_thread_start(
  os_thread *t, void (*main)(void *), void *arg, const char *name) {
  int rc = OS_ENOMEM;
  pthread_t thread;
  pthread_attr_t attr;
  size_t stack = 0;
  start *s = malloc(sizeof *s);
  if (s == NULL) return rc;
  s->main = main;
  s->arg = arg;
  memset(s->name, 0, sizeof s->name);
  strncpy(s->name, name, sizeof s->name - 1);
  if (pthread_attr_init(&attr) != 0) goto no_attr;
  if (pthread_attr_getstacksize(&attr, &stack) != 0 ||
      stack < CAST_THREAD_STACK)
    (void)pthread_attr_setstacksize(&attr, CAST_THREAD_STACK);
  if (create(&thread, &attr, s) == 0) {
    t->handle = (uintptr_t)thread;
    s = NULL; /* it belongs to the thread now */
    rc = 0;
  }
  (void)pthread_attr_destroy(&attr);
no_attr:
  free(s);
  return rc;
}

void os_thread_join(os_thread *t) {
  (void)pthread_join((pthread_t)t->handle, NULL);
}

/* A compiler may take pthread_self for a constant within a function, which is
   wrong for code whose stack moves to another thread. The empty statement keeps
   it from taking this function for one without effects. */
uintptr_t os_thread_self(void) {
  __asm__ __volatile__("" ::: "memory");
  return (uintptr_t)pthread_self();
}

bool os_thread_is_first(void) {
#if defined(__APPLE__)
  return pthread_main_np() != 0;
#elif defined(__linux__)
  return syscall(SYS_gettid) == (long)getpid();
#else
  return true;
#endif
}

#if defined(__APPLE__) /* has no clock of another thread */
uint64_t os_thread_cpu(const os_thread *t) {
  (void)t;
  return 0;
}
#else
uint64_t os_thread_cpu(const os_thread *t) {
  struct timespec used = {0, 0};
  clockid_t clock;
  if (pthread_getcpuclockid((pthread_t)t->handle, &clock) != 0 ||
      clock_gettime(clock, &used) != 0)
    return 0;
  return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}
#endif

/* -- the module ----------------------------------------------------------- */

/* The handle from dlopen is never closed, so the object stays mapped, with or
   without RTLD_NODELETE. */
void os_pin(const void *address) {
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == NULL) return;
  int flags = RTLD_LAZY | RTLD_NOLOAD;
#if defined(RTLD_NODELETE)
  flags |= RTLD_NODELETE;
#endif
  (void)dlopen(info.dli_fname, flags);
}

/* -- task dumps on SIGQUIT ------------------------------------------------ */

static void (*ask_handler)(void);   /* (i) set before the signal handler */
static struct sigaction ask_before; /* (sysmon's lock) what it has replaced */

static void on_ask(int number) {
  int saved = errno;
  (void)number;
  ask_handler();
  errno = saved;
}

/* Is it the handler that os_ask_install has installed? */
static bool is_ask(const struct sigaction *a) {
  return (a->sa_flags & SA_SIGINFO) == 0 && a->sa_handler == on_ask;
}

int os_ask_install(void (*handler)(void)) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  ask_handler = handler;
  action.sa_handler = on_ask;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  (void)sigemptyset(&action.sa_mask);
  if (sigaction(SIGQUIT, &action, &before) != 0) return OS_ENOMEM;
  if (!is_ask(&before)) ask_before = before;
  return 0;
}

void os_ask_remove(void) {
  struct sigaction now;
  if (sigaction(SIGQUIT, NULL, &now) == 0 && is_ask(&now))
    (void)sigaction(SIGQUIT, &ask_before, NULL);
}

/* -- the standard error stream -------------------------------------------- */

#define PIECE 4096 /* bytes that a pipe which is ready takes without blocking */

/* Waits until the descriptor can be written to; false after the deadline. */
static bool is_ready(int fd, uint64_t deadline) {
  for (;;) {
    struct pollfd p = {fd, POLLOUT, 0};
    uint64_t now = os_now(), ms = 0;
    if (deadline > now) ms = (deadline - now + 999999) / 1000000;
    int n = poll(&p, 1, ms < INT_MAX ? (int)ms : INT_MAX);
    if (n > 0) return (p.revents & (POLLERR | POLLNVAL)) == 0;
    if (n == 0 || errno != EINTR) return false;
  }
}

size_t os_say(
  const char *text, size_t size, uint64_t deadline, uint64_t more_ns) {
  int fd = fileno(stderr);
  size_t done = 0;
  while (done < size && is_ready(fd, deadline)) {
    size_t piece = size - done < PIECE ? size - done : PIECE;
    ssize_t n = write(fd, text + done, piece);
    if (n > 0) {
      done += (size_t)n;
      deadline = os_now() + more_ns;
    } else if (n < 0 && errno == EAGAIN && os_now() < deadline) {
      (void)poll(NULL, 0, 1); /* it was ready for less than that */
    } else if (n == 0 || errno != EINTR) {
      break;
    }
  }
  return done;
}

/* -- preemption ----------------------------------------------------------- */

static void (*preempt_handler)(void); /* (i) set before the signal handler */
static struct sigaction
  preempt_before; /* (i) the handler that it has replaced */

/* Calls the handler that was there before. */
static void pass_on(int number, siginfo_t *info, void *context) {
  if ((preempt_before.sa_flags & SA_SIGINFO) != 0) {
    if (preempt_before.sa_sigaction != NULL)
      preempt_before.sa_sigaction(number, info, context);
  } else if (preempt_before.sa_handler != SIG_DFL &&
             preempt_before.sa_handler != SIG_IGN) {
    preempt_before.sa_handler(number);
  }
}

/* Nobody can tell for which handler a signal was meant, so both are called. */
static void on_preempt(int number, siginfo_t *info, void *context) {
  int saved = errno;
  preempt_handler();
  pass_on(number, info, context);
  errno = saved;
}

int os_preempt_install(void (*handler)(void)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  preempt_handler = handler;
  if (sigaction(PREEMPT_SIGNAL, NULL, &action) != 0) return OS_ENOMEM;
  /* It may be installed already; then it must not become its own predecessor.
     */
  if ((action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_preempt)
    return 0;
  preempt_before = action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_preempt;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  (void)sigemptyset(&action.sa_mask);
  return sigaction(PREEMPT_SIGNAL, &action, NULL) == 0 ? 0 : OS_ENOMEM;
}

void os_preempt(const os_thread *t) {
  (void)pthread_kill((pthread_t)t->handle, PREEMPT_SIGNAL);
}
