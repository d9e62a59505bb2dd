/* unit.h - what the unit tests share.
   SPDX-License-Identifier: MIT

   cmocka's assertions leave by longjmp, so they belong into the test function
   itself; threads and contexts started by a test prove with CAST_ALWAYS. */
#ifndef CAST_UNIT_H
#define CAST_UNIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fork, sigaction, pthread_kill */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/base.h"
#include "../forked.h"

/* A fixed sequence for each seed (xorshift). */
static inline uint64_t unit_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/* What a process has counted for gcov is lost if it does not exit. */
#ifdef CASTING_COVERAGE
void __gcov_dump(void);
static inline void unit_exit(int status) {
  __gcov_dump();
  _exit(status);
}
static inline void unit_on_abort(int number) { unit_exit(128 + number); }
#else
static inline void unit_exit(int status) { _exit(status); }
#define unit_on_abort SIG_DFL
#endif

/* Does fn(arg) end a process? Runs it in one of its own, silently. */
static inline bool unit_dies(void (*fn)(void *), void *arg) {
  (void)fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit none = {0, 0};
    test_forked();
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGABRT, unit_on_abort);
    (void)signal(SIGSEGV, SIG_DFL);
    (void)freopen("/dev/null", "w", stderr);
    fn(arg);
    unit_exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* fn(arg) in a forked child, which proves with CAST_ALWAYS and must not take
   long: is all well with it? */
static inline bool unit_child(void (*fn)(void *), void *arg) {
  (void)fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    (void)alarm(60);
    test_forked();
    fn(arg);
    (void)fflush(NULL);
    unit_exit(0);
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  return status == 0;
}

#endif
