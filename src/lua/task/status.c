/* status.c - what a task is doing, in a word.
   SPDX-License-Identifier: MIT */
#include "status.h"

#include "../../event.h"
#include "../../types.h"
#include "../state/ltask.h"

const char *cast_ltask_word(cast_ltask *t) {
  static const char *const words[] = {[CAST_READY] = "ready",
    [CAST_RUNNING] = "running",
    [CAST_WAITING] = "waiting",
    [CAST_DONE] = "done",
    [CAST_FAILED] = "failed",
    [CAST_CANCELLED] = "cancelled"};
  /* Relaxed: nothing else is read because of it. */
  int status = atomic_load_explicit(&t->base.status, memory_order_relaxed);
  /* A task that is said to have ended can be joined without a wait. The event
     for those who join it comes after the status. */
  if (status >= CAST_DONE && !cast_event_is_set(&t->base.done))
    status = CAST_RUNNING;
  return words[status];
}
