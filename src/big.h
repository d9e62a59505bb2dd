/* big.h - large blocks of memory, kept for a while to be used again.
   SPDX-License-Identifier: MIT

   The C library gives large blocks back to the system when they are freed,
   and the system clears them, page by page, when they are asked for again:
   that takes longer than copying a megabyte. So blocks of CAST_BIG_MIN bytes
   and more go into a cache of the process, which is bounded. Who frees a block
   must know its size, as lua_Alloc does. Any thread.

   1. A block of CAST_BIG_MIN bytes or more has cast_big_round(size) bytes.
   2. The cache never holds more than CAST_BIG_KEPT bytes. */
#ifndef CAST_BIG_H
#define CAST_BIG_H

#include "limits.h"
#include "mem.h"

static inline bool cast_is_big(size_t size) { return size >= CAST_BIG_MIN; }

/* Sizes are rounded up to one of eight between powers of two, so that blocks
   of nearly the same size can stand in for each other. */
size_t cast_big_round(size_t size);

/* Blocks of any size; the small ones are cast_alloc's. NULL: out of memory. */
void *cast_big_alloc(size_t size);
/* As cast_realloc; shrinking may fail as well. */
void *cast_big_realloc(void *ptr, size_t osize, size_t nsize);
void cast_big_free(void *ptr, size_t size);

/* Gives all that is kept back to the C library. */
void cast_big_flush(void);
/* The bytes that are kept now. */
size_t cast_big_kept(void);

#endif
