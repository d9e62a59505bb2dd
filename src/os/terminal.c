/* terminal.c - terminals that are typed at.
   SPDX-License-Identifier: MIT

   Owner: who has made it raw; the lock is for the end of the process, which may
   come in another thread. */
#define _GNU_SOURCE /* TIOCGWINSZ */
#include "terminal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct termios before; /* under the lock: as it was found */
static int raw_fd = -1;       /* under the lock: -1: none is raw */
static bool will_restore;     /* under the lock: at exit */

bool os_terminal_is(int fd) { return isatty(fd) != 0; }

int os_terminal_columns(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void os_terminal_restore(void) {
  (void)pthread_mutex_lock(&lock);
  if (raw_fd >= 0 && tcgetpgrp(raw_fd) == getpgrp())
    (void)tcsetattr(raw_fd, TCSADRAIN, &before);
  raw_fd = -1;
  (void)pthread_mutex_unlock(&lock);
}

/* What was typed before is kept, so nothing is flushed. */
bool os_terminal_raw(int fd) {
  struct termios raw;
  bool ok;
  (void)pthread_mutex_lock(&lock);
  if (!will_restore) will_restore = atexit(os_terminal_restore) == 0;
  ok = raw_fd < 0 && tcgetattr(fd, &before) == 0;
  if (ok) {
    raw = before;
    raw.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IXON | ISTRIP);
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    ok = tcsetattr(fd, TCSADRAIN, &raw) == 0;
  }
  if (ok) raw_fd = fd;
  (void)pthread_mutex_unlock(&lock);
  return ok;
}

void os_terminal_stop(void) { (void)kill(0, SIGTSTP); }
