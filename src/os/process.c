/* process.c - forks, and other programs, on POSIX systems.
   SPDX-License-Identifier: MIT

   The contract is os.h. A program inherits the signal mask of the thread that
   starts it, and a thread of os_thread_start blocks almost all signals. So the
   functions here start programs with the mask of the host's thread. There is
   another reason not to use system of the C library: while it waits, the
   process ignores SIGINT. */
#define _GNU_SOURCE /* pipe2 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(_PATH_BSHELL)
#define _PATH_BSHELL "/bin/sh"
#endif

extern char **environ;

_Static_assert(sizeof(sigset_t) <= sizeof((os_signals *)0)->mask,
  "a sigset_t fits os_signals.mask");

int os_fork_install(
  void (*before)(void), void (*parent)(void), void (*child)(void)) {
  return pthread_atfork(before, parent, child) == 0 ? 0 : OS_ENOMEM;
}

/* -- signals -------------------------------------------------------------- */

static bool is_ignored(int number) {
  struct sigaction now;
  return sigaction(number, NULL, &now) == 0 &&
         (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN;
}

void os_signals_mask(const os_signals *s, void *set) {
  memcpy(set, s->mask, sizeof(sigset_t));
}

void os_signals_get(os_signals *s) {
  sigset_t set;
  memset(s, 0, sizeof *s);
  memset(&set, 0, sizeof set); /* the call may write only a part of it */
  (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
  memcpy(s->mask, &set, sizeof set);
  s->no_interrupt = is_ignored(SIGINT);
  s->no_quit = is_ignored(SIGQUIT);
}

/* Are the masks equal, but for the signals that the C library keeps for itself
   (32 to SIGRTMIN)? */
static bool same_mask(const sigset_t *a, const sigset_t *b) {
  for (int i = 1; i <= SIGRTMAX; i++)
    if ((i < 32 || i >= SIGRTMIN) && sigismember(a, i) != sigismember(b, i))
      return false;
  return true;
}

/* Restores the default action if the signal is ignored now, but not according
   to the state that is adopted: another thread is just waiting in system of the
   C library. */
static void heed(int number, bool ignored) {
  struct sigaction action;
  if (ignored || !is_ignored(number)) return;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  (void)sigemptyset(&action.sa_mask);
  (void)sigaction(number, &action, NULL);
}

void os_signals_adopt(const os_signals *s) {
  sigset_t now, ours, set;
  os_posix_mask(&ours);
  if (pthread_sigmask(SIG_SETMASK, NULL, &now) != 0 || !same_mask(&now, &ours))
    return;
  heed(SIGINT, s->no_interrupt);
  heed(SIGQUIT, s->no_quit);
  os_signals_mask(s, &set);
  (void)pthread_sigmask(SIG_SETMASK, &set, NULL);
}

/* -- programs ------------------------------------------------------------- */

/* Starts the shell with descriptor `from` (-1: none) as its descriptor `to`.
   Returns its process, or -1 and errno. */
static pid_t start(const char *command, const os_signals *s, int from, int to) {
  char sh[] = "sh", c[] = "-c", end[] = "--", *copy = strdup(command);
  char *argv[] = {sh, c, end, copy, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t mask, defaults;
  pid_t pid = -1;
  int rc = copy == NULL ? ENOMEM : 0;
  if (rc == 0) rc = posix_spawnattr_init(&attributes);
  if (rc != 0) goto no_attributes;
  if ((rc = posix_spawn_file_actions_init(&actions)) != 0) goto no_actions;
  os_signals_mask(s, &mask);
  (void)sigemptyset(&defaults);
  if (!s->no_interrupt) (void)sigaddset(&defaults, SIGINT);
  if (!s->no_quit) (void)sigaddset(&defaults, SIGQUIT);
  (void)posix_spawnattr_setsigmask(&attributes, &mask);
  (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
  (void)posix_spawnattr_setflags(
    &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if (from >= 0) rc = posix_spawn_file_actions_adddup2(&actions, from, to);
  if (rc == 0)
    rc = posix_spawn(&pid, _PATH_BSHELL, &actions, &attributes, argv, environ);
  (void)posix_spawn_file_actions_destroy(&actions);
no_actions:
  (void)posix_spawnattr_destroy(&attributes);
no_attributes:
  free(copy);
  if (rc == 0) return pid;
  errno = rc;
  return -1;
}

/* Waits for the end of a program and returns its status; -1 and errno on error.
   Without one errno is 0, since Lua's callers look at it as well. */
static int await(pid_t pid) {
  int status = -1;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -1;
  errno = 0;
  return status;
}

int os_system(const char *command, const os_signals *s) {
  pid_t pid;
  if (command == NULL) return access(_PATH_BSHELL, X_OK) == 0;
  pid = start(command, s, -1, -1);
  return pid >= 0 ? await(pid) : -1;
}

/* Makes a pipe whose ends no program inherits. They are above the descriptors
   of the standard streams, since one of them is going to be one of these in the
   program. */
static int make_pipe(int fds[2]) {
#if defined(__APPLE__)
  if (pipe(fds) != 0) return -1;
  (void)fcntl(fds[0], F_SETFD, FD_CLOEXEC);
  (void)fcntl(fds[1], F_SETFD, FD_CLOEXEC);
#else
  if (pipe2(fds, O_CLOEXEC) != 0) return -1;
#endif
  for (int i = 0; i < 2; i++) {
    int fd = fds[i], error;
    if (fd > STDERR_FILENO) continue;
    fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    error = errno;
    (void)close(fd);
    if (fds[i] >= 0) continue;
    (void)close(fds[1 - i]);
    errno = error;
    return -1;
  }
  return 0;
}

/* Accepts "r" or "w"; and an "e" besides, as some C libraries do, with which
   programs do not inherit the pipe. */
static bool parse_mode(const char *mode, bool *reads) {
  size_t ends = 0;
  for (; *mode != '\0'; mode++) {
    if (*mode == 'r' || *mode == 'w')
      ends++;
    else if (*mode != 'e')
      return false;
    if (*mode != 'e') *reads = *mode == 'r';
  }
  return ends == 1;
}

FILE *os_popen(const char *command, const char *mode, const os_signals *s,
  intptr_t *program) {
  int fds[2], error, mine, theirs;
  bool reads = false;
  pid_t pid;
  FILE *f;
  if (!parse_mode(mode, &reads)) {
    errno = EINVAL;
    return NULL;
  }
  if (make_pipe(fds) != 0) return NULL;
  mine = reads ? fds[0] : fds[1];
  theirs = reads ? fds[1] : fds[0];
  f = fdopen(mine, reads ? "r" : "w"); /* first, since it may fail */
  if (f == NULL) {
    error = errno;
    (void)close(mine);
    (void)close(theirs);
    errno = error;
    return NULL;
  }
  pid = start(command, s, theirs, reads ? STDOUT_FILENO : STDIN_FILENO);
  error = errno;
  (void)close(theirs);
  if (pid >= 0) {
    *program = pid;
    return f;
  }
  (void)fclose(f);
  errno = error;
  return NULL;
}

/* An error of writing the rest is reported if the program has ended well. */
int os_pclose(FILE *f, intptr_t program) {
  int error = fclose(f) == 0 ? 0 : errno;
  int status = await((pid_t)program);
  if (status != 0 || error == 0) return status;
  errno = error;
  return -1;
}
