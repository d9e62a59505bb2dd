/* mem.h - the one way casting gets memory.
   SPDX-License-Identifier: MIT

   Every allocation of the runtime and of the binding goes through these
   functions, so that tests can count the live blocks and make the n-th
   allocation fail. A session's Lua state allocates from its slabs (slab.h),
   which come from here as well. Owner: a block belongs to the caller that asked
   for it. Any thread may call these functions. */
#ifndef CAST_MEM_H
#define CAST_MEM_H

#include "base.h"

/* NULL when out of memory. cast_alloc leaves the bytes undefined. */
void *cast_alloc(size_t size);
void *cast_calloc(size_t size);
/* As realloc(3): `ptr` NULL allocates. Size must not be 0. */
void *cast_realloc(void *ptr, size_t size);
void cast_free(void *ptr); /* NULL is fine */

/* Untouched pages straight from the system, at a multiple of `align`, which is
   a power of two; both numbers are multiples of 64 KiB. huge: see os_huge. */
void *cast_alloc_aligned(size_t align, size_t size, bool huge);
void cast_free_aligned(void *ptr, size_t size);

/* For caches of freed blocks (big.c): a block that goes into a cache does not
   count as live until it is taken out again, to be used or freed. */
void cast_mem_kept(void);
void cast_mem_used(void);
/* Counts one allocation that takes no block of its own: must it fail? For
   allocators within blocks, so that tests make these fail, too. */
#if CAST_DEBUG >= 1
bool cast_mem_must_fail(void);
/* Between true and false no failure is injected: for calls of functions that
   would not survive one. Calls may nest. */
void cast_mem_spare(bool on);
#else
static inline bool cast_mem_must_fail(void) { return false; }
static inline void cast_mem_spare(bool on) { CAST_UNUSED(on); }
#endif

/* Makes all memory come from fn(ud, ptr, size), which works as realloc, and as
   free for size 0. 0; CASTING_EINVAL if memory was allocated before. */
int cast_mem_allocator(void *(*fn)(void *ud, void *ptr, size_t size), void *ud);

/* A lua_Alloc without slabs, for states that are made to look at Lua itself
   (compat/peek.c, compat/stock.c). `ud` is not used. Shrinking a block never
   fails, as Lua relies on that; no failure is injected there either. */
void *cast_mem_lua(void *ud, void *ptr, size_t osize, size_t nsize);

/* Test hooks, which cost nothing unless built with CAST_DEBUG >= 1; else
   nothing fails and cast_mem_live() is 0. The allocations of all threads count.
   Each cast_mem_fail_* replaces the one before and forgets its failures. The
   environment variables CASTING_FAIL_AT=n[:many] and
   CASTING_FAIL_EVERY=gap[:seed] do the same from the first allocation of a
   process on. */

/* The n-th allocation from now (1: the next) fails, once; 0: none does. */
void cast_mem_fail_at(uint64_t n);
/* The n-th allocation and all later ones fail. */
void cast_mem_fail_from(uint64_t n);
/* `many` allocations from the n-th on fail. Lua tries again after a collection,
   so it notices only 2 in a row. */
void cast_mem_fail_run(uint64_t n, uint64_t many);
/* Allocations fail again and again, `gap` apart on average, at places drawn
   from the seed. */
void cast_mem_fail_every(uint64_t gap, uint64_t seed);
/* Has an injected failure happened? */
bool cast_mem_has_failed(void);
/* The number of blocks that are allocated now. */
int64_t cast_mem_live(void);

#endif
