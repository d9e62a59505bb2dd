/* runtime.h - start and stop of everything; names of channels.
   SPDX-License-Identifier: MIT

   One runtime per process, shared by all hosts in it: the first starts it, the
   last stops it. Should a session of the last host be stuck in foreign C code
   beyond the grace period, the runtime stays (asleep), so that the thread that
   is stuck never meets freed memory; a later host uses it again. */
#ifndef CAST_RUNTIME_H
#define CAST_RUNTIME_H

#include "chan.h"

/* 0, CASTING_ENOMEM, CASTING_EFORKED. There are no threads yet: who needs one
   starts sysmon (sysmon.h), or the first worker, which does that. */
int cast_runtime_ref(void);
/* `all_closed`: no session of the caller is left behind. */
void cast_runtime_unref(bool all_closed);

/* Threads of the pool: sets what is not 0 and reports both. */
void cast_runtime_threads(uint32_t *min, uint32_t *max);

/* How many sessions compute at the same time, at most. */
uint32_t cast_runtime_cores(void);

/* The channel of that name, with a new reference; made when there is none.
   Another capacity than it has: NULL and *rc == CASTING_EINVAL (capacity
   NULL: any); out of memory: CASTING_ENOMEM. */
cast_chan *cast_runtime_named(
  const char *name, size_t size, const size_t *capacity, int *rc);

#endif
