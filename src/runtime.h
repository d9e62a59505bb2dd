/* runtime.h - start and stop of everything; names of channels.
   SPDX-License-Identifier: MIT

   There is one runtime in a process, shared by all hosts in it: the first host
   starts it, the last one stops it. If a session of the last host is stuck in
   foreign C code beyond the grace period, the runtime is never stopped, so that
   the stuck thread never meets freed memory; it sleeps, and a later host uses
   it again. All functions are for any thread. */
#ifndef CAST_RUNTIME_H
#define CAST_RUNTIME_H

#include "chan.h"

/* Counts a host, and starts the runtime with the first one: 0, CASTING_ENOMEM,
   CASTING_EFORKED. It has no thread yet. The code that needs one starts sysmon
   (sysmon.h), or the first worker, which starts sysmon. */
int cast_runtime_ref(void);
/* A host ends; the last one stops the runtime. `all_closed`: the host has
   closed all of its sessions. */
void cast_runtime_unref(bool all_closed);

/* Sets the number of workers that stay when idle, and the greatest number of
   them, where the value is not 0; returns both. */
void cast_runtime_threads(uint32_t *min, uint32_t *max);

/* How many sessions can run at the same time. */
uint32_t cast_runtime_cores(void);

/* Returns the channel with that name, with a new reference; it is made if there
   is none. NULL and *rc == CASTING_EINVAL if it has another capacity than
   *capacity (NULL: any will do); NULL and CASTING_ENOMEM when out of memory. */
cast_chan *cast_runtime_named(
  const char *name, size_t size, const size_t *capacity, int *rc);

#endif
