/* status.c - what a task is doing, in a word.
   SPDX-License-Identifier: MIT */
#include "status.h"

#include "../../types.h"
#include "../state/ltask.h"

const char *cast_ltask_word(const cast_ltask *t) {
  static const char *const words[] = {[CAST_READY] = "ready",
    [CAST_RUNNING] = "running",
    [CAST_WAITING] = "waiting",
    [CAST_DONE] = "done",
    [CAST_FAILED] = "failed",
    [CAST_CANCELLED] = "cancelled"};
  /* Relaxed: nothing else is read because of it. */
  return words[atomic_load_explicit(&t->base.status, memory_order_relaxed)];
}
