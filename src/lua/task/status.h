/* status.h - what a task is doing, in a word.
   SPDX-License-Identifier: MIT */
#ifndef CAST_STATUS_H
#define CAST_STATUS_H

#include "../state/ltask.h"

/* The word for the status of t, as task:status() returns it. Any thread may
   ask; unless the task has ended, the word may be stale as soon as it is
   read. */
const char *cast_ltask_word(cast_ltask *t);

#endif
