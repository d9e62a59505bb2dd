/* process.c - forks, on POSIX systems.
   SPDX-License-Identifier: MIT */
#include "os.h"

#include <pthread.h>

int os_fork_install(
  void (*before)(void), void (*parent)(void), void (*child)(void)) {
  return pthread_atfork(before, parent, child) == 0 ? 0 : OS_ENOMEM;
}
