/* child.c - programs that are started, on POSIX systems.
   SPDX-License-Identifier: MIT

   The contract is child.h. posix_spawn is used: the C library starts the child
   without copying this process's memory, tells whether it could be executed,
   and needs no lock against other threads, for whatever is not meant to be
   inherited is closed in the child (or, where the C library cannot do that,
   known here before). */
#define _GNU_SOURCE /* pipe2, posix_spawn_file_actions_addclosefrom_np */
#include "child.h"

#include "file_info.h"
#include "socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#if !defined(SYS_pidfd_open)
#define SYS_pidfd_open 434
#endif
#endif

extern char **environ;

/* -- pipes ---------------------------------------------------------------- */

int os_child_pipe(int to[2], bool we_read, bool we_write) {
  int error;
#if defined(__APPLE__)
  if (pipe(to) != 0) return OS_SYSTEM - errno;
  (void)fcntl(to[0], F_SETFD, FD_CLOEXEC);
  (void)fcntl(to[1], F_SETFD, FD_CLOEXEC);
#else
  if (pipe2(to, O_CLOEXEC) != 0) return OS_SYSTEM - errno;
#endif
  to[0] = os_file_lift(to[0]);
  error = errno;
  to[1] = os_file_lift(to[1]);
  if (to[0] >= 0 && to[1] >= 0) {
    if (we_read) (void)os_nonblocking(to[0], true);
    if (we_write) (void)os_nonblocking(to[1], true);
    return 0;
  }
  if (to[0] >= 0) error = errno;
  for (int i = 0; i < 2; i++)
    if (to[i] >= 0) (void)close(to[i]);
  return OS_SYSTEM - error;
}

bool os_child_pipe_anew(int from, int to) {
  int ends[2];
  bool done = false;
  if (os_child_pipe(ends, true, true) == 0) {
    done = dup2(ends[0], from) == from && dup2(ends[1], to) == to;
    (void)fcntl(from, F_SETFD, FD_CLOEXEC);
    (void)fcntl(to, F_SETFD, FD_CLOEXEC);
    (void)close(ends[0]);
    (void)close(ends[1]);
  }
  if (!done) {
    (void)close(from);
    (void)close(to);
  }
  return done;
}

/* -- looking -------------------------------------------------------------- */

/* waitid: 0; -1 and errno: it is no child, or none any more. */
static int look(const os_child *c, siginfo_t *info, int options) {
  int rc;
  do {
    memset(info, 0, sizeof *info);
    rc = waitid(P_PID, (id_t)c->process, info, WEXITED | options);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

static bool is_child(const os_child *c) {
  siginfo_t info;
  return look(c, &info, WNOHANG | WNOWAIT) == 0;
}

/* A descriptor of the process, or -1. If it is still a child afterwards, it has
   not been reaped, so the number was its own, whatever has become of it. */
static int descriptor_of(const os_child *c) {
#if defined(__linux__)
  int fd = (int)syscall(SYS_pidfd_open, (pid_t)c->process, 0); /* CLOEXEC */
  if (fd >= 0) fd = os_file_lift(fd);
  if (fd < 0 || is_child(c)) return fd;
  (void)close(fd);
#else
  (void)c;
#endif
  return -1;
}

/* -- starting ------------------------------------------------------------- */

/* Descriptors of the parent's that become the standard streams of the child,
   all of them above these, so that none is in the way of another. */
typedef struct sources {
  int fd[3]; /* or OS_INHERITED, OS_NOTHING */
  bool ours[3];
} sources;

static void close_sources(const sources *s) {
  for (int i = 0; i < 3; i++)
    if (s->ours[i]) (void)close(s->fd[i]);
}

static int find_sources(const os_program *p, sources *s) {
  memset(s, 0, sizeof *s);
  for (int i = 0; i < 3; i++) {
    int fd = p->streams[i];
    s->fd[i] = fd;
    if (fd < 0 || fd > STDERR_FILENO) continue;
    s->fd[i] = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (s->fd[i] < 0) return errno;
    s->ours[i] = true;
  }
  return 0;
}

#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 34)
#define HAS_CLOSEFROM 1
#endif
#endif

#if defined(HAS_CLOSEFROM)
static int add_closing(posix_spawn_file_actions_t *actions) {
  return posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}
#elif defined(__APPLE__)
/* POSIX_SPAWN_CLOEXEC_DEFAULT does it. */
static int add_closing(posix_spawn_file_actions_t *actions) {
  (void)actions;
  return 0;
}
#else
/* Those that are open now and would be inherited. One that another thread opens
   before the program has started is inherited, unless it is opened with
   O_CLOEXEC. */
static int add_closing(posix_spawn_file_actions_t *actions) {
  DIR *list = opendir("/proc/self/fd");
  struct dirent *entry;
  int rc = 0;
  if (list == NULL) return 0;
  while (rc == 0 && (entry = readdir(list)) != NULL) {
    int fd = atoi(entry->d_name), flags;
    if (fd <= STDERR_FILENO || fd == dirfd(list)) continue;
    flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
      rc = posix_spawn_file_actions_addclose(actions, fd);
  }
  (void)closedir(list);
  return rc;
}
#endif

static int add_actions(
  posix_spawn_file_actions_t *actions, const os_program *p, const sources *s) {
  int rc = 0;
  for (int i = 0; i < 3 && rc == 0; i++) {
    if (s->fd[i] == OS_NOTHING)
      rc = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
    else if (s->fd[i] >= 0)
      rc = posix_spawn_file_actions_adddup2(actions, s->fd[i], i);
#if defined(__APPLE__)
    else if (fcntl(i, F_GETFD) >= 0)
      rc = posix_spawn_file_actions_addinherit_np(actions, i);
#endif
  }
  if (rc == 0 && p->directory != NULL)
    rc = posix_spawn_file_actions_addchdir_np(actions, p->directory);
  return rc != 0 ? rc : add_closing(actions);
}

static int set_attributes(posix_spawnattr_t *a, const os_program *p) {
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  sigset_t none, all;
  (void)sigemptyset(&none);
  (void)sigfillset(&all);
  (void)sigdelset(&all, SIGKILL); /* whose action cannot be set */
  (void)sigdelset(&all, SIGSTOP);
  (void)posix_spawnattr_setsigmask(a, &none);
  (void)posix_spawnattr_setsigdefault(a, &all);
  if (p->group) {
    flags |= POSIX_SPAWN_SETPGROUP;
    (void)posix_spawnattr_setpgroup(a, 0);
  }
#if defined(__APPLE__)
  flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
  return posix_spawnattr_setflags(a, flags);
}

/* 0 or a value of errno. */
static int spawn(const os_program *p, const sources *s, pid_t *pid) {
  char *const *env = p->environment != NULL ? p->environment : environ;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int rc = posix_spawnattr_init(&attributes);
  if (rc != 0) return rc;
  rc = posix_spawn_file_actions_init(&actions);
  if (rc == 0) {
    rc = set_attributes(&attributes, p);
    if (rc == 0) rc = add_actions(&actions, p, s);
    if (rc == 0)
      rc = posix_spawnp(pid, p->path, &actions, &attributes, p->arguments, env);
    (void)posix_spawn_file_actions_destroy(&actions);
  }
  (void)posix_spawnattr_destroy(&attributes);
  return rc;
}

int os_child_start(const os_program *p, os_child *c) {
  sources s;
  pid_t pid = 0;
  int room = -1, rc = find_sources(p, &s);
  if (rc == 0) {
    room = open("/", O_RDONLY | O_CLOEXEC);
    rc = room >= 0 ? spawn(p, &s, &pid) : errno;
  }
  close_sources(&s);
  if (room >= 0) (void)close(room);
  if (rc != 0) return rc == ENOMEM ? OS_ENOMEM : OS_SYSTEM - rc;
  c->process = pid;
  c->fd = descriptor_of(c);
  return 0;
}

int os_child_too_many(void) { return OS_SYSTEM - EAGAIN; }

bool os_child_can_enter(const char *directory) {
  struct stat s;
  return stat(directory, &s) == 0 && S_ISDIR(s.st_mode) &&
         access(directory, X_OK) == 0;
}

/* -- their end ------------------------------------------------------------ */

bool os_child_ended(const os_child *c, bool reap, os_ending *e) {
  siginfo_t info;
  if (look(c, &info, WNOHANG | (reap ? 0 : WNOWAIT)) != 0) {
    *e = (os_ending){false, false, 0};
    return true;
  }
  if (info.si_pid == 0) return false;
  *e = (os_ending){true, info.si_code != CLD_EXITED, info.si_status};
  return true;
}

void os_child_await(const os_child *c) {
  siginfo_t info;
  (void)look(c, &info, WNOWAIT);
}

int os_child_kill(const os_child *c, int number, bool group) {
  /* If other code has reaped it, its number may be another one's. */
  if (!is_child(c)) return OS_SYSTEM - ESRCH;
  return kill((pid_t)(group ? -c->process : c->process), number) == 0
           ? 0
           : OS_SYSTEM - errno;
}

/* -- signals -------------------------------------------------------------- */

bool os_signal_is_free(int number) {
  switch (number) {
  case SIGKILL:
  case SIGSTOP:
  case SIGILL:
  case SIGTRAP:
  case SIGABRT:
  case SIGBUS:
  case SIGFPE:
  case SIGSEGV:
  case SIGSYS:
  case SIGURG: return false;
  default: return number > 0 && number < OS_SIGNALS;
  }
}

/* By number: our handler, and what it has replaced. That is written when an
   action which is not ours is replaced, so while no handler of ours that could
   read it is called. */
static struct {
  void (*_Atomic handler)(int); /* (a) relaxed: set before it is installed */
  struct sigaction before;
} caught[OS_SIGNALS];

static void on_signal(int number) {
  int saved = errno;
  void (*handler)(int) =
    atomic_load_explicit(&caught[number].handler, memory_order_relaxed);
  handler(number);
  errno = saved;
}

static bool is_ours(const struct sigaction *a) {
  return (a->sa_flags & SA_SIGINFO) == 0 && a->sa_handler == on_signal;
}

int os_signal_catch(int number, void (*handler)(int)) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  /* A read from a terminal by a program in the background would begin again,
     and raise the signal again, for ever. */
  if (number != SIGTTIN && number != SIGTTOU) action.sa_flags |= SA_RESTART;
  (void)sigemptyset(&action.sa_mask);
  atomic_store_explicit(&caught[number].handler, handler, memory_order_relaxed);
  if (sigaction(number, &action, &before) != 0) return OS_SYSTEM - errno;
  if (!is_ours(&before)) caught[number].before = before;
  return 0;
}

void os_signal_release(int number) {
  struct sigaction now;
  if (sigaction(number, NULL, &now) == 0 && is_ours(&now))
    (void)sigaction(number, &caught[number].before, NULL);
}

void os_signal_decline(int number) {
  os_signal_release(number);
  (void)raise(number); /* after this handler, as it is blocked in it */
}

/* A pipe that is full has been told. */
void os_signal_tell(int fd) {
  ssize_t n = write(fd, "", 1);
  (void)n;
}

void os_signal_take(int fd) {
  char bytes[64];
  while (read(fd, bytes, sizeof bytes) > 0) {}
}

static const struct {
  const char *name;
  int number;
} signals[] = {
  {"HUP", SIGHUP},
  {"INT", SIGINT},
  {"QUIT", SIGQUIT},
  {"ILL", SIGILL},
  {"TRAP", SIGTRAP},
  {"ABRT", SIGABRT},
  {"BUS", SIGBUS},
  {"FPE", SIGFPE},
  {"KILL", SIGKILL},
  {"USR1", SIGUSR1},
  {"SEGV", SIGSEGV},
  {"USR2", SIGUSR2},
  {"PIPE", SIGPIPE},
  {"ALRM", SIGALRM},
  {"TERM", SIGTERM},
  {"CHLD", SIGCHLD},
  {"CONT", SIGCONT},
  {"STOP", SIGSTOP},
  {"TSTP", SIGTSTP},
  {"TTIN", SIGTTIN},
  {"TTOU", SIGTTOU},
  {"URG", SIGURG},
  {"XCPU", SIGXCPU},
  {"XFSZ", SIGXFSZ},
  {"VTALRM", SIGVTALRM},
  {"PROF", SIGPROF},
  {"WINCH", SIGWINCH},
  {"IO", SIGIO},
  {"SYS", SIGSYS},
#if defined(SIGPWR)
  {"PWR", SIGPWR},
#endif
};

int os_signal_number(const char *name) {
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (strcmp(signals[i].name, name) == 0) return signals[i].number;
  return 0;
}

const char *os_signal_name(int number) {
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (signals[i].number == number) return signals[i].name;
  return NULL;
}
