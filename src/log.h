/* log.h - the few things that casting says by itself.
   SPDX-License-Identifier: MIT

   A line goes to stderr, or to the function that the host has given. Lock:
   CAST_RANK_LEAF, held while that function runs, so that no two calls of it
   overlap and none comes after it was taken back. */
#ifndef CAST_LOG_H
#define CAST_LOG_H

#include "base.h"

typedef void (*cast_log_function)(void *ud, const char *text, size_t size);

/* Where to; NULL: stderr. Waits for a call that is under way. */
void cast_log_to(cast_log_function fn, void *ud);
/* Says the `size` bytes at text, as a line, unless stderr has not been ready
   for it for CAST_SAY_NS by then, counted from since_ns on: then the next line
   says how many there were. Blocks: in an errand only. */
void cast_log(const char *text, size_t size, uint64_t since_ns);
/* So many more were not said. Any thread. */
void cast_log_lost(uint32_t n);

#endif
