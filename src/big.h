/* big.h - large blocks of memory, kept for a while to be used again.
   SPDX-License-Identifier: MIT

   The C library gives large blocks back to the system when they are freed,
   and the system clears them, page by page, when they are allocated again:
   that takes longer than copying a megabyte. So freed blocks of CAST_BIG_MIN
   bytes and more go into a bounded cache of the process. The caller of
   cast_big_free must know the size of the block, as lua_Alloc does. Any thread
   may call these functions. Invariants:
   1. A block of CAST_BIG_MIN bytes or more has cast_big_round(size) bytes.
   2. The cache never holds more than CAST_BIG_KEPT bytes. */
#ifndef CAST_BIG_H
#define CAST_BIG_H

#include "limits.h"
#include "mem.h"

/* Is a block of this size one that is kept? */
static inline bool cast_is_big(size_t size) { return size >= CAST_BIG_MIN; }

/* Rounds a size up to one of eight steps between powers of two, so that a kept
   block serves for any request of nearly its size. */
size_t cast_big_round(size_t size);

/* Blocks of any size; the small ones are cast_alloc's. NULL: out of memory. */
void *cast_big_alloc(size_t size);
/* As cast_realloc; shrinking may fail as well. */
void *cast_big_realloc(void *ptr, size_t osize, size_t nsize);
void cast_big_free(void *ptr, size_t size);

/* Gives all kept blocks back to the C library. */
void cast_big_flush(void);
/* For tests: the bytes of kept blocks now. */
size_t cast_big_kept(void);

#endif
