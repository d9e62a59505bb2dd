/* limits.h - every limit of casting, named in one place.
   SPDX-License-Identifier: MIT

   CAST_SHRINK (test builds) makes them tiny, so that the rare paths (overflow
   of a run queue, end of a slice, growth of a buffer) run all the time. */
#ifndef CAST_LIMITS_H
#define CAST_LIMITS_H

#ifdef CAST_SHRINK
#define CAST_RUNQ_SIZE 4u      /* sessions in one core's run queue */
#define CAST_SLICE_TASKS 2u    /* task resumptions per session slice */
#define CAST_NEXT_STREAK 1u    /* run-next uses in a row before the queue */
#define CAST_GLOBAL_EVERY 3u   /* look at the global queue every n-th pick */
#define CAST_SPIN_ROUNDS 2u    /* looks for work before a worker sleeps */
#define CAST_LOCK_SPINS 1u     /* tries before a lock's waiter naps */
#define CAST_RANK_FEW 2u       /* cases of a select sorted by insertion */
#define CAST_RING_FIRST 1u     /* slots of a channel ring when first made */
#define CAST_HEAP_FIRST 1u     /* deadlines a heap has room for at first */
#define CAST_COROUTINES_MAX 2u /* finished coroutines kept per state */
#define CAST_CONTEXTS_MAX 2u   /* spare C stacks kept per runtime */
#define CAST_PACK_DEPTH 3u     /* nesting encoded in place before deferring */
#define CAST_REGION_SLABS 2u   /* slabs that are mapped at once */
#define CAST_SLABS_PURGE 1u    /* empty slabs of a state before they go */
#define CAST_SLICE_MS 1u       /* a session's turn, if another waits */
#define CAST_RETIRE_MS 2u      /* idle workers above the minimum end then */
#define CAST_TIMER_LANES 3u    /* heaps of timers, fired in turn */
#define CAST_TIMER_ROUND 2u    /* timers fired in one round */
#define CAST_CLOSE_ROUND 1u    /* waiters woken when `after` closes */
#define CAST_PEEK 0            /* are Lua's tables looked into (peek.h)? */
#else
#define CAST_RUNQ_SIZE 256u
#define CAST_SLICE_TASKS 128u
#define CAST_NEXT_STREAK 3u
#define CAST_GLOBAL_EVERY 61u
#define CAST_SPIN_ROUNDS 200u
#define CAST_LOCK_SPINS 100u
#define CAST_RANK_FEW 12u
#define CAST_RING_FIRST 4u
#define CAST_HEAP_FIRST 16u
#define CAST_COROUTINES_MAX 1024u
#define CAST_CONTEXTS_MAX 64u
#define CAST_PACK_DEPTH 64u
#define CAST_REGION_SLABS 32u
#define CAST_SLABS_PURGE 16u
#define CAST_SLICE_MS 10u
#define CAST_RETIRE_MS 3000u
#define CAST_TIMER_LANES 17u
#define CAST_TIMER_ROUND 64u
#define CAST_CLOSE_ROUND 64u
#define CAST_PEEK 1
#endif

#define CAST_PERIOD_NS 100000u /* the shortest of a ticker */

#define CAST_LOCK_NAP_NS 20000u      /* first nap of a lock's waiter ... */
#define CAST_LOCK_NAP_MAX_NS 640000u /* ... doubled up to this */

#define CAST_MSG_INLINE 48u        /* message bytes kept without malloc */
#define CAST_REPORT_TASKS 100      /* tasks described, if not said otherwise */
#define CAST_REPORT_NS 1000000000u /* for what every session tells, at most */
#define CAST_SAY_NS 1000000000u    /* for a line to be written, or dropped */
#define CAST_PRINTS_MAX 1000u      /* failures that wait for being written */
#define CAST_BLOCKS_KEPT 262144u   /* of blocks kept by a runner */
#define CAST_SELECT_MAX 65536u     /* cases in one select */
#define CAST_VALUES_MAX 1000000    /* values on a Lua stack, at most */
#define CAST_WORKERS_MAX 1024u     /* OS threads of the pool, at most */
#define CAST_STACK_MOST (8u << 20) /* bytes of a C stack; see below */
#define CAST_CLEANUP_DEPTH 200     /* levels searched for a __close handler */
#define CAST_END_NS 2000000000u    /* for all to unwind as a host ends; ... */
#define CAST_LAST_NS 1000000000u   /* ... for finalizers that wait before */
#define CAST_GRACE_NS 1000000000u  /* shields hold so long after their time */
#define CAST_STOP_NS 10000000u     /* computing tasks may go on so long ... */
#define CAST_FORCE_NS 100000000u   /* ... and their clean-up so long */
#define CAST_WATCHDOG_NS 50000000u /* between two looks at such tasks */
#define CAST_REFUSED_MAX 10u       /* tries that finalizers make fail */
#define CAST_WATCH_COUNT 10000     /* instructions between a host's looks */
#define CAST_SHARED_STRING 4096u   /* strings from here on are shared */
#define CAST_BIG_MIN 65536u        /* blocks from here on are kept (big.h), */
#define CAST_BIG_BITS 24u          /* below 2^this, and */
#define CAST_BIG_KEPT (32u << 20)  /* so many bytes of them in all */
#define CAST_FIXED_KEPT 64u        /* functions used where they lie, ... */
#define CAST_FIXED_BYTES 262144u   /* ... and their bytes, for each state */
#define CAST_SLABS_FEW 32u         /* states with more get them of huge pages */
#define CAST_GC_DEBT_MAX 4096u   /* bytes behind handles, until Lua is told, */
#define CAST_GC_DEBT_HANDLE 128u /* ... with so many for each handle */
#define CAST_LINEAGE_MAX 32      /* see lua/lineage.c */
#define CAST_REGIONS_KEPT 16u    /* unused regions that each pool keeps */

/* A C stack is as large as the main program's, within these bounds; but where
   address space is not ample, it has the least. */
#define CAST_STACK_LEAST (4u << 20)
#define CAST_SPACE_AMPLE (32ull << 30)
#define CAST_STACK_SPARE 131072u /* of it, for calls in calls (library.c) */
#define CAST_PATTERN_FRAME 256u  /* of it, for a quantifier (strlib.c) */

#endif
