/* remote.h - tasks that begin with a message.
   SPDX-License-Identifier: MIT */
#ifndef CAST_REMOTE_H
#define CAST_REMOTE_H

#include "../state/ltask.h"

/* t, which nobody else knows yet, begins with a function and arguments that are
   packed in its message, since they come from another state; and other sessions
   may have handles of it. */
static inline void cast_ltask_make_remote(cast_ltask *t) {
  t->stage = CAST_STAGE_PACKED;
  /* Relaxed: nobody else has it yet. */
  atomic_store_explicit(&t->shared, CAST_SHARED, memory_order_relaxed);
  t->given = CAST_GIVEN;
}

#endif
