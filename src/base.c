/* base.c - ends the process when an assertion fails.
   SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

/* A broken invariant means that memory can no longer be trusted, so nothing
   is cleaned up: the message goes out in one write and the process aborts,
   which leaves a core file or a debugger at the place. */
CAST_NOINLINE _Noreturn void cast_panic(
  const char *file, int line, const char *what) {
  char text[512];
  int n = snprintf(
    text, sizeof text, "casting: %s:%d: proof broken: %s\n", file, line, what);
  if (n > 0) {
    size_t size = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    (void)fwrite(text, 1, size, stderr);
    (void)fflush(stderr);
  }
  abort();
}
