/* mem.h - the one way casting gets memory.
   SPDX-License-Identifier: MIT

   Every allocation of the runtime and of the binding goes through here, so that
   tests can count what is live and make the n-th allocation fail. Lua states
   allocate through cast_mem_lua, which counts towards the same figures. */
#ifndef CAST_MEM_H
#define CAST_MEM_H

#include "base.h"

/* NULL when out of memory. cast_alloc leaves the bytes undefined. */
void *cast_alloc(size_t size);
void *cast_calloc(size_t size);
/* As realloc(3); `ptr` NULL allocates; size is never 0. */
void *cast_realloc(void *ptr, size_t size);
void cast_free(void *ptr); /* NULL is fine */

/* Much of it, straight from the system, untouched: at a multiple of align, a
   power of two; both are multiples of 64 KiB. huge: see os_huge. */
void *cast_alloc_aligned(size_t align, size_t size, bool huge);
void cast_free_aligned(void *ptr, size_t size);

/* For what keeps blocks to use them again (big.c): one that is kept does not
   count as live until it is used (or given to cast_free). */
void cast_mem_kept(void);
void cast_mem_used(void);
/* Is the injected failure due? For what is taken out of a block. */
#if CAST_DEBUG >= 1
bool cast_mem_must_fail(void);
/* No injected failures while it is on, for what would not survive one. */
void cast_mem_spare(bool on);
#else
static inline bool cast_mem_must_fail(void) { return false; }
static inline void cast_mem_spare(bool on) { CAST_UNUSED(on); }
#endif

/* Has all memory come from fn(ud, ptr, size): realloc, and free for size 0.
   Only before any was allocated: 0, else CASTING_EINVAL. */
int cast_mem_allocator(void *(*fn)(void *ud, void *ptr, size_t size), void *ud);

/* The allocator of Lua states, shaped as lua_Alloc wants it. `ud` is not used.
   Shrinking a block never fails (Lua relies on that), injected failures
   included. */
void *cast_mem_lua(void *ud, void *ptr, size_t osize, size_t nsize);

/* Test hooks; no cost unless built with CAST_DEBUG >= 1.
   cast_mem_fail_at(n): the n-th allocation from now (1 = next) fails, once;
   0 switches that off. cast_mem_fail_from(n): that one and all later ones.
   cast_mem_fail_run(n, many): so many from the n-th on; Lua asks again after a
   collection, so 2 in a row are what it notices. cast_mem_fail_every(gap,
   seed): one after the other, `gap` allocations apart on average, drawn from
   the seed. All of these also forget an earlier failure. cast_mem_live():
   blocks now allocated. The allocations of all threads count. Without
   CAST_DEBUG nothing fails and cast_mem_live() is 0.

   The same from the first allocation of a process on: the environment's
   CASTING_FAIL_AT=n[:many] or CASTING_FAIL_EVERY=gap[:seed]. */
void cast_mem_fail_at(uint64_t n);
void cast_mem_fail_from(uint64_t n);
void cast_mem_fail_run(uint64_t n, uint64_t many);
void cast_mem_fail_every(uint64_t gap, uint64_t seed);
bool cast_mem_has_failed(void); /* did the injected failure happen */
int64_t cast_mem_live(void);

#endif
