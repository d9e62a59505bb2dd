/* fixed.h - bytecode that a Lua state uses where it lies.
   SPDX-License-Identifier: MIT

   From 5.5 on a function can be loaded so that its code and its long strings
   stay in the buffer, which all states can share then. The buffer must outlive
   all that came of it in each state. Nothing tells when that is gone, so a
   state keeps it until it has closed, up to a limit. What does not fit in is
   loaded as before. */
#ifndef CAST_FIXED_H
#define CAST_FIXED_H

#include "../../limits.h"
#include "../../msg.h"

typedef struct cast_fixed {
  cast_bytes *all[CAST_FIXED_KEPT]; /* one reference each */
  uint32_t n;                       /* how many there are */
  size_t bytes;                     /* their sizes, in all */
} cast_fixed;

/* Keeps `b`, unless it is already kept, in *f, which is made when needed.
   False: there is no room, or no memory. */
bool cast_fixed_keep(cast_fixed **f, cast_bytes *b);
/* After the state has closed; NULL is fine. */
void cast_fixed_free(cast_fixed *f);

#endif
