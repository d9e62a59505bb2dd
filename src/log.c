/* log.c - the few things that casting says by itself.
   SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdio.h>

#include "lock.h"

static struct {
  cast_lock lock;
  cast_log_function fn; /* (lock) */
  void *ud;             /* (lock) */
} out = {.lock = CAST_LOCK_STATIC(CAST_RANK_LEAF)};

void cast_log_to(cast_log_function fn, void *ud) {
  cast_lock_take(&out.lock);
  out.fn = fn;
  out.ud = ud;
  cast_lock_drop(&out.lock);
}

void cast_log(const char *text, size_t size) {
  cast_lock_take(&out.lock);
  if (out.fn != NULL)
    out.fn(out.ud, text, size);
  else
    (void)fprintf(stderr, "%.*s\n", (int)size, text);
  cast_lock_drop(&out.lock);
}
