/* posix.h - what the files for POSIX systems share.
   SPDX-License-Identifier: MIT */
#ifndef CAST_OS_POSIX_H
#define CAST_OS_POSIX_H

#include "os.h"

#include <signal.h>

/* Stores the signals that a thread of os_thread_start blocks. */
void os_posix_mask(sigset_t *set);

#endif
