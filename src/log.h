/* log.h - the few lines that casting writes by itself.
   SPDX-License-Identifier: MIT

   A line (the report of a failure, for example) goes to stderr, or to a
   function of the host's. Lock: CAST_RANK_LEAF, held while that function runs,
   so that its calls do not overlap and none comes after it was replaced. */
#ifndef CAST_LOG_H
#define CAST_LOG_H

#include "base.h"

typedef void (*cast_log_function)(void *ud, const char *text, size_t size);

/* Sends later lines to fn(ud, ...); NULL: to stderr. Waits for a call of the
   previous function that is under way. */
void cast_log_to(cast_log_function fn, void *ud);
/* Writes the `size` bytes at text as a line. The line is dropped if stderr does
   not take it until CAST_SAY_NS after since_ns; the next line that can be
   written is then preceded by the number of those dropped. Blocks, so it is
   called in errands only. */
void cast_log(const char *text, size_t size, uint64_t since_ns);
/* Any thread: counts n lines more as dropped. */
void cast_log_lost(uint32_t n);

#endif
