/* posix.h - what the files for POSIX systems share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OS_POSIX_H
#define CAST_OS_POSIX_H

#include "os.h"

#include <signal.h>

/* The signals that a thread of os_thread_start blocks: those that can be. */
void os_posix_mask(sigset_t *set);

#endif
